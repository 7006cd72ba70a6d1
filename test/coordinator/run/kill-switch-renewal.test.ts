import t from 'tap';
import { runKillSwitch } from '../../../coordinator/run/kill-switch.ts';
import { createSilentLog } from '../../../shared/log.ts';

const sustained = { orderId: 'o', method: 'PauseHostEngine', body: { forSeconds: 60 } };
const single = { orderId: 'o', method: 'WriteKernelMessage', body: { text: 'a' } };

const drill = (node: string, order: object, receipt?: { readonly state: string }) => ({
  metadata: { name: node },
  spec: {
    node,
    chain: [
      { id: 'order', link: 'order', order },
      { id: 'detection', link: 'detection' },
    ],
  },
  status: { phase: 'Verifying', links: [{ id: 'order', ...(receipt === undefined ? {} : { receipt }) }] },
});

const drills = [
  drill('ended', sustained, { state: 'ended' }),
  drill('runs', sustained, { state: 'running' }),
  drill('unanswered', sustained),
  drill('single', single),
];

async function countedLooks(t: Tap, engaged: boolean): Promise<Readonly<Record<string, number>>> {
  const counts: Record<string, number> = { ended: 0, runs: 0, unanswered: 0, single: 0 };
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  await runKillSwitch(
    {
      killSwitch: { read: async () => ({ engaged }) },
      agents: {
        async setKillSwitch(node) {
          counts[node] = (counts[node] ?? 0) + 1;
          if (counts.runs === 4 && counts.unanswered === 4) stop.abort();
        },
      },
      view: {
        all: (kind: string) => (kind === 'injections' ? drills : []),
        node: () => ({}),
      } as unknown as Parameters<typeof runKillSwitch>[0]['view'],
      store: { abortExperiment: async () => undefined } as never,
      nodes: () => drills.map(({ spec }) => spec.node),
      log: createSilentLog(),
    },
    stop.signal,
  );
  return counts;
}

type Tap = Pick<typeof t, 'teardown'>;

t.test('the lease is renewed where an order may go on, not where one is waited for', async (t) => {
  t.match(await countedLooks(t, false), { ended: 1, runs: 4, unanswered: 4, single: 1 });
});

t.test('an engaged switch reaches every drilled node at each look', async (t) => {
  const { ended = 0 } = await countedLooks(t, true);
  t.ok(ended >= 3, String(ended));
});
