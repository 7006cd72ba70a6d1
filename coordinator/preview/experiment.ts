import { inParallel } from '../../shared/parallel.ts';
import { contextFromFacts, plannedDrill, planTarget } from '../plan/plan.ts';
import { type Asked, agentsAtOnce, type Choice, type Planner } from '../plan/planner.ts';
import { asDrilledTogether } from '../repair/expected.ts';
import type { Collector } from '../view/collect.ts';
import { previewTarget, type TargetPreview } from './preview.ts';

/** What an experiment would do to which nodes. */
export type ExperimentPreview = Pick<Choice, 'seed' | 'skipped'> & {
  readonly targets: readonly TargetPreview[];
};

/**
 * Selects as a run would and shows each target with all that can be known of it: its agent is asked what it has, and
 * nothing is ordered. Refuses as the planner does.
 */
export async function previewExperiment(
  deps: { readonly planner: Planner; readonly collector: Pick<Collector, 'facts'> },
  experiment: Asked,
): Promise<ExperimentPreview> {
  const { seed, nodes, skipped } = await deps.planner.choose(experiment);
  const drilled = await inParallel(nodes, agentsAtOnce, async (name) => {
    const facts = await deps.collector.facts(name);
    const plan = planTarget({
      ...deps.planner.inputFor(experiment, name),
      context: contextFromFacts(facts),
    });
    return { ...facts, drill: plannedDrill(plan, experiment.spec.fault.name) };
  });
  const targets = asDrilledTogether(drilled).map((facts) => {
    const { node: _node, ...input } = deps.planner.inputFor(experiment, facts.node.name);
    return previewTarget(facts, input);
  });
  return { seed, targets, skipped };
}
