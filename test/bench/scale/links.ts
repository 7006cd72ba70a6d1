import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { createReflector } from '../../../coordinator/cluster/reflector.ts';
import { list, text } from '../../../coordinator/view/node.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import type { Row } from '../rows.ts';
import { median, percentile } from '../statistics.ts';
import { namespace, setLabel } from './objects.ts';

/** The product's promise for a link after the API server sent what reaches it. */
const linkBelowMs = 100;
/** The nodes are those of a managed node group, which cordons. */
const cordoned = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

type Deps = {
  readonly url: string;
  readonly cluster: Cluster;
  /** The nodes of the drill. */
  readonly targets: readonly string[];
  /** Between two changes. */
  readonly everyMs: number;
  /** Nodes that are watched. */
  readonly nodes: number;
  readonly waitSeconds: number;
};

/** Milliseconds of `performance.now()` by node, when the API server sent it to this process. */
type Times = Map<string, number>;

/**
 * How long after the API server sent a taint the Injection with that link reached comes back. Nobody repairs these nodes: this process
 * taints them one after the other, as a controller would.
 */
export async function measureLinks(deps: Deps): Promise<readonly Row[]> {
  const { cluster, targets, everyMs, nodes } = deps;
  const times = await watchLinks(cluster, new Set(targets));
  try {
    await post(deps);
    const isAt = (stored: Times) => until(deps, () => stored.size >= targets.length);
    await isAt(times.stored.detection);
    for (const name of targets) {
      await cluster.patch('nodes', { name }, { spec: { taints: [cordoned] } });
      await sleep(everyMs);
    }
    await isAt(times.stored.taint);
  } finally {
    await times.stop();
  }
  return linkRows('taint', times.sent.taint, times.stored.taint, nodes);
}

async function until({ waitSeconds }: Deps, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + waitSeconds * 1000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error('the links of the paced drill were not stored in time');
    await sleep(50);
  }
}

async function post({ url, targets }: Deps): Promise<void> {
  const response = await fetch(`${url}/api/v1/experiments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      name: 'bench-links',
      fault: { name: 'xid', parameters: { xid: 109 } },
      target: { mode: 'all', selector: { matchLabels: { [setLabel(targets.length)]: 'yes' } } },
      expectation: { then: [{ link: 'taint' }], force: true },
    }),
  });
  if (!response.ok)
    throw new Error(`POST: HTTP ${response.status} ${(await response.text()).slice(0, 2000)}`);
}

async function watchLinks(cluster: Cluster, targets: ReadonlySet<string>) {
  const base = { cluster, clock: createRealClock(), random: Math.random, log: createSilentLog() };
  const sent = { taint: new Map() as Times };
  const stored = { detection: new Map() as Times, taint: new Map() as Times };
  const isTainted = (node: KubeObject) =>
    list(node, 'spec', 'taints').some((taint) => text(taint, 'key') === cordoned.key);
  const reflectors = [
    createReflector({
      ...base,
      resource: 'nodes',
      onChange: ({ type, object: { metadata }, object }) => {
        if (type === 'modified' && targets.has(metadata.name) && isTainted(object))
          once(sent.taint, metadata.name);
      },
    }),
    createReflector({
      ...base,
      resource: 'injections',
      query: { namespace },
      onChange: ({ object }) => {
        const spec = object.spec as { readonly experiment: string; readonly node: string };
        if (spec.experiment !== 'bench-links') return;
        for (const link of list(object, 'status', 'links')) {
          const name = text(link, 'link') ?? '';
          if (text(link, 'state') === 'reached' && name in stored)
            once(stored[name as keyof typeof stored], spec.node);
        }
      },
    }),
  ];
  for (const reflector of reflectors) reflector.start();
  await Promise.all(reflectors.map(({ ready }) => ready));
  const stop = async () => {
    await Promise.all(reflectors.map((reflector) => reflector.stop()));
  };
  return { sent, stored, stop };
}

function once(times: Times, node: string): void {
  if (!times.has(node)) times.set(node, performance.now());
}

function linkRows(link: string, sent: Times, stored: Times, nodes: number): readonly Row[] {
  const delays = [...stored].flatMap(([node, at]) => {
    const from = sent.get(node);
    return from === undefined ? [] : [at - from];
  });
  const title = `link ${link} stored after its change was sent, ${nodes} nodes watched`;
  return [
    { name: `${title}, p50`, value: median(delays), unit: 'ms' },
    {
      name: `${title}, p99`,
      value: percentile(delays, 99),
      unit: 'ms',
      target: { below: linkBelowMs },
      note: `${delays.length} changes, one after the other, seen by a watch of another process`,
    },
  ];
}
