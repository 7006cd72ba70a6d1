import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer } from 'node:net';
import t from 'tap';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { checkServePort, renderServed } from '../../coordinator/rehearsal/serve.ts';
import { createSilentLog } from '../../shared/log.ts';
import { createRest, only } from '../coordinator/rig.ts';
import { runServe, startServe } from './served.ts';

const reset = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };

t.test('N12: serve says where it answers, and starts over', async (t) => {
  const served = await startServe(t, ['--speed', '50']);
  const rest = createRest(served.rest);

  for (const [url, program] of [
    [served.rest, 'Xidrill coordinator'],
    [served.control, 'Xidrill rehearsal'],
    ...Object.values(served.agents).map((url) => [url, 'Xidrill agent'] as const),
  ] as const) {
    const answer = await fetch(url);
    t.equal(answer.status, 200);
    const { routes, ...what } = (await answer.json()) as { routes: Record<string, string> };
    t.match(what, { program, version: /^\d/ });
    const paths = Object.keys(routes).filter((text) => /^GET [^:]*$/.test(text));
    t.ok(paths.length > 3);
    for (const path of paths)
      t.equal((await fetch(`${url}${path.slice(4)}`)).status, 200, `${program} ${path}`);
  }

  t.equal(statSync(served.kubeconfig).mode & 0o777, 0o600);
  const cluster = createClusterClient({
    kubeconfig: { path: served.kubeconfig },
    userAgent: 'test',
    fieldManager: 'test',
    log: createSilentLog(),
  });
  const nodes = async () => (await cluster.list('nodes')).items.map(({ metadata }) => metadata.name);
  t.same((await nodes()).toSorted(), Object.keys(served.agents).toSorted());
  const inControl = await (await fetch(`${served.control}/kubeconfig`)).text();
  t.match(JSON.parse(inControl), { clusters: [{ cluster: { server: served.apiServer } }] });

  const drill = { name: 'again', fault: { name: 'xid', parameters: { xid: 109 } }, target: only('gpu-1') };
  t.equal((await rest.drill(drill)).verdict, 'pass');
  t.equal((await rest.ask('POST', '/api/v1/experiments', drill)).status, 409, 'the name is taken');
  const both = [fetch(`${served.control}/reset`, reset), fetch(`${served.control}/reset`, reset)];
  t.same(
    (await Promise.all(both)).map(({ status }) => status),
    [200, 200],
    'two at a time are one after the other',
  );
  t.same((await rest.ask('GET', '/api/v1/experiments')).body.items, []);
  t.same((await nodes()).toSorted(), Object.keys(served.agents).toSorted(), 'with the same kubeconfig');
  t.equal((await rest.drill(drill)).verdict, 'pass', 'the same name and the same condition once more');
});

t.test('N12: a port that is taken', async (t) => {
  const other = createServer();
  t.teardown(() => other.close());
  // Below those that the system gives to whoever asks for any: the neighbours of such a port come and go.
  const port = 16_000 + (process.pid % 3_000);
  other.listen(port, '127.0.0.1');
  await once(other, 'listening');
  for (const [asked, part] of [
    [port, 'REST'],
    [port + 1, 'the reset'],
    [port - 1, 'the API server'],
  ] as const) {
    const { code, text } = await runServe(['--port', String(asked)]);
    t.equal(code, 4, part);
    t.match(text, `127.0.0.1:${port} is in use by another program`);
    t.match(text, `npm run serve -- --port ${asked + 100}`);
    t.notMatch(text, /EADDRINUSE|\n +at /, 'no stack');
  }
});

t.test('N12: what is printed', async (t) => {
  const text = renderServed(
    {
      rest: 'http://127.0.0.1:1',
      apiServer: 'http://127.0.0.1:2',
      control: 'http://127.0.0.1:3',
      kubeconfig: '/tmp/k',
      agents: { 'gpu-1': 'http://127.0.0.1:4' },
    },
    10,
    (line) => line,
  );
  for (const part of [
    'http://127.0.0.1:1/api/v1',
    'http://127.0.0.1:3/reset',
    'KUBECONFIG=/tmp/k',
    'http://127.0.0.1:4',
    '10 times too fast',
    'Ctrl-C',
    'next: ',
  ])
    t.match(text, part);
  for (const [port, isRight] of [
    ['0', true],
    ['8475', true],
    ['1024', false],
    ['64533', false],
    ['x', false],
    ['8475.5', false],
  ] as const)
    t.equal(checkServePort(port) === undefined, isRight, port);
});
