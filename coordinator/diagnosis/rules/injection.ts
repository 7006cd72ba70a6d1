import { isReason } from '../../../shared/errors.ts';
import type { Facts } from '../../view/facts.ts';
import { injectedOn, type Problem, problemsOf, seenInjection, seenProblem } from '../drill.ts';
import { capital } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';
import { agentDisarmed, agentUnknown, agentUnreachable } from './agent.ts';
import { dcgmServerMissing, engineLost } from './dcgm-server.ts';
import { nobodyListens, wrongEngine } from './engine.ts';
import { fieldIsAnotherQuantity } from './field.ts';
import { injectionInterrupted } from './interrupted.ts';
import { logFileMissing } from './log-file.ts';

/** Reasons that other rules say more about, where they find their cause in them. */
const explainedBy: Readonly<Record<string, readonly Rule[]>> = {
  agent_unknown: [agentUnknown],
  wrong_node: [agentUnknown],
  agent_unreachable: [agentUnreachable],
  disarmed: [agentDisarmed],
  field_value_no_effect: [fieldIsAnotherQuantity],
  nobody_listens: [wrongEngine, nobodyListens],
  engine_not_found: [dcgmServerMissing],
  engine_unreachable: [engineLost],
  log_file_missing: [logFileMissing],
  order_stopped: [injectionInterrupted],
};

/** It was tried, and nothing shows that it took effect. */
const unproven: ReadonlySet<string> = new Set([
  'read_back_failed',
  'injection_not_visible',
  'order_interrupted',
  'process_not_paused',
]);

/** Something broke: where the surface had begun, it may have been before the write or after it. */
const broken: ReadonlySet<string> = new Set([
  'dcgmi_timeout',
  'dcgmi_failed',
  'engine_unreachable',
  'internal',
]);

export const injectionNotProven: Rule = {
  code: 'injection-not-proven',
  title: 'The injection was tried and did not come back',
  link: 'reaction',
  judge(facts) {
    const problem = unexplained(facts).find(isUnproven);
    if (problem === undefined) return injectionStands(facts);
    return proven({
      summary: `The injection is not proven: ${problem.message}. Without the read-back a silent node says nothing about NMA.`,
      evidence: [
        seenProblem(problem),
        ...injectedOn(facts.drill).map((result) => seenInjection(facts, result)),
      ],
      remedy: `${remedyOf(problem) ?? 'Look at the agent’s log on the node'}; then drill again with a new order.`,
    });
  },
};

export const injectionRefused: Rule = {
  code: 'injection-refused',
  title: 'The agent refused the injection',
  link: 'reaction',
  judge(facts) {
    const problem = unexplained(facts).find((candidate) => !isUnproven(candidate));
    if (problem === undefined) return injectionStands(facts);
    const where = problem.surface === undefined ? '' : ` on surface ${problem.surface}`;
    const what = problem.refused
      ? 'was refused, and nothing was written'
      : 'failed before anything was written';
    return proven({
      summary: `The injection${where} ${what}: ${problem.message} (${problem.reason}).`,
      evidence: [
        seenProblem(problem),
        ...injectedOn(facts.drill).map((result) => seenInjection(facts, result)),
      ],
      remedy: `${remedyOf(problem) ?? allowedText(problem) ?? 'Correct what the message names'}; then drill again.`,
    });
  },
};

function injectionStands(facts: Facts): Judgement {
  const injected = injectedOn(facts.drill);
  if (injected.length === 0) return irrelevant;
  return refuted(`written and read back on ${injected.map(({ surface }) => surface).join(' and ')}`);
}

/** What no other rule explains. An order’s own refusal is that of one of its surfaces, if it has any. */
function unexplained(facts: Facts): readonly Problem[] {
  const problems = problemsOf(facts);
  const isRepeated = ({ reason, surface }: Problem) =>
    surface === undefined && problems.some((other) => other.surface !== undefined && other.reason === reason);
  return problems.filter((problem) => !isRepeated(problem) && !isExplained(facts, problem));
}

function isExplained(facts: Facts, { reason }: Problem): boolean {
  return (explainedBy[reason] ?? []).some((rule) => {
    const judgement = rule.judge(facts);
    return judgement.is === 'cause' && judgement.certainty === 'proven';
  });
}

function isUnproven({ reason, surface, refused }: Problem): boolean {
  if (unproven.has(reason)) return true;
  // Without a receipt, an unexpected failure does not say how far the order came.
  if (surface === undefined) return reason === 'internal';
  // A reason that is not ours is one of an agent that is newer than we are.
  return !refused && (broken.has(reason) || !isReason(reason));
}

function remedyOf({ details }: Problem): string | undefined {
  const { remedy } = details;
  return typeof remedy === 'string' && remedy.length > 0 ? capital(remedy) : undefined;
}

function allowedText({ details }: Problem): string | undefined {
  const { allowed } = details;
  return allowed === undefined
    ? undefined
    : `Allowed is ${typeof allowed === 'string' ? allowed : JSON.stringify(allowed)}`;
}
