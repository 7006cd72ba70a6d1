import type { Reason } from '../../shared/errors.ts';
import type { TimelineEntry, Verdict } from '../../shared/schemas/expectation.ts';
import type { Explanation } from '../../shared/schemas/explanation.ts';

/**
 * Refusals that are findings about the cluster: the fault would have reached nobody. Every other refusal means that the
 * drill itself could not be made.
 */
const brokenLinks: readonly Reason[] = [
  'nobody_listens',
  'engine_not_found',
  'engine_unreachable',
  'gpu_not_in_engine',
  'dcgmi_not_found',
];

/** It is not known whether the fault was there, so that silence proves nothing. */
const unproven: readonly Reason[] = [
  'order_interrupted',
  'read_back_failed',
  'injection_not_visible',
  'agent_unreachable',
];

export function verdictOfRefusal(reason: Reason): Verdict {
  if (brokenLinks.includes(reason)) return 'fail';
  return unproven.includes(reason) ? 'inconclusive' : 'error';
}

/** Found before the order: nothing could be injected, which says nothing about the node's reaction. */
const undrillable: readonly string[] = [
  'agent-unknown',
  'agent-unreachable',
  'agent-disarmed',
  'injection-refused',
];

/** A cause that stops a drill before anything is written is a finding about the cluster, with two exceptions. */
export function verdictOfBlocking({ code }: Explanation): Verdict {
  if (hiding.includes(code)) return 'inconclusive';
  return undrillable.includes(code) ? 'error' : 'fail';
}

/** Causes that hide a reaction rather than prevent it. */
const hiding: readonly string[] = [
  'already-false',
  'observation-gap',
  'event-combined',
  'node-replaced',
  'reason-replaced',
  'wait-too-short',
  'nma-just-started',
];

export function verdictAfterWait(explanation: Explanation, timeline: readonly TimelineEntry[]): Verdict {
  if (hiding.includes(explanation.code)) return 'inconclusive';
  const isLost = timeline.some(({ kind, text }) => kind === 'gap' && text.includes('is lost'));
  return isLost ? 'inconclusive' : 'fail';
}
