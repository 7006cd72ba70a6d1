import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import type { KubeObject } from '../../../coordinator/cluster/port.ts';
import {
  checkAgentEntry,
  createPodDirectory,
  createStaticDirectory,
  firstOf,
  parseAgentEntry,
} from '../../../coordinator/view/agent-directory.ts';
import type { AgentOrder } from '../../../shared/schemas/order.ts';
import { refusal } from '../rig.ts';

const order: AgentOrder = { orderId: 'o-1', method: 'WriteKernelMessage', body: { text: 'x' } };

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const agentsAt = (url: string | undefined) =>
  createHttpAgents({ directory: createStaticDirectory(new Map(url === undefined ? [] : [['n', url]])) });

t.test('what an agent answers, and what that means', async (t) => {
  const rows: readonly (readonly [string, number, string, object])[] = [
    [
      'a refusal',
      400,
      '{"code":"failed_precondition","message":"disarmed","details":{"reason":"disarmed","remedy":"--arm"}}',
      { reason: 'disarmed', message: 'disarmed', details: { remedy: '--arm' } },
    ],
    ['a proxy', 502, '<html>Bad gateway</html>', { reason: 'agent_unreachable', message: /not JSON/ }],
    ['a proxy with JSON', 503, '{"error":"no upstream"}', { reason: 'agent_unreachable' }],
    [
      'an agent that cannot ask who calls',
      503,
      '{"code":"unavailable","message":"the API server is away","details":{"reason":"cluster_unreachable"}}',
      {
        reason: 'agent_unreachable',
        message: /agent of n at .*: the API server is away/,
        details: { isUnsent: true },
      },
    ],
    ['null', 500, 'null', { reason: 'agent_unreachable' }],
    [
      'a reason of a newer agent',
      400,
      '{"details":{"reason":"new_one"},"message":"hm"}',
      { reason: 'internal', message: 'hm', details: { agentReason: 'new_one' } },
    ],
    ['success that is not JSON', 200, 'ok', { reason: 'agent_answer_invalid' }],
  ];
  for (const [name, status, text, expected] of rows) {
    const url = await serve(t, (_request, response) => response.writeHead(status).end(text));
    await t.rejects(agentsAt(url).order('n', order), refusal(expected), name);
  }
});

t.test('an order is one POST with its id', async (t) => {
  const receipt = {
    ...{
      orderId: 'o-1',
      node: 'n',
      method: 'WriteKernelMessage',
      asked: {},
      state: 'ended',
      replayed: false,
    },
    ...{ acceptedAt: '2026-01-01T00:00:00Z', endedAt: null },
    surfaces: [{ surface: 'kernel-log', outcome: 'refused', code: 'disarmed', undo: '', notes: [] }],
  };
  const seen: string[] = [];
  const url = await serve(t, (request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += String(chunk);
    });
    request.on('end', () => {
      seen.push(`${request.method} ${request.url} ${text}`);
      response.end(JSON.stringify(receipt));
    });
  });
  t.match(await agentsAt(url).order('n', order), receipt);
  t.strictSame(seen, ['POST /xidrill.agent.v1.AgentService/WriteKernelMessage {"text":"x","orderId":"o-1"}']);
});

t.test('nobody there', async (t) => {
  await t.rejects(
    agentsAt(undefined).order('n', order),
    refusal({ reason: 'agent_unknown', details: { value: 'n' } }),
  );
  const closed = await serve(t, () => undefined);
  const stop = new AbortController();
  const waiting = agentsAt(closed).order('n', order, stop.signal);
  stop.abort(new Error('enough'));
  await t.rejects(waiting, { message: 'enough' }, 'the reason of who aborts');
  await t.rejects(
    agentsAt('http://127.0.0.1:1').inventory('n'),
    refusal({
      reason: 'agent_unreachable',
      message: /no answer .*: connection refused: nothing listens there/,
      details: { remedy: String },
    }),
  );
});

t.test('agents are found as pods', async (t) => {
  const pod = (podIP: string | undefined, ports: object[] = [], status: object = {}): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ ports }] },
    status: { phase: 'Running', ...(podIP && { podIP }), ...status },
  });
  const pending = (...containerStatuses: object[]) =>
    pod('10.0.0.9', [], { phase: 'Pending', containerStatuses });
  const running = { running: { startedAt: '2026-01-01T00:00:00Z' } };
  const notPulled = { waiting: { reason: 'ImagePullBackOff' } };
  const directoryOf = (...items: KubeObject[]) =>
    createPodDirectory({ podsOf: (_kind, node) => (node === 'n' ? items : []), unread: () => undefined });
  t.equal(await directoryOf()('n'), undefined);
  t.equal(await directoryOf(pod(undefined))('n'), undefined, 'a pod without an address yet');
  t.equal(await directoryOf(pod('10.0.0.9'))('n'), 'http://10.0.0.9:9475');
  t.equal(
    await directoryOf(pending({ name: 'agent', state: running }, { name: 'dcgm', state: notPulled }))('n'),
    'http://10.0.0.9:9475',
    'a sidecar that cannot start is not in the way',
  );
  for (const [what, other] of [
    ['an agent that cannot start', pending({ name: 'agent', state: notPulled })],
    ['of no container is anything known', pending()],
    ['a pod that has ended', pod('10.0.0.9', [], { phase: 'Failed' })],
  ] as const)
    t.equal(await directoryOf(other)('n'), undefined, what);
  const secure = createPodDirectory({ podsOf: () => [pod('10.0.0.9')], unread: () => undefined }, 'https');
  t.equal(await secure('n'), 'https://10.0.0.9:9475');
  t.equal(await directoryOf(pod('fd00::9'))('n'), 'http://[fd00::9]:9475');
  const port = { name: 'agent', containerPort: 7000 };
  t.equal(await directoryOf(pod(undefined), pod('10.0.0.9', [port]))('n'), 'http://10.0.0.9:7000');
  const metadata = { name: 'p', deletionTimestamp: '2026-01-01T00:00:00Z' };
  const leaving = { ...pod('10.0.0.8'), metadata };
  t.equal(await directoryOf(leaving, pod('10.0.0.9'))('n'), 'http://10.0.0.9:9475', 'in an update');
  t.equal(await directoryOf(leaving)('n'), 'http://10.0.0.8:9475', 'the only one still answers');
  const unread = { unread: 'pods of our agents cannot be read: forbidden', remedy: 'grant it' };
  const blind = createPodDirectory({ podsOf: () => [], unread: () => unread });
  await t.rejects(
    blind('n'),
    refusal({ reason: 'cluster_refused', message: /forbidden/, details: { remedy: 'grant it' } }),
  );
  const both = firstOf(createStaticDirectory(new Map([['n', 'http://typed']])), directoryOf(pod('10.0.0.9')));
  t.equal(await both('n'), 'http://typed', 'what a person typed wins');
  t.equal(await both('m'), undefined);
});

t.test('entries of the command line', async (t) => {
  t.strictSame(parseAgentEntry('n=http://h:1/'), ['n', 'http://h:1']);
  for (const wrong of ['n', '=http://h', 'n=h:1', 'n=ftp://h', 'n=http://h/path'])
    t.match(checkAgentEntry(wrong), /NODE=URL/, wrong);
  t.equal(checkAgentEntry('n=https://h'), undefined);
});
