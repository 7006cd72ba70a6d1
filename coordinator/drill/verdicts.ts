import { isReason, type Reason } from '../../shared/errors.ts';
import type { Verdict } from '../store/expectation.ts';
import type { InjectionStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';

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
  'log_file_missing',
];

/** It is not known whether the fault was there, so that silence proves nothing. */
const unproven: readonly Reason[] = [
  'order_interrupted',
  'read_back_failed',
  'injection_not_visible',
  'agent_unreachable',
  'process_not_paused',
  'order_stopped',
];
/** Of other reasons, only the diagnosis can tell whether something may have been written. */
const notProven = 'injection-not-proven';

export function verdictOfRefusal(reason: Reason, { code }: Pick<Explanation, 'code'>): Verdict {
  if (code === notProven || unproven.includes(reason)) return 'inconclusive';
  return brokenLinks.includes(reason) ? 'fail' : 'error';
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

/** Causes that hide a reaction rather than prevent it. What a gap in the watch hides stands in the timeline. */
const hiding: readonly string[] = [
  'already-false',
  'event-combined',
  'node-replaced',
  'reason-replaced',
  'wait-too-short',
  'nma-just-started',
  'injection-interrupted',
];

export function verdictAfterWait(
  explanation: Explanation,
  { timeline = [], receipt }: Pick<InjectionStatus, 'timeline' | 'receipt'>,
): Verdict {
  const { code } = explanation;
  if (code === notProven || hiding.includes(code)) return 'inconclusive';
  // Only what came late is no gap: nothing of it is missing.
  const isLost = timeline.some(({ kind, text }) => kind === 'gap' && text.includes('is lost'));
  if (isLost) return 'inconclusive';
  if (code !== 'injection-refused') return 'fail';
  // One surface took the fault and another did not: no word about the node.
  const refused = receipt?.surfaces.find(({ outcome }) => outcome !== 'injected')?.code;
  return refused !== undefined && isReason(refused) ? verdictOfRefusal(refused, explanation) : 'error';
}
