import { advice, run } from '../../store/advice.ts';
import { injectedOn, problemsOf, seenProblem } from '../drill.ts';
import { irrelevant, proven, type Rule, refuted } from '../rule.ts';

/** The order reached an agent that knows of the engaged kill switch before its coordinator does. */
export const killSwitchEngaged: Rule = {
  code: 'kill-switch',
  title: 'The kill switch is engaged',
  link: 'order',
  verdict: 'error',
  judge(facts) {
    const problem = problemsOf(facts).find(({ reason }) => reason === 'kill_switch_engaged');
    if (problem === undefined) {
      return injectedOn(facts.drill).length > 0 ? refuted('the agent carried the order out') : irrelevant;
    }
    return proven({
      summary: `The agent on node ${facts.node.name} injects nothing: ${problem.message}.`,
      evidence: [seenProblem(problem)],
      ...advice`Ask whoever engaged it (${run('kubectl get configmap xidrill-killswitch -o yaml')}); when it is released, drill again.`,
    });
  },
};
