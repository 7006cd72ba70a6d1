import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import t, { type Test } from 'tap';
import { createHttpAgents } from '../../../coordinator/agents/http.ts';
import type { PreflightCheck } from '../../../coordinator/diagnosis/explain.ts';
import { cpuNode, type Json, only, type Rig, recordsWith, startCoordinator, startRig } from '../rig.ts';

type Rogue = (request: IncomingMessage, response: ServerResponse, genuine: Json) => void;

const send =
  (change: (genuine: Json) => unknown, status = 200): Rogue =>
  (_request, response, genuine) =>
    void response.writeHead(status).end(JSON.stringify(change(genuine)));
const raw =
  (text: string, status = 200): Rogue =>
  (_request, response) =>
    void response.writeHead(status).end(text);
const firstSurface = (receipt: Json, more: object) => ({
  ...receipt,
  surfaces: [{ ...(receipt.surfaces as Json[])[0], ...more }],
});
const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;

/** What an agent may answer to an order or a question in place of what it should. */
const answers: Readonly<Record<string, { readonly rogue: Rogue; readonly because: RegExp }>> = {
  empty: { rogue: raw('{}'), because: /required properties orderId/ },
  nothing: { rogue: raw(''), because: /is 200 with something that is not JSON/ },
  'null-text': { rogue: raw('null'), because: /not a JSON object/ },
  number: { rogue: raw('5'), because: /not a JSON object/ },
  html: { rogue: raw('<html>hello</html>'), because: /not JSON/ },
  huge: { rogue: send((r) => ({ ...r, pad: 'x'.repeat(600_000) })), because: /longer than 524288 bytes/ },
  'long-text': {
    rogue: send((r) => firstSurface(r, { undo: 'x'.repeat(90_000) })),
    because: /90000 characters/,
  },
  nested: { rogue: raw(`{"surfaces":${deep}}`), because: /nested more than 32 deep/ },
  'other-order': { rogue: send((r) => ({ ...r, orderId: 'other' })), because: /orderId is "other"/ },
  'other-node': { rogue: send((r) => ({ ...r, node: 'good' })), because: /node is "good"/ },
  'other-surface': { rogue: send((r) => firstSurface(r, { surface: 'dcgm' })), because: /surface is "dcgm"/ },
  'no-surface': { rogue: send((r) => ({ ...r, surfaces: [] })), because: /names no surface/ },
  'no-evidence': {
    rogue: send((r) => firstSurface(r, { readBack: undefined })),
    because: /\/surfaces\/0\/readBack/,
  },
  'no-time': { rogue: send((r) => firstSurface(r, { at: 'soon' })), because: /\/surfaces\/0\/at/ },
  'no-number': {
    rogue: (_request, response, r) =>
      void response.end(JSON.stringify(r).replace(/"sequence":\d+/, '"sequence":1e400')),
    because: /number in \/surfaces\/0\/readBack\/sequence/,
  },
  'bad-message': {
    rogue: raw('{"message":{"a":1},"details":{"reason":"disarmed"}}', 400),
    because: /\/message that is no text/,
  },
  'bad-details': {
    rogue: raw('{"message":"m","details":[1]}', 400),
    because: /\/details that are no object/,
  },
  'bad-reason': { rogue: raw('{"message":"m","details":{"reason":7}}', 400), because: /\/details\/reason/ },
  'long-refusal': {
    rogue: send(() => ({ message: 'm'.repeat(50_000), details: { reason: 'disarmed' } }), 400),
    because: /is 400 and has a text of 50000 characters/,
  },
  'bad-receipt': {
    rogue: raw('{"message":"m","details":{"reason":"alert_slot_busy","receipt":{"surfaces":5}}}', 429),
    because: /cannot read: the answer must have required properties orderId/,
  },
};

/** An agent in between: it hands everything on, and what is `spoilt` is answered otherwise. */
async function startRogue(t: Test, rig: Rig, node: string, spoilt: (method: string) => Rogue | undefined) {
  const calls: string[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const method = (request.url ?? '').split('/').at(-1) ?? '';
      calls.push(method);
      const answer = await fetch(`${rig.node(node).url}${request.url}`, {
        method: request.method ?? 'GET',
        headers: { 'content-type': 'application/json', 'xidrill-node': node },
        ...(request.method === 'POST' ? { body: Buffer.concat(chunks) } : {}),
      });
      const text = await answer.text();
      const rogue = spoilt(method);
      if (rogue === undefined) response.writeHead(answer.status).end(text);
      else rogue(request, response, JSON.parse(text) as Json);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    orders: () => calls.filter((method) => method.startsWith('Write')).length,
  };
}

