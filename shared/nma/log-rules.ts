import type { ConditionType, PluginName } from './conditions.ts';
import { type Reaction, reaction, type Severity } from './reactions.ts';
import { compareVersions, type NmaVersion } from './versions.ts';

/** What NMA tails beside the kernel log: the journal by identifier, and files of the node (nma.md §1.1, 1.2, 1.9, 1.10). */
export type LogSource =
  | { readonly kind: 'journal'; readonly identifier: 'kubelet' | 'systemd' }
  | { readonly kind: 'file'; readonly path: string };

export type LogRule = {
  readonly id: string;
  readonly reason: string;
  readonly severity: Severity;
  readonly conditionType: ConditionType;
  readonly plugin: PluginName;
  /** First version that has it. */
  readonly since: string;
  readonly source: LogSource;
  readonly pattern: RegExp;
  readonly message: (match: RegExpExecArray) => string;
  /** So many earlier ones are swallowed. */
  readonly minOccurrences: number;
  /** A line that matches. */
  readonly sample: string;
  readonly note?: string;
};

export const logRules: readonly LogRule[] = [];

export type LogMatch = { readonly rule: LogRule; readonly reaction: Reaction };

/** Every monitor takes its first rule that matches a line. */
export function matchLogRules(row: NmaVersion, source: LogSource, line: string): readonly LogMatch[] {
  const found = new Map<PluginName, LogMatch>();
  for (const rule of logRules) {
    if (compareVersions(rule.since, row.version) > 0 || !isSameSource(rule.source, source)) continue;
    if (found.has(rule.plugin)) continue;
    const match = rule.pattern.exec(line);
    if (match === null) continue;
    found.set(rule.plugin, {
      rule,
      reaction: reaction(rule.severity, rule.reason, rule.message(match), rule.conditionType),
    });
  }
  return [...found.values()];
}

function isSameSource(left: LogSource, right: LogSource): boolean {
  if (left.kind === 'journal') return right.kind === 'journal' && left.identifier === right.identifier;
  return right.kind === 'file' && left.path === right.path;
}
