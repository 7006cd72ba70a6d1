import { renderDuration } from '../../shared/duration.ts';
import type { Verdict } from '../store/timeline.ts';
import type { ExperimentReport, ReportLink, ReportNode } from './model.ts';

/** What stands before a verdict; `running` has none yet. */
export const verdictMarks: Readonly<Record<Verdict | 'running' | 'skipped', string>> = {
  pass: '✓',
  fail: '✗',
  inconclusive: '?',
  error: '✗',
  aborted: '–',
  running: '…',
  skipped: '–',
};

/** What stands before a link. */
export const linkMarks: Readonly<Record<ReportLink['state'], string>> = {
  reached: '✓',
  missed: '✗',
  unknown: '?',
  skipped: '–',
  waiting: '…',
};

/** Where a cause is described. */
export function causeAddress(code: string): string {
  return `coordinator/diagnosis/CAUSES.md#${code}`;
}

/** `xid (xid=79)`. */
export function faultText({ name, parameters }: ExperimentReport['fault']): string {
  const given = Object.entries(parameters).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return given.length === 0 ? name : `${name} (${given.join(', ')})`;
}

/** What one link came to, in words. */
export function linkText({ state, because, expected }: ReportLink): string {
  return state === 'waiting' ? expected : (because ?? expected);
}

/** `1.2 s`, or a dash where it was not reached. */
export function secondsText(seconds: number | null | undefined): string {
  return seconds === null || seconds === undefined ? '–' : renderDuration(seconds);
}

/** The link that keeps a node from passing: the first one that was missed, else the first one that is not known. */
export function culpritOf({ links, verdict }: ReportNode): ReportLink | undefined {
  if (verdict === 'pass' || verdict === null) return undefined;
  return links.find(({ state }) => state === 'missed') ?? links.find(({ state }) => state === 'unknown');
}
