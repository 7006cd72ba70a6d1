import { randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { createHttpAgents } from '../../coordinator/agents/http.ts';
import type { Agents } from '../../coordinator/agents/port.ts';
import { createCoordinator } from '../../coordinator/app.ts';
import type { FaultRow } from '../../coordinator/catalogue/row.ts';
import type { Cluster } from '../../coordinator/cluster/port.ts';
import type { Rule } from '../../coordinator/diagnosis/rule.ts';
import type { LinkRow } from '../../coordinator/drill/links.ts';
import {
  namespace,
  type RehearsalCluster,
  type RehearsalOptions,
  startRehearsalCluster,
} from '../../coordinator/rehearsal/cluster.ts';
import type { RestartSeconds } from '../../coordinator/rehearsal/daemonsets.ts';
import type { KarpenterRow } from '../../coordinator/rehearsal/karpenter/objects.ts';
import type { NodeRow } from '../../coordinator/rehearsal/objects.ts';
import type { ExperimentAnswer, InjectionAnswer } from '../../coordinator/routes/answers.ts';
import type { Retention } from '../../coordinator/run/retention.ts';
import { createStaticDirectory } from '../../coordinator/view/agent-directory.ts';
import { createView, type View } from '../../coordinator/view/view.ts';
import { type Clock, createScaledClock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Gate } from '../../shared/http/gate.ts';
import { createSilentLog } from '../../shared/log.ts';
import { afterNextJump, createJumpingClock } from '../jumping-clock.ts';
import { closeUntouched } from './untouched.ts';

export const log = createSilentLog();

export type Json = { readonly [key: string]: unknown };
export type Answer<T> = { readonly status: number; readonly headers: Headers; readonly body: T };

/** The coordinator as a pipeline sees it. */
export type Rest = {
  readonly url: string;
  ask<T = Json>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer<T>>;
  /** Creates an experiment and waits for its end. */
  drill(body: object): Promise<ExperimentAnswer>;
  create(body: object): Promise<ExperimentAnswer>;
  ended(name: string): Promise<ExperimentAnswer>;
  injections(name: string): Promise<readonly InjectionAnswer[]>;
};

export function createRest(url: string): Rest {
  const ask: Rest['ask'] = async <T>(method: string, path: string, body?: unknown, headers = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: {
        ...(method === 'POST' || body !== undefined ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as T };
  };
  // Real time, far above what a busy machine needs, and below the five minutes that fetch waits for an answer.
  const wait = { prefer: 'wait=240' };
  const must = async (answer: Promise<Answer<ExperimentAnswer>>) => {
    const { status, body } = await answer;
    if (status >= 300) throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
    return body;
  };
  return {
    url,
    ask,
    drill: (body) => must(ask('POST', '/api/v1/experiments', body, wait)),
    create: (body) => must(ask('POST', '/api/v1/experiments', body)),
    ended: (name) => must(ask('GET', `/api/v1/experiments/${name}`, undefined, wait)),
    injections: async (name) =>
      (await ask<{ items: InjectionAnswer[] }>('GET', `/api/v1/experiments/${name}/injections`)).body.items,
  };
}

const allowed = { 'xidrill.dev/drill': 'allowed' };

/** A node with one GPU of its own; names say nothing. */
export function gpuNode(name: string, labels: Readonly<Record<string, string>> = allowed): NodeRow {
  const byte = [...name]
    .reduce((sum, letter) => (sum + letter.charCodeAt(0)) % 256, 0)
    .toString(16)
    .padStart(2, '0');
  return {
    name,
    instanceType: `g5.${name}`,
    arch: 'amd64',
    gpu: {
      name: 'NVIDIA A10G',
      uuid: `GPU-5d1c7e02-7b8e-4a5c-9f43-0c6a2be1d7${byte}`,
      pci: `00000000:${byte.toUpperCase()}:00.0`,
      driver: '580.105.08',
    },
    labels,
  };
}

export function cpuNode(name: string, labels: Readonly<Record<string, string>> = allowed): NodeRow {
  return { name, instanceType: `c6i.${name}`, arch: 'amd64', labels };
}

export type Rig = RehearsalCluster & { readonly clock: Clock; readonly rest: Rest };

/** A whole cluster with a healthy monitoring agent, which listens on its host engines when this resolves. */
export async function startRig(
  t: Test,
  options: {
    readonly rows: readonly NodeRow[];
    readonly nma?: string;
    /** How many times as fast as the real clock, where a test is about real time too; absent: a clock that jumps. */
    readonly factor?: number;
    readonly needsLease?: boolean;
    readonly karpenter?: KarpenterRow;
    /** Managed node groups that repair, and whom the coordinator asks for their settings. */
    readonly nodeGroups?: RehearsalOptions['nodeGroups'];
    readonly eks?: RehearsalOptions['eks'];
    readonly restartSeconds?: RestartSeconds;
  },
): Promise<Rig> {
  const { rows, nma = '1.6.4', factor, needsLease = false } = options;
  const startAt = Date.parse('2026-03-04T05:06:07Z');
  const clock = factor === undefined ? createJumpingClock(startAt) : createScaledClock({ factor, startAt });
  const cluster = await startRehearsalCluster({
    rows,
    clock,
    random: () => 0.5,
    newId: randomUUID,
    coordinatorPort: 0,
    firstAgentPort: 0,
    needsLease,
    ...(options.karpenter === undefined ? {} : { karpenter: options.karpenter }),
    ...(options.nodeGroups === undefined ? {} : { nodeGroups: options.nodeGroups }),
    ...(options.eks === undefined ? {} : { eks: options.eks }),
    ...(options.restartSeconds === undefined ? {} : { restartSeconds: options.restartSeconds }),
    log,
  });
  const untouched = closeUntouched(t, cluster);
  await cluster.installNma({ version: nma, credentials: 'healthy' });
  for (const row of rows) {
    await until(t, `conditions on ${row.name}`, async () => {
      const node = await cluster.cluster.read('nodes', { name: row.name });
      return JSON.stringify(node).includes('KernelReady');
    });
    if (row.gpu !== undefined)
      await until(t, `watchers on ${row.name}`, async () => {
        const response = await fetch(
          `${cluster.node(row.name).url}/xidrill.agent.v1.AgentService/ListHostEngines`,
          {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: '{}',
          },
        );
        const { engines } = (await response.json()) as { engines: { nma: { listening: boolean } }[] };
        return engines.some((engine) => engine.nma.listening);
      });
  }
  await untouched.remember();
  return { ...cluster, clock, rest: createRest(cluster.url) };
}

/** How often is looked before it counts as never: a bound for a broken product, no measure of time. */
const mostLooks = 50_000;

/** Looks until it is so, after each jump of the clock or, where none jumps, every 5 ms. */
export async function until(t: Test, what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  for (let look = 0; look < mostLooks; look += 1) {
    if (await isSo()) return;
    await afterNextJump();
  }
  t.fail(`waited in vain for ${what}`);
  throw new Error(what);
}

/** A view of its own over the rig's cluster; whoever is given it starts it. */
export function viewOf({ cluster, clock }: Rig, home: string = namespace): View {
  return createView({ cluster, namespace: home, clock, random: () => 0.5, log });
}

export function httpAgents(rig: RehearsalCluster): Agents {
  const urls = new Map([...rig.nodes].map(([name, { url }]) => [name, url]));
  return createHttpAgents({ directory: createStaticDirectory(urls) });
}

export type Started = {
  readonly rest: Rest;
  /** As a process that is told to stop: the lease is released. */
  stop(): Promise<void>;
  /** As a process that is killed: nothing that it still wanted to say reaches anybody. */
  kill(): Promise<void>;
};

/** Another coordinator on the same API server, in a namespace of its own or beside one. */
export async function startCoordinator(
  t: Test,
  rig: Rig,
  options: {
    readonly namespace?: string;
    readonly identity?: string;
    readonly agents?: Agents;
    readonly cluster?: Cluster;
    readonly leaseSeconds?: number;
    readonly retention?: Retention;
    /** Default true. */
    readonly restore?: boolean;
    readonly rows?: readonly FaultRow[];
    readonly links?: readonly LinkRow[];
    readonly rules?: readonly Rule[];
    /** Of its REST interface; absent: any free one. */
    readonly port?: number;
    /** Absent: everybody is let in. */
    readonly gate?: Gate;
  } = {},
): Promise<Started> {
  const plug = createPlug(options.cluster ?? rig.cluster);
  const home = options.namespace ?? namespace;
  const coordinator = await createCoordinator({
    cluster: plug.cluster,
    view: viewOf({ ...rig, cluster: plug.cluster }, home),
    agents: options.agents ?? httpAgents(rig),
    namespace: home,
    identity: options.identity ?? randomUUID(),
    leaseSeconds: options.leaseSeconds ?? 15,
    restore: options.restore ?? true,
    ...(options.retention === undefined ? {} : { retention: options.retention }),
    ...(options.rows === undefined ? {} : { rows: options.rows }),
    ...(options.links === undefined ? {} : { links: options.links }),
    ...(options.rules === undefined ? {} : { rules: options.rules }),
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    clock: rig.clock,
    random: () => 0.5,
    newName: () => `drill-${randomUUID().slice(0, 8)}`,
    log,
  });
  const stopping = new AbortController();
  const running = coordinator.run(stopping.signal);
  const url = await coordinator.app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  let closed: Promise<void> | undefined;
  const stop = () => {
    closed ??= (async () => {
      stopping.abort(new Refusal('shutting_down', 'the test ends it'));
      await running;
      await coordinator.app.close();
    })();
    return closed;
  };
  t.teardown(stop);
  return {
    rest: createRest(url),
    stop,
    kill: () => {
      plug.pull();
      return stop();
    },
  };
}

/** A cluster that can be unplugged: from then on every write is lost on the way. */
export function createPlug(cluster: Cluster): { readonly cluster: Cluster; pull(): void } {
  let isPulled = false;
  const guarded =
    <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (isPulled) throw new Refusal('cluster_unreachable', 'the plug is pulled');
      return work(...args);
    };
  return {
    cluster: {
      ...cluster,
      create: guarded(cluster.create),
      replace: guarded(cluster.replace),
      patch: guarded(cluster.patch),
      remove: guarded(cluster.remove),
    },
    pull: () => {
      isPulled = true;
    },
  };
}

export function recordsWith(rig: RehearsalCluster, node: string, text: string): number {
  return rig
    .node(node)
    .kernelLog.records()
    .filter((record) => record.text.includes(text)).length;
}

export function only(...names: readonly string[]) {
  return { selector: { names } };
}

/** What a Refusal has to look like, in the type that tap's `rejects` wants. */
export function refusal(pattern: object): Error {
  return pattern as Error;
}
