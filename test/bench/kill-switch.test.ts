import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { leaseMs } from '../../agent/injection/kill-switch.ts';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import type { KubeObject } from '../../coordinator/cluster/port.ts';
import { startApiServer } from '../../coordinator/rehearsal/apiserver/server.ts';
import { runKillSwitch } from '../../coordinator/run/kill-switch.ts';
import { createKillSwitch, killSwitchName } from '../../coordinator/store/kill-switch.ts';
import { createRealClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { startRig } from '../agent/rig.ts';
import { measureLateness } from '../lateness.ts';
import { percentile } from './statistics.ts';

/**
 * How long what goes on on 20 agents does so after somebody made the ConfigMap (a coordinator lives), and after the last coordinator
 * died. `npm run bench:killswitch` does 200 rounds of each.
 */
const rounds = Number(process.env.XIDRILL_KILL_ROUNDS ?? 3);
const count = 20;
const limitMs = 2_000;
const namespace = 'bench';
const log = createSilentLog();

t.setTimeout(600_000 + rounds * 8_000);

t.test('what goes on ends in time', async (t) => {
  const server = await startApiServer({ clock: createRealClock(), log });
  t.teardown(() => server.close());
  const kubeconfig = { url: server.url };
  const cluster = createClusterClient({ kubeconfig, userAgent: 'bench', fieldManager: 'bench', log });
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const names = Array.from({ length: count }, (_, index) => `n${index}`);
  const rigs = await Promise.all(names.map(() => startRig(t, { needsLease: true })));
  await Promise.all(rigs.map(({ app }) => app.listen({ host: '127.0.0.1', port: 0 })));
  const urls = rigs.map(({ app }) => `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  const object = (name: string): KubeObject => ({
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Injection',
    metadata: { name },
    spec: { node: name },
    status: { phase: 'Verifying' },
  });

  /** The loop that every coordinator runs, until it is killed. The agents of the rig all are of one node, so that none is named. */
  function startCoordinator(): () => Promise<void> {
    const killed = new AbortController();
    const ended = runKillSwitch(
      {
        killSwitch: createKillSwitch({ cluster, namespace, clock: createRealClock() }),
        agents: {
          setKillSwitch: async (name, asked, signal) => {
            await post(urls[names.indexOf(name)] ?? '', 'SetKillSwitch', asked, signal);
          },
        },
        view: { all: (kind) => (kind === 'injections' ? names.map(object) : []), node: object },
        store: { abortExperiment: () => Promise.reject(new Error('there is none')) },
        nodes: () => [],
        log,
      },
      killed.signal,
    );
    return async () => {
      killed.abort();
      await ended;
    };
  }

  /** Milliseconds from `since` until each agent’s order had ended, and how it ended. */
  async function ends(orderId: string, since: number) {
    return Promise.all(
      urls.map(async (url) => {
        for (;;) {
          const { state, surfaces } = (await post(url, 'GetReceipt', { orderId })) as {
            state: string;
            surfaces: { sustained?: { ended?: string } }[];
          };
          const how = surfaces[0]?.sustained?.ended;
          if (state !== 'running') return { tookMs: performance.now() - since, how };
          await sleep(5);
        }
      }),
    );
  }

  const tookMs: Record<'alive' | 'dead', number[]> = { alive: [], dead: [] };
  /** Less what other programs of the machine took from this process meanwhile: next to nothing where a figure is worth something. */
  const ownMs: typeof tookMs = { alive: [], dead: [] };
  for (let round = 0; round < rounds; round += 1)
    for (const kind of ['alive', 'dead'] as const) {
      const kill = startCoordinator();
      const orderId = `${kind}-${round}`;
      const ofRound = measureLateness();
      for (const url of urls) {
        const order = await post(url, 'PauseHostEngine', { orderId, forSeconds: 3600 });
        t.equal(order.state, 'running', String(order.message));
      }
      // The moment falls anywhere between two looks of the coordinator.
      await sleep(400 * ((round * 0.618) % 1));
      if (kind === 'dead') await kill();
      const lateness = measureLateness();
      const since = performance.now();
      const data = { engaged: 'true', reason: 'bench' };
      const metadata = { name: killSwitchName, namespace };
      await cluster.create('configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
      const found = await ends(orderId, since);
      tookMs[kind].push(...found.map((one) => one.tookMs));
      const lateMs = lateness();
      ownMs[kind].push(...found.map((one) => one.tookMs - lateMs));
      // A process that is not run for so long loses the lease, as it should.
      const isStarved = ofRound() > leaseMs / 4;
      const expected =
        kind === 'dead' ? ['lease-lost'] : isStarved ? ['kill-switch', 'lease-lost'] : ['kill-switch'];
      t.same(
        found.filter(({ how = '' }) => !expected.includes(how)),
        [],
        `${kind}: ended by ${expected.join(' or ')}`,
      );
      if (kind === 'alive') {
        for (const url of urls)
          t.match(await post(url, 'PauseHostEngine', { forSeconds: 60 }), {
            details: { reason: 'kill_switch_engaged' },
          });
        await kill();
      }
      await cluster.remove('configmaps', metadata);
      await Promise.all(urls.map((url) => post(url, 'SetKillSwitch', { engaged: false })));
    }
  for (const kind of ['alive', 'dead'] as const) {
    const values = tookMs[kind];
    const [p50, p99, most] = [50, 99, 100].map((percent) => Math.round(percentile(values, percent)));
    process.stderr.write(
      `coordinator ${kind}: ${values.length} orders, p50 ${p50} ms, p99 ${p99} ms, at most ${most} ms\n`,
    );
    t.ok(percentile(ownMs[kind], 99) < limitMs, `coordinator ${kind}: p99 ${p99} ms`);
  }
});

async function post(
  url: string,
  method: string,
  body: object,
  signal?: AbortSignal,
): Promise<Record<string, unknown>> {
  const answer = await fetch(`${url}/xidrill.agent.v1.AgentService/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
  return (await answer.json()) as Record<string, unknown>;
}
