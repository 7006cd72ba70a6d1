import { isUnread } from '../../view/facts.ts';
import { problemsOf, seenProblem } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { irrelevant, proven, type Rule, refuted } from '../rule.ts';

/** The agent asks for a file that the owner of the node places there (--opt-in-file), and it is not there. */
export const nodeNotOptedIn: Rule = {
  code: 'node-not-opted-in',
  title: 'The owner of the node has not opted in',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge(facts) {
    const { inventory } = facts.agent;
    const problem = problemsOf(facts).find(({ reason }) => reason === 'node_not_opted_in');
    if (problem === undefined && (facts.drill?.receipt !== undefined || problemsOf(facts).length > 0))
      return irrelevant;
    if (problem === undefined && isUnread(inventory)) return withoutInventory(inventory);
    const optIn = isUnread(inventory) ? undefined : inventory.optIn;
    if (problem === undefined && optIn === undefined) return irrelevant;
    if (problem === undefined && optIn?.given === true) return refuted('the owner of the node has opted in');
    const because = problem?.message ?? optIn?.because ?? 'this node has not opted in to injections';
    const remedy = problem === undefined ? optIn?.remedy : problem.details.remedy;
    return proven({
      summary: `The agent on node ${facts.node.name} injects nothing: ${because}.`,
      evidence: [
        problem === undefined
          ? seen(facts, `agent ${facts.node.name} GetInventory optIn`, because)
          : seenProblem(problem),
      ],
      remedy: `${typeof remedy === 'string' ? capital(remedy) : 'Have the owner of the node place the file of --opt-in-file (in the chart agent.optIn)'}. The label of the node alone does not count there.`,
      blocks: facts.drill !== undefined,
    });
  },
};

/** The agent takes the coordinator for a direct caller, and its policy allows it nothing. */
export const policyRefused: Rule = {
  code: 'policy-refused',
  title: 'The agent does not know the coordinator',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge(facts) {
    const { inventory } = facts.agent;
    const problem = problemsOf(facts).find(({ reason }) => reason === 'policy_refused');
    if (problem === undefined && facts.drill?.receipt !== undefined)
      return refuted('the agent let the coordinator inject');
    if (problem === undefined && problemsOf(facts).length > 0) return irrelevant;
    const caller = isUnread(inventory) ? undefined : inventory.caller;
    if (problem === undefined && isUnread(inventory)) return withoutInventory(inventory);
    if (problem === undefined && caller === undefined) return irrelevant;
    if (problem === undefined && caller !== undefined && caller.methods.length > 0)
      return refuted('the agent lets the coordinator inject');
    const because = problem?.message ?? caller?.because ?? 'its policy allows this coordinator nothing';
    const allowed = problem === undefined ? caller?.coordinator : problem.details.allowed;
    const value = problem === undefined ? caller?.user : problem.details.value;
    const known =
      typeof allowed === 'string'
        ? `It takes ${allowed} for the coordinator`
        : 'It was given no user as its coordinator';
    const called = typeof value === 'string' && value !== '' ? `, and was called by ${value}` : '';
    return proven({
      summary: `The agent on node ${facts.node.name} injects nothing for this coordinator: ${because}. ${known}${called}.`,
      evidence: [
        problem === undefined
          ? seen(facts, `agent ${facts.node.name} GetInventory caller`, because)
          : seenProblem(problem),
      ],
      remedy:
        'Start the agent with --coordinator-user and the user of the coordinator’s ServiceAccount, system:serviceaccount:NAMESPACE:NAME (the chart does), or install both from one release; then drill again.',
      blocks: facts.drill !== undefined && problem === undefined,
    });
  },
};
