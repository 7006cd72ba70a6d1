import { injectedOn, type Problem, problemsOf, seenInjection, seenProblem } from '../drill.ts';
import type { Facts } from '../facts.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/** Reasons that have a rule of their own. */
const explainedElsewhere: ReadonlySet<string> = new Set([
  'agent_unknown',
  'agent_unreachable',
  'disarmed',
  'field_value_no_effect',
  'nobody_listens',
  'engine_unreachable',
]);

/** It was tried, and nothing shows that it took effect. */
const unproven: ReadonlySet<string> = new Set([
  'read_back_failed',
  'injection_not_visible',
  'order_interrupted',
  'dcgmi_timeout',
]);

export const injectionNotProven: Rule = {
  code: 'injection-not-proven',
  title: 'The injection was tried and did not come back',
  link: 'reaction',
  judge(facts) {
    const problem = problemsOf(facts).find(isUnproven);
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
    const problem = problemsOf(facts).find(
      (candidate) => !isUnproven(candidate) && !explainedElsewhere.has(candidate.reason),
    );
    if (problem === undefined) return injectionStands(facts);
    const where = problem.surface === undefined ? '' : ` on surface ${problem.surface}`;
    const what = problem.refused ? 'refused, and nothing was written' : 'failed';
    return proven({
      summary: `The injection${where} was ${what}: ${problem.message} (${problem.reason}).`.replace(
        'was failed',
        'failed',
      ),
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

function isUnproven(problem: Problem): boolean {
  if (explainedElsewhere.has(problem.reason)) return false;
  return unproven.has(problem.reason) || (!problem.refused && problem.surface !== undefined);
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

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
