import type { Clock } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { faults } from '../catalogue/catalogue.ts';
import { links } from '../drill/links.ts';
import { previewTarget, type TargetPreview } from '../preview/preview.ts';
import type { ExperimentSpec } from '../store/experiment.ts';
import { markerOf, orderIdOf } from '../store/store.ts';
import { createPodDirectory } from '../view/agent-directory.ts';
import { createCollector } from '../view/collect.ts';
import type { Snapshot } from '../view/snapshot.ts';

/** Nodes that are looked at in full: each costs some reads, and the next would say much the same. */
const mostTargets = 3;

/** What a drill would do on one node, or why it cannot be planned there. */
export type DryTarget = TargetPreview | { readonly node: string; readonly refused: string };

/**
 * The plans of the first few nodes by what the caller may read: what would be written, what must follow, and what stands against it.
 * No agent is asked, which only the coordinator may do: which GPU and which host engine it is may be open.
 */
export async function dryTargets(options: {
  readonly snapshot: Snapshot;
  readonly name: string;
  readonly spec: ExperimentSpec;
  readonly nodes: readonly string[];
  readonly clock: Clock;
}): Promise<readonly DryTarget[]> {
  const { snapshot, name, spec, clock } = options;
  const { known, cluster } = snapshot;
  const inventory = () =>
    Promise.reject(new Refusal('agent_unknown', 'a dry run of the command line asks no agent'));
  const agents = { find: createPodDirectory(known), inventory };
  const collector = createCollector({ cluster, view: known, agents, clock });
  const targets: DryTarget[] = [];
  for (const node of options.nodes.slice(0, mostTargets)) {
    const orderId = orderIdOf(name, node);
    try {
      const facts = await collector.facts(node);
      targets.push(previewTarget(facts, { spec, orderId, marker: markerOf(orderId), rows: faults, links }));
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      targets.push({ node, refused: thrown.message });
    }
  }
  return targets;
}

/** A plan in a few lines. */
export function dryLines(target: DryTarget): readonly string[] {
  if ('refused' in target) return [`${target.node}: would be refused: ${target.refused}`];
  const { node, writes, chain, refusals, confidence, undo } = target;
  return [
    `${node}:`,
    ...writes.map(
      ({ afterSeconds, where, what, repeat }) =>
        `  writes ${what}  (${where}${afterSeconds === 0 ? '' : `, after ${renderDuration(afterSeconds)}`}${
          repeat === undefined
            ? ''
            : `, every ${repeat.everySeconds} s for ${renderDuration(repeat.forSeconds)}`
        })`,
    ),
    ...chain.map(({ id, expected }) => `  ${id}: ${expected}`),
    ...refusals.map(({ reason, message }) =>
      // Pods are all that can be seen from here.
      reason === 'agent_unknown'
        ? '  no pod of an agent is on the node: refused, unless the coordinator has its address (--agent)'
        : `  would be refused, ${reason}: ${message}`,
    ),
    `  confidence ${confidence.level}`,
    `  undo: ${undo}`,
  ];
}
