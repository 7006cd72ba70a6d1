import type { Reaction } from '../../../../coordinator/catalogue/nma/reactions.ts';

/** A line, where it was read, and what is told of it. */
export type RuleRow<Where> = readonly [where: Where, line: string, expected: readonly string[]];

/** `event KernelReady SoftLockup: CPU stuck for 23s`, or with its severity in front. */
export function renderReaction(reaction: Reaction, first: 'appearsAs' | 'severity'): string {
  return `${reaction[first]} ${reaction.conditionType} ${reaction.reason}: ${reaction.message}`;
}

/** `SoftLockup:` of such a text. */
export function reasonIn(text: string): string | undefined {
  return text.split(' ')[2];
}
