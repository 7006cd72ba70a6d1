import { advice, run } from '../../store/advice.ts';
import { type Facts, isUnread, type Unread } from '../../view/facts.ts';
import { problemsOf, seenProblem } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted, unknown } from '../rule.ts';

/** No pod and no `--agent` entry for the node, or the agent of another node at its address. */
export const agentUnknown: Rule = {
  code: 'agent-unknown',
  title: 'No agent runs on the node',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge(facts) {
    const problem = problemFor(facts, 'agent_unknown') ?? problemFor(facts, 'wrong_node');
    if (facts.agent.url !== undefined && problem === undefined)
      return refuted(`the agent is at ${facts.agent.url}`);
    if (problem === undefined && hasAnswered(facts)) return irrelevant;
    if (problem === undefined && facts.agent.directory !== undefined)
      return unknown(facts.agent.directory.unread);
    return proven({
      summary: `No Xidrill agent is known for node ${facts.node.name}: nothing can be injected there.`,
      evidence: [
        problem === undefined
          ? seen(
              facts,
              `pods on node ${facts.node.name}`,
              'no ready agent pod, and no address given for the node',
            )
          : seenProblem(problem),
      ],
      ...advice`Give the coordinator --agent ${facts.node.name}=URL, or see why the agent’s DaemonSet has no ready pod there: ${run(`kubectl get pods -A -o wide --field-selector spec.nodeName=${facts.node.name}`)}; compare its nodeSelector and tolerations with ${run(`kubectl describe node ${facts.node.name}`)}.`,
      blocks: facts.drill !== undefined,
    });
  },
};

/** Does not block: it may answer the order, and if it does not, the order's refusal says so. */
export const agentUnreachable: Rule = {
  code: 'agent-unreachable',
  title: 'The agent on the node does not answer',
  link: 'order',
  verdict: 'inconclusive',
  judge(facts) {
    const { inventory, url } = facts.agent;
    const problem = problemFor(facts, 'agent_unreachable');
    if (problem === undefined && (!isUnread(inventory) || isInvalid(inventory)))
      return refuted(`the agent answered from ${url ?? 'the node'}`);
    if (problem === undefined && (url === undefined || hasAnswered(facts))) return irrelevant;
    const evidence =
      problem === undefined
        ? seen(facts, `agent ${facts.node.name} GetInventory`, isUnread(inventory) ? inventory.unread : '')
        : seenProblem(problem);
    const remedy = problem === undefined ? isUnread(inventory) && inventory.remedy : problem.details.remedy;
    const isUnsent = problem === undefined || problem.details.isUnsent === true;
    const outcome = isUnsent ? '' : ' Whether anything was injected cannot be known from here.';
    return proven({
      summary: `The agent on node ${facts.node.name} is unreachable: ${evidence.observed.replace(/^agent_unreachable: /, '')}.${outcome}`,
      evidence: [evidence],
      remedy: `${typeof remedy === 'string' ? capital(remedy) : 'Look at the agent’s pod on that node'}. The same order id can be sent again: it is carried out once.`,
    });
  },
};

/**
 * Blocks: what cannot be read of the node cannot be judged, and an agent that answers so does not prove what it writes. Asked
 * again it answers the same.
 */
export const agentAnswerInvalid: Rule = {
  code: 'agent-answer-invalid',
  title: 'The answer of the agent cannot be used',
  link: 'order',
  verdict: 'inconclusive',
  mayBlock: 'any',
  judge(facts) {
    const { inventory, url } = facts.agent;
    const problem = problemFor(facts, 'agent_answer_invalid');
    const invalid = isUnread(inventory) && isInvalid(inventory) ? inventory : undefined;
    if (problem === undefined && hasAnswered(facts)) return irrelevant;
    if (problem === undefined && invalid === undefined) {
      return isUnread(inventory)
        ? withoutInventory(inventory)
        : refuted(`the inventory from ${url ?? 'the node'} has the documented form`);
    }
    const evidence =
      problem === undefined
        ? seen(facts, `agent ${facts.node.name} GetInventory`, invalid?.unread ?? '')
        : seenProblem(problem);
    const remedy = problem === undefined ? invalid?.remedy : problem.details.remedy;
    const what = problem === undefined ? (invalid?.unread ?? '') : problem.message;
    const outcome =
      problem === undefined
        ? ' Nothing was sent to it.'
        : ' Whether anything was injected cannot be known from here; the order is not sent again.';
    return proven({
      summary: `${capital(what)}.${outcome}`,
      evidence: [evidence],
      ...advice`${typeof remedy === 'string' ? capital(remedy) : 'Install agent and coordinator of the same version'}: ${run(`kubectl get pods -A -o wide --field-selector spec.nodeName=${facts.node.name}`)}.`,
      blocks: facts.drill !== undefined,
    });
  },
};

function isInvalid({ reason }: Unread): boolean {
  return reason === 'agent_answer_invalid';
}

/** The agent runs without `--arm`. */
export const agentDisarmed: Rule = {
  code: 'agent-disarmed',
  title: 'The agent is disarmed',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge: judgeArmed,
};

function judgeArmed(facts: Facts): Judgement {
  const { inventory } = facts.agent;
  const problem = problemFor(facts, 'disarmed');
  const isDisarmed = !isUnread(inventory) && !inventory.armed;
  if (problem === undefined && !isDisarmed) {
    return isUnread(inventory) ? withoutInventory(inventory) : refuted('the agent says that it is armed');
  }
  if (problem === undefined && hasAnswered(facts)) return irrelevant;
  return proven({
    summary: `The agent on node ${facts.node.name} is disarmed: it refuses every injection.`,
    evidence: [
      problem === undefined
        ? seen(facts, `agent ${facts.node.name} GetInventory armed`, 'false')
        : seenProblem(problem),
    ],
    remedy:
      'Start the agent with --arm (XIDRILL_ARM; in the chart agent.armed=true), and only where nodes may be drilled.',
    blocks: facts.drill !== undefined,
  });
}

/** With a receipt or a refusal: how the agent stands now explains nothing about that order. */
function hasAnswered(facts: Facts): boolean {
  return facts.drill?.receipt !== undefined || problemsOf(facts).length > 0;
}

function problemFor(facts: Facts, reason: string) {
  return problemsOf(facts).find((problem) => problem.reason === reason);
}