/** A coordinator that knows each node by its rogue, `good` by its own agent. */
async function startWith(
  t: Test,
  rig: Rig,
  namespace: string,
  names: readonly string[],
  spoilt: (name: string, method: string) => Rogue | undefined,
) {
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const rogues = new Map(
    await Promise.all(
      names.map(async (name) => [name, await startRogue(t, rig, name, (m) => spoilt(name, m))] as const),
    ),
  );
  const agents = createHttpAgents({
    directory: async (node) => rogues.get(node)?.url ?? rig.node(node).url,
  });
  // Of a fast clock: a lease that is lost on a busy machine has the same orders sent again, rightly.
  const { rest } = await startCoordinator(t, rig, { namespace, agents, leaseSeconds: 3600 });
  return { rest, rogues };
}

const names = Object.keys(answers);

t.test('M8 whatever answers an order: it is sent once, named, and costs no other target', async (t) => {
  const rig = await startRig(t, { rows: [...names, 'good'].map((name) => cpuNode(name)) });
  const isOrder = (method: string) => method.startsWith('Write');
  const { rest, rogues } = await startWith(t, rig, 'orders', names, (name, method) =>
    isOrder(method) ? answers[name]?.rogue : undefined,
  );
  const ended = await rest.drill({
    name: 'rogues',
    fault: { name: 'task-blocked' },
    target: { ...only(...names, 'good'), mode: 'all' },
  });
  t.equal(ended.phase, 'Completed');
  const found = new Map(
    (await rest.injections('rogues')).map((injection) => [injection.spec.node, injection]),
  );
  t.match(found.get('good')?.status, { verdict: 'pass' }, 'the other target');
  for (const [name, { because }] of Object.entries(answers)) {
    t.match(
      found.get(name)?.status,
      {
        verdict: 'inconclusive',
        injected: 'perhaps',
        explanation: { code: 'agent-answer-invalid', summary: because },
      },
      name,
    );
    t.equal(rogues.get(name)?.orders(), 1, `${name}: sent once`);
  }
  t.equal(recordsWith(rig, 'empty', 'blocked for more than'), 1, 'the agent itself did its work');
});

t.test('M8 whatever answers GetInventory: preflight, dry run and drill name it', async (t) => {
  const questions = ['empty', 'nothing', 'null-text', 'html', 'huge', 'nested', 'other-node', 'bad-details'];
  const rig = await startRig(t, { rows: [...questions, 'good'].map((name) => cpuNode(name)) });
  const { rest, rogues } = await startWith(t, rig, 'inventories', questions, (name, method) =>
    method === 'GetInventory' ? answers[name]?.rogue : undefined,
  );
  const body = {
    name: 'rogues',
    fault: { name: 'task-blocked' },
    target: { ...only(...questions, 'good'), mode: 'all' },
  };
  for (const name of questions) {
    const { status, body } = await rest.ask('GET', `/api/v1/nodes/${name}/preflight?fault=task-blocked`);
    t.equal(status, 200, `preflight of ${name}`);
    const check = (body.checks as PreflightCheck[]).find(({ code }) => code === 'agent-answer-invalid');
    t.match(check, { result: 'cause', blocks: true, text: /GetInventory .* Nothing was sent to it/ }, name);
  }
  const planned = await rest.ask('POST', '/api/v1/experiments?dryRun=All', body);
  t.equal(planned.status, 200, 'a dry run');
  t.match(JSON.stringify(planned.body), /agent-answer-invalid/);
  const ended = await rest.drill(body);
  t.match(ended, { phase: 'Completed', counts: { pass: 1 } });
  for (const { spec, status } of await rest.injections('rogues')) {
    if (spec.node === 'good') t.match(status, { verdict: 'pass' });
    else {
      t.match(status, {
        verdict: 'inconclusive',
        injected: 'none',
        explanation: { code: 'agent-answer-invalid' },
      });
      t.equal(rogues.get(spec.node)?.orders(), 0, `${spec.node}: nothing was sent`);
    }
  }
});

t.test('M8 what is no HTTP at all', async (t) => {
  const garbage = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('SSH-2.0-OpenSSH_9.6\r\n');
  });
  await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
  t.teardown(() => garbage.close());
  const url = `http://127.0.0.1:${(garbage.address() as AddressInfo).port}`;
  const agents = createHttpAgents({ directory: async () => url });
  const wanted = {
    reason: 'agent_answer_invalid',
    message: /cannot be read: Parse Error/,
  } as unknown as Error;
  await t.rejects(
    agents.order('n', { orderId: 'o', method: 'WriteKernelMessage', body: { text: 'x' } }),
    wanted,
  );
  await t.rejects(agents.inventory('n'), wanted);
});
