import { injectedOn, problemsOf, seenInjection } from '../diagnosis/drill.ts';
import { diagnose, onlyOrderRules } from '../diagnosis/explain.ts';
import { remedyAfter } from '../diagnosis/left-behind.ts';
import type { Rule } from '../diagnosis/rule.ts';
import { injectionNotProven } from '../diagnosis/rules/injection.ts';
import { injectionInterrupted } from '../diagnosis/rules/interrupted.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Verdict } from '../store/timeline.ts';
import type { Facts } from '../view/facts.ts';

/**
 * The verdict about the injection alone: `pass` where every part was written and read back, and what was sustained lasted to
 * its end. What NMA showed meanwhile is evidence and decides nothing. Pure.
 */
export function concludeInjectOnly(
  facts: Facts,
  rules: readonly Rule[],
): { readonly verdict: Verdict; readonly explanation: Explanation } {
  const { drill, node } = facts;
  const written = injectedOn(drill);
  if (injectionInterrupted.judge(facts).is === 'cause') return diagnose(facts, [injectionInterrupted]);
  if (drill?.refusal !== undefined || drill?.receipt === undefined || problemsOf(facts).length > 0)
    return diagnose(facts, onlyOrderRules(rules));
  if (
    written.length === 0 ||
    drill?.receipt?.state === 'running' ||
    written.some(({ readBack }) => readBack === undefined)
  )
    return { verdict: 'inconclusive', explanation: explainUnproven(facts) };
  const seen = (drill?.timeline ?? []).filter(({ kind }) => kind === 'event' || kind === 'condition');
  const surfaces = [...new Set(written.map(({ surface }) => surface))].join(' and ');
  const reactions =
    seen.length === 0 ? '' : ` ${seen.length} changes of events and conditions were seen meanwhile.`;
  return {
    verdict: 'pass',
    explanation: {
      code: 'injected',
      link: 'order',
      summary: `Injected on node ${node.name} and read back (${surfaces}). Whether NMA reacts was not judged: expectation.detection is ignore.${reactions}`,
      evidence: [
        ...written.map((result) => seenInjection(facts, result)),
        ...seen.map(({ source, text, at }) => ({ source, observed: text, at })),
      ],
      remedy: remedyAfter(facts),
      refuted: [],
      alsoFound: [],
    },
  };
}

/** Written, and something that would prove the whole of it is missing. */
function explainUnproven(facts: Facts): Explanation {
  const { drill, node } = facts;
  const what =
    drill?.receipt?.state === 'running'
      ? 'the agent did not say how it ended'
      : injectedOn(drill).length === 0
        ? 'the receipt names nothing that was written'
        : 'a part of it could not be read back';
  return {
    code: injectionNotProven.code,
    link: 'order',
    summary: `The injection on node ${node.name} is not proven: ${what}.`,
    evidence: injectedOn(drill).map((result) => seenInjection(facts, result)),
    remedy: 'Read the receipt from the agent itself (GetReceipt with the order id), then drill again.',
    refuted: [],
    alsoFound: [],
  };
}
