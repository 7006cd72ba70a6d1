import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { createReflector } from '../../../coordinator/cluster/reflector.ts';
import { list, text } from '../../../coordinator/view/node.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import type { Row } from '../rows.ts';
import { median, percentile } from '../statistics.ts';
import { createNodes, type PlacedNode } from './cluster.ts';
import { namespace, setLabel } from './objects.ts';

/** The product's promise for a link after the API server sent what reaches it. */
const linkBelowMs = 100;
/** The nodes are those of a managed node group, which cordons. */
const cordoned = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };
/** The links of the drill after detection, in their order. */
const links = ['taint', 'drain', 'termination', 'replacement'] as const;
type Link = (typeof links)[number];

type Deps = {
  readonly url: string;
  readonly cluster: Cluster;
  /** The nodes of the drill. Afterwards they are gone. */
  readonly targets: readonly PlacedNode[];
  /** Those that come in their places, as many. */
  readonly replacements: readonly PlacedNode[];
  /** Of a Node object. */
  readonly nodeBytes: number;
  /** Between two changes. */
  readonly everyMs: number;
  /** Nodes that are watched. */
  readonly nodes: number;
  readonly waitSeconds: number;
};

/** Milliseconds of `performance.now()` when the API server sent it to this process, by node; of a replacement by the uid of the new one. */
type Times = Map<string, number>;

/**
 * How long after the API server sent a taint, the deletion of the last pod, that of the Node, and a new Node the Injection with that link
 * reached comes back. Nobody repairs these nodes: this process changes one after the other, as a controller would.
 */
export async function measureLinks(deps: Deps): Promise<readonly Row[]> {
  const { cluster, targets, replacements, nodeBytes, everyMs, nodes } = deps;
  for (const { row } of targets) await cluster.create('pods', workOn(row.name));
  const times = await watchLinks(deps);
  const change: Readonly<Record<Link, (index: number, name: string) => Promise<unknown>>> = {
    taint: (_, name) => cluster.patch('nodes', { name }, { spec: { taints: [cordoned] } }),
    drain: (_, name) => cluster.remove('pods', { namespace: workNamespace, name: workName(name) }),
    termination: (_, name) => cluster.remove('nodes', { name }),
    replacement: (index) => createNodes(cluster, replacements.slice(index, index + 1), nodeBytes),
  };
  try {
    await post(deps);
    const isAt = (link: Link | 'detection') =>
      until(deps, link, () => (times.stored[link]?.size ?? 0) >= targets.length);
    await isAt('detection');
    for (const link of links) {
      for (const [index, { row }] of targets.entries()) {
        const next = sleep(everyMs);
        await change[link](index, row.name);
        await next;
      }
      await isAt(link);
    }
  } finally {
    await times.stop();
  }
  return links.flatMap((link) => linkRows(link, times.sent[link], times.stored[link], nodes));
}

const workNamespace = 'default';
const workName = (node: string) => `work-${node}`;

/** A pod that has to leave; without a kubelet it is gone at once only where it needs no grace. */
const workOn = (node: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: workName(node), namespace: workNamespace },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 0,
    containers: [{ name: 'work', image: 'registry.invalid/work:1' }],
  },
});

async function until({ waitSeconds }: Deps, what: string, isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + waitSeconds * 1000;
  while (!isSo()) {
    if (performance.now() > deadline)
      throw new Error(`link ${what} of the paced drill was not stored everywhere in time`);
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
      expectation: { then: links.map((link) => ({ link })), force: true },
    }),
  });
  if (!response.ok)
    throw new Error(`POST: HTTP ${response.status} ${(await response.text()).slice(0, 2000)}`);
}

async function watchLinks({ cluster, targets, replacements }: Deps) {
  const base = { cluster, clock: createRealClock(), random: Math.random, log: createSilentLog() };
  const drilled = new Set(targets.map(({ row }) => row.name));
  const coming = new Set(replacements.map(({ row }) => row.name));
  const noTimes = (): Record<Link | 'detection', Times> => ({
    detection: new Map(),
    taint: new Map(),
    drain: new Map(),
    termination: new Map(),
    replacement: new Map(),
  });
  const [sent, stored] = [noTimes(), noTimes()];
  const isTainted = (node: KubeObject) =>
    list(node, 'spec', 'taints').some((taint) => text(taint, 'key') === cordoned.key);
  const reflectors = [
    createReflector({
      ...base,
      resource: 'nodes',
      onChange: ({ type, object: { metadata }, object }) => {
        const { name, uid = '' } = metadata;
        if (type === 'added' && coming.has(name)) once(sent.replacement, uid);
        if (!drilled.has(name)) return;
        if (type === 'modified' && isTainted(object)) once(sent.taint, name);
        if (type === 'deleted') once(sent.termination, name);
      },
    }),
    createReflector({
      ...base,
      resource: 'pods',
      query: { namespace: workNamespace },
      onChange: ({ type, object }) => {
        if (type === 'deleted') once(sent.drain, text(object, 'spec', 'nodeName') ?? '');
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
            once(stored[name as Link], text(link, 'claims') ?? spec.node);
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
