import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { inParallel } from '../../shared/parallel.ts';
import type { PodExec } from '../cluster/exec.ts';
import { createPodDirectory } from '../view/agent-directory.ts';
import { createCollector, type KnownObjects, type ReadCluster } from '../view/collect.ts';
import type { Facts } from '../view/facts.ts';
import { hasGpu } from '../view/node.ts';
import { canICommand, type Snapshot, takeSnapshot } from '../view/snapshot.ts';
import { askEngines } from './engines.ts';
import { examineNode } from './examine.ts';
import { groupNodes, resultOf } from './group.ts';
import { type DoctorReport, doctorSchema, type NodeFinding, type NotRead } from './report.ts';

/** Which nodes are asked about; neither: every GPU node. */
export type DoctorTarget = {
  /** Names. */
  readonly nodes?: readonly string[];
  /** As `kubectl -l` takes it. */
  readonly selector?: string;
};

/**
 * Every GPU node of the cluster against the links of the chain, by the caller's own rights and without writing anything.
 * Throws `node_missing` for a name that there is not, and as `takeSnapshot` does.
 */
export async function examineCluster(options: {
  readonly cluster: ReadCluster;
  /** Where our agents would be. */
  readonly namespace: string;
  readonly target: DoctorTarget;
  readonly clock: Clock;
  /** Asks the host engines as well; absent: no command is run anywhere. */
  readonly exec?: PodExec | undefined;
}): Promise<DoctorReport> {
  const { clock, target } = options;
  const snapshot = await takeSnapshot(options);
  const asked = await nodesOf(snapshot, target);
  const examined = (await standingOf(snapshot, asked, clock)).map(examineNode);
  const { nodes, notRead } =
    options.exec === undefined
      ? { nodes: examined, notRead: [] }
      : await askEngines(examined, snapshot, options.exec, isoFromMillis(clock.now()));
  return reportOn({ known: snapshot.known, nodes, clock, notRead: [...notReadOf(snapshot), ...notRead] });
}

/** The report on some nodes, by what is known of the cluster: a snapshot, or a coordinator's view. Pure but for the time. */
export function reportOn(options: {
  readonly known: Pick<KnownObjects, 'all' | 'unread'>;
  /** Those that are reported on. */
  readonly nodes: readonly NodeFinding[];
  readonly clock: Clock;
  readonly notRead: readonly NotRead[];
}): DoctorReport {
  const { known, nodes, clock, notRead } = options;
  const all = known.all('nodes');
  const unread = known.unread('nodes');
  const counts = { nodes: all.length, gpuNodes: all.filter(hasGpu).length, asked: nodes.length };
  return {
    schema: doctorSchema,
    at: isoFromMillis(clock.now()),
    result: resultOf(nodes),
    summary: unread === undefined ? summaryOf(counts, nodes) : `Nothing can be judged: ${unread.unread}.`,
    counts,
    groups: groupNodes(nodes),
    nodes,
    notRead,
  };
}

/** What is known of each of the named nodes, which there are, in their order. */
export function standingOf(
  { cluster, known }: Snapshot,
  names: readonly string[],
  clock: Clock,
): Promise<readonly Facts[]> {
  const collector = createCollector({
    cluster,
    view: known,
    agents: {
      find: createPodDirectory(known),
      inventory: () => Promise.reject(new Refusal('agent_unknown', 'no agent is asked')),
    },
    clock,
  });
  return inParallel(names, 50, (name) => collector.standing(name));
}

/** What the caller may not read, as far as it was asked for up to now. */
export function notReadOf(snapshot: Snapshot): readonly NotRead[] {
  return snapshot.missing().map((right) => ({
    what: `${right.verb} ${right.resource}`,
    because: right.because,
    command: canICommand(right),
  }));
}

/** Names of the nodes that are asked about, sorted. Throws `node_missing`. Names are taken as they are, GPU or not; a selector chooses among GPU nodes. */
export async function nodesOf(
  { known, cluster }: Snapshot,
  target: DoctorTarget,
): Promise<readonly string[]> {
  if (target.nodes !== undefined && target.nodes.length > 0) {
    const missing = known.isCurrent('nodes') && target.nodes.find((name) => known.node(name) === undefined);
    if (typeof missing === 'string')
      throw new Refusal('node_missing', `there is no node "${missing}"`, { field: 'node', value: missing });
    return target.nodes.filter((name) => known.node(name) !== undefined).toSorted();
  }
  const gpuNodes = known.all('nodes').filter(hasGpu);
  const names = gpuNodes.map(({ metadata }) => metadata.name).toSorted();
  if (target.selector === undefined || names.length === 0) return names;
  // The API server's own reading of a selector is the right one.
  const chosen = await cluster.list('nodes', {
    labelSelector: target.selector,
    project: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata: { name: metadata.name } }),
  });
  const isChosen = new Set(chosen.items.map(({ metadata }) => metadata.name));
  return names.filter((name) => isChosen.has(name));
}

function summaryOf(counts: DoctorReport['counts'], nodes: readonly NodeFinding[]): string {
  if (nodes.length === 0)
    return counts.gpuNodes === 0
      ? `None of the ${counts.nodes} nodes shows an NVIDIA GPU (device plugin, labels, instance type).`
      : `None of the ${counts.gpuNodes} GPU nodes is selected.`;
  const of = (link: 'detection' | 'taint', state: string) =>
    nodes.filter(({ links }) => links[link].state === state).length;
  const total = nodes.length === 1 ? '1 GPU node' : `${nodes.length} GPU nodes`;
  const parts = (['detection', 'taint'] as const).map((link) => {
    const what = link === 'detection' ? 'faults are detected' : 'repair follows';
    const open = of(link, 'unknown');
    return `${what} on ${of(link, 'ok')}${open === 0 ? '' : ` (not known on ${open})`}`;
  });
  return `${total}: ${parts.join(', ')}.`;
}
