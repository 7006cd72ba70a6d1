import { causeOf, isReason, rowOf } from '../../../shared/errors.ts';
import { mayBeInjected } from '../../store/injected.ts';
import type { Facts } from '../../view/facts.ts';
import { injectedOn, type Problem, problemsOf, seenInjection, seenProblem } from '../drill.ts';
import { capital } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';
import { agentAnswerInvalid, agentDisarmed, agentUnknown, agentUnreachable } from './agent.ts';
import { agentIncapable } from './agent-incapable.ts';
import { nodeNotOptedIn, policyRefused } from './consent.ts';
import { dcgmServerMissing } from './dcgm-server.ts';
import { nobodyListens, wrongEngine } from './engine.ts';
import { engineLost } from './engine-lost.ts';
import { fieldIsAnotherQuantity } from './field.ts';
import { injectionInterrupted } from './interrupted.ts';
import { journalMissing } from './journal.ts';
import { killSwitchEngaged } from './kill-switch.ts';
import { logFileMissing } from './log-file.ts';

/** Rules that find their cause in a refusal and say more about it; the table of reasons names them. */
const others: readonly Rule[] = [
  agentUnknown,
  agentUnreachable,
  agentAnswerInvalid,
  killSwitchEngaged,
  agentDisarmed,
  nodeNotOptedIn,
  policyRefused,
  agentIncapable,
  fieldIsAnotherQuantity,
  // What `nobody_listens` is where NMA listens on another engine.
  { ...wrongEngine, code: nobodyListens.code },
  nobodyListens,
  dcgmServerMissing,
  engineLost,
  logFileMissing,
  journalMissing,
  injectionInterrupted,
];

/** It was tried, and no read-back proves it. */
export const injectionNotProven: Rule = {
  code: 'injection-not-proven',
  title: 'The injection was tried and did not come back',
  link: 'order',
  verdict: 'inconclusive',
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

/** The agent refused for a reason that no other rule explains. */
export const injectionRefused: Rule = {
  code: 'injection-refused',
  title: 'The agent refused the injection',
  link: 'order',
  verdict: 'error',
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
      ...(isReason(problem.reason) ? { verdict: rowOf(problem.reason).verdict } : {}),
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
  const code = causeOf(reason);
  return others.some((rule) => {
    if (rule.code !== code) return false;
    const judgement = rule.judge(facts);
    return judgement.is === 'cause' && judgement.certainty === 'proven';
  });
}

function isUnproven(problem: Problem): boolean {
  const { surface, refused } = problem;
  return mayBeInjected(problem, surface === undefined ? undefined : refused ? 'refused' : 'failed');
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
