import type { Expectation } from '../catalogue/expectation.ts';
import type { Baseline } from '../store/experiment.ts';
import type { Observation } from '../view/node.ts';
import { conditionMatch, findEvent, isExpectedText, type Match } from './judge.ts';

/** What a negative drill sees: `violated` is a reaction that must not be there. */
export type NoneJudgement =
  | { readonly is: 'violated'; readonly match: Match }
  /** `event`: the fault's own, where it has come and may. */
  | { readonly is: 'quiet'; readonly event: Match | undefined };

/**
 * Whether what stands on the node now is a reaction that must not come. Pure, and compared with the baseline only.
 * `own`: the events of the drill's own controls, which verify the path and are none of the fault's.
 */
export function judgeNone(
  expectation: Expectation,
  baseline: Baseline,
  seen: Observation,
  own: readonly Expectation[],
): NoneJudgement {
  const changed = conditionChange(expectation, baseline, seen);
  if (changed !== undefined) return { is: 'violated', match: changed };
  const isOwn = (message: string) => own.some((control) => isExpectedText(control, message));
  const event = findEvent(expectation, baseline, {
    ...seen,
    events: seen.events.filter(({ message }) => !isOwn(message)),
  });
  if (event === undefined || expectation.event !== 'forbidden') return { is: 'quiet', event };
  return { is: 'violated', match: { ...event, how: `${event.how}, and it must not come` } };
}

/** From anything to False; or False before, and then another reason or message. A condition that heals is no reaction. */
function conditionChange({ type }: Expectation, baseline: Baseline, seen: Observation): Match | undefined {
  const { condition: before } = baseline;
  const now = seen.conditions.find((condition) => condition.type === type);
  if (now === undefined || now.status !== 'False') return undefined;
  if (before?.status !== 'False')
    return conditionMatch(now, baseline, `${before?.status ?? 'absent'} → False`);
  if (now.message !== before.message)
    return conditionMatch(now, baseline, `already False, its message was "${before.message}"`);
  return now.reason === before.reason
    ? undefined
    : conditionMatch(now, baseline, `already False, its reason was ${before.reason}`);
}
