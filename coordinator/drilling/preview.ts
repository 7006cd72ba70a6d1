import type { Clock } from '../../shared/clock.ts';
import { findFault } from '../catalogue/parameters.ts';
import type { Cluster } from '../cluster/port.ts';
import { askedForFirst } from '../plan/no-target.ts';
import { candidateFrom, selectNodes } from '../plan/select.ts';
import type { ExperimentSpec, SkippedNode } from '../store/experiment.ts';
import { canICommand, type Snapshot, takeSnapshot } from '../view/snapshot.ts';

/** What a dry run shows beside the Experiment itself. */
export type DryRun = {
  /** Absent: nodes may not be listed by the caller. */
  readonly chosen?: readonly string[];
  /** Those that were asked for first. */
  readonly skipped: readonly SkippedNode[];
  /** What the caller may not read so far, as commands that show it. */
  readonly notRead: () => readonly string[];
  /** What was read for it. */
  readonly snapshot: Snapshot;
};

/**
 * Which nodes a drill would take now, by the rules that choose them; nodes that another experiment works on are not left out, which
 * only the coordinator knows. Refuses as the selection does.
 */
export async function previewDrill(options: {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly spec: ExperimentSpec;
  readonly clock: Clock;
}): Promise<DryRun> {
  const snapshot = await takeSnapshot(options);
  const { known, missing } = snapshot;
  const notRead = () => missing().map(canICommand);
  if (known.unread('nodes') !== undefined) return { skipped: [], notRead, snapshot };
  const { target = {}, fault } = options.spec;
  const candidates = known.all('nodes').map((node) => candidateFrom(node));
  const { chosen, skipped } = selectNodes(candidates, target, target.seed ?? 0, findFault(fault.name));
  return { chosen: chosen.map(({ name }) => name), skipped: askedForFirst(skipped), notRead, snapshot };
}
