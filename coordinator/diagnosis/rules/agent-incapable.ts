import { causeOf } from '../../../shared/errors.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import { isForEngine, judgedEngine, problemsOf, seenProblem } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/**
 * What the agent itself lacks on its node is no finding about NMA, its engine or the node: an agent without nsenter can
 * ask no engine in a pod, and the engine is none the worse for it (R8 of field-cases.md).
 */
export const agentIncapable: Rule = {
  code: 'agent-incapable',
  title: 'The agent lacks what the injection takes',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge: judgeAgent,
};

const usualRemedy =
  'Run the agent as its chart does (root, privileged, hostPID: true) from its own image, which has nsenter; where the host engine has no dcgmi of its own, set agent.dcgm.sidecar.enabled=true.';

function judgeAgent(facts: Facts): Judgement {
  const { agent, drill } = facts;
  const problem = problemsOf(facts).find(({ reason }) => causeOf(reason) === agentIncapable.code);
  if (problem !== undefined) {
    const { remedy } = problem.details;
    return proven({
      summary: `The agent on node ${facts.node.name} cannot carry the order out: ${problem.message}. That says nothing about NMA or its engine.`,
      evidence: [seenProblem(problem)],
      remedy: typeof remedy === 'string' ? `${capital(remedy)}.` : usualRemedy,
    });
  }
  if (drill?.receipt !== undefined || problemsOf(facts).length > 0) return irrelevant;
  if (drill !== undefined && !isForEngine(drill)) return irrelevant;
  if (isUnread(agent.inventory)) return withoutInventory(agent.inventory);
  const engine = judgedEngine(facts);
  const unasked = agent.inventory.engines.filter(({ agentLacks }) => agentLacks !== undefined);
  if (engine?.nma.listening === true || unasked.length === 0)
    return agent.inventory.engines.length === 0
      ? irrelevant
      : refuted('the agent can ask the host engines of its node');
  return proven({
    summary: `The agent on node ${facts.node.name} cannot ask ${unasked.map(({ pid }) => `host engine ${pid}`).join(', ')}: ${unasked[0]?.agentLacks}. That says nothing about NMA or its engine.`,
    evidence: unasked.map(({ pid, agentLacks }) =>
      seen(facts, `agent ${facts.node.name} GetInventory engines[pid ${pid}].agentLacks`, agentLacks ?? ''),
    ),
    remedy: usualRemedy,
    blocks: drill !== undefined,
  });
}
