import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import type { NodeRepairConfig } from '../../catalogue/repair/eks.ts';
import type { Cluster, KubeObject } from '../../cluster/port.ts';
import { createReflector } from '../../cluster/reflector.ts';
import { groupOf, list, text } from '../../view/node.ts';
import { createWorkloads } from '../karpenter/workloads.ts';
import { nextNodeObject } from '../objects.ts';
import { type GroupRepair, isPaused, repairOf } from './rules.ts';

/** Between two looks; how often the real one looks is not documented. */
const lookMs = 15_000;
/** How long a drained instance takes to be terminated, a new one to be Ready, and one to start again; assumed. */
const usualMs = { terminate: 20_000, launch: 60_000, reboot: 90_000 };

/** Auto repair of managed node groups: a model of what EKS documents and users saw (field-cases F11), not its code. */
export function startNodeGroups(deps: {
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  /** By the name of the group; a group without repairs nothing. */
  readonly groups: Readonly<Record<string, NodeRepairConfig>>;
  /** Called when an instance is gone: its machine goes with it. */
  readonly onGone: (node: string) => Promise<void>;
  /** Called when an instance starts again: so do all processes on it. */
  readonly onReboot: (node: string) => Promise<void>;
  readonly log: Log;
}): { stop(): Promise<void> } {
  const { cluster, clock, newId, groups, log } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const busy = new Map<string, Promise<void>>();
  const booted = new Map<string, number>();
  const nodes = createReflector({ ...deps, resource: 'nodes', onChange: () => undefined });
  const { displacedOn, displace, bindWaiting } = createWorkloads(deps);

  /** The node lifecycle controller makes a taint of it, which the stand-in lacks. */
  async function cordon(name: string, unschedulable: boolean): Promise<void> {
    const node = await cluster.read('nodes', { name });
    const others = list(node, 'spec', 'taints').filter((one) => text(one, 'key') !== cordonTaint.key);
    const taints = unschedulable ? [...others, cordonTaint] : others;
    const spec = unschedulable ? { unschedulable, taints } : { unschedulable: null, taints: orNull(taints) };
    await cluster.patch('nodes', { name }, { spec });
  }

  async function evict(node: KubeObject): Promise<void> {
    await displace(await displacedOn(node), { isEvicted: true, isEndless: false });
  }

  async function replace(node: KubeObject): Promise<void> {
    const { name } = node.metadata;
    await clock.sleep(usualMs.terminate, signal);
    await deps.onGone(name);
    const left = await cluster.list('pods', { fieldSelector: `spec.nodeName=${name}` });
    await cluster.remove('nodes', { name });
    for (const { metadata } of left.items)
      await cluster.remove('pods', { name: metadata.name, namespace: metadata.namespace ?? '' });
    await clock.sleep(usualMs.launch, signal);
    const next = `${groupOf(node) ?? ''}-${newId().slice(0, 8)}`;
    await cluster.create('nodes', nextNodeObject(node, next, clock.now()));
    await bindWaiting(next);
  }

  async function reboot({ metadata: { name } }: KubeObject): Promise<void> {
    await clock.sleep(usualMs.reboot, signal);
    await cluster.patch('nodes', { name }, { status: { nodeInfo: { bootID: newId() } } }, 'status');
    booted.set(name, clock.now());
    await deps.onReboot(name);
    await cordon(name, false);
    await bindWaiting(name);
  }

  async function repair(node: KubeObject, action: GroupRepair['action']): Promise<void> {
    await cordon(node.metadata.name, true);
    await evict(node);
    await (action === 'replace' ? replace(node) : reboot(node));
  }

  function lookAt(node: KubeObject): void {
    const { name } = node.metadata;
    const config = groups[groupOf(node) ?? ''];
    if (config?.enabled !== true || busy.has(name)) return;
    const due = repairOf(node, config, booted.get(name));
    if (due === undefined || due.dueMs > clock.now()) return;
    const peers = nodes.store.list().filter((other) => groupOf(other) === groupOf(node));
    if (isPaused(peers, config)) return;
    const done = repair(node, due.action)
      .catch((thrown) => {
        if (!signal.aborted) log.error({ err: thrown, node: name }, 'the simulated node group failed');
      })
      .finally(() => busy.delete(name));
    busy.set(name, done);
  }

  async function run(): Promise<void> {
    nodes.start(signal);
    await nodes.ready;
    while (!signal.aborted) {
      for (const node of nodes.store.list()) lookAt(node);
      await clock.sleep(lookMs, signal);
    }
  }

  const running = run().catch((thrown) => {
    if (!signal.aborted) log.error({ err: thrown }, 'the simulated node groups stopped');
  });
  return {
    async stop() {
      stopping.abort(new Error('the node groups end'));
      await nodes.stop();
      await running;
      await Promise.all(busy.values());
    },
  };
}

const cordonTaint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

function orNull<T>(values: readonly T[]): readonly T[] | null {
  return values.length === 0 ? null : values;
}
