import t from 'tap';
import { type ListQuery, pageOf } from '../../../coordinator/routes/listing.ts';
import { cpuNode, type Json, only, startRig, until } from '../rig.ts';

t.test('pages of experiments', async (t) => {
  const row = (name: string, second: number, more: object = {}) => ({
    name,
    createdAt: `2026-03-04T05:06:0${second}Z`,
    fault: 'xid',
    phase: 'Completed',
    verdict: 'pass' as string | undefined,
    nodes: ['n1'],
    ...more,
  });
  const all = [
    row('b', 2),
    row('old', 1, { fault: 'sxid', verdict: 'fail' }),
    row('a', 2, { nodes: ['n2', 'n3'] }),
    row('new', 3, { phase: 'Running', verdict: undefined }),
  ];
  const names = (query: ListQuery, of = all) => pageOf(of, query).page.map(({ name }) => name);
  t.strictSame(names({}), ['new', 'a', 'b', 'old'], 'newest first, then by name');
  t.strictSame(names({ verdict: 'fail' }), ['old']);
  t.strictSame(names({ phase: 'Running' }), ['new']);
  t.strictSame(names({ fault: 'sxid' }), ['old']);
  t.strictSame(names({ node: 'n3' }), ['a']);
  t.strictSame(names({ node: 'n1', verdict: 'pass' }), ['b']);
  const first = pageOf(all, { limit: 2 });
  t.match(first, { page: [{ name: 'new' }, { name: 'a' }], remaining: 2 });
  const next = first.next ?? '';
  t.strictSame(names({ limit: 2, continue: next }), ['b', 'old']);
  t.equal(pageOf(all, { limit: 2, continue: next }).next, null, 'the last page');
  const since = [...all.filter(({ name }) => name !== 'a'), row('newer', 4)];
  t.strictSame(names({ continue: next }, since), ['b', 'old'], 'what came or went meanwhile changes nothing');
  t.strictSame(names({ limit: 2 }, []), []);
  for (const token of [
    'x',
    Buffer.from('[1]').toString('base64url'),
    Buffer.from('{}').toString('base64url'),
  ])
    t.throws(() => pageOf(all, { continue: token }), { message: /is not the token of a page/ }, token);
});

t.test('lists, tags and deletion over REST', async (t) => {
  const rig = await startRig(t, { rows: [cpuNode('one'), cpuNode('two')] });
  const { rest } = rig;
  const fault = { name: 'conntrack-full' };
  const path = '/api/v1/experiments';
  for (const name of ['one', 'two']) await rest.drill({ name, fault, target: only(name) });

  type List = { items: { name: string; injections?: unknown }[]; continue: string | null };
  const list = (query: string) => rest.ask<List>('GET', `${path}${query}`);
  t.match(await list('?limit=1'), {
    body: { items: [{ injections: Array }], continue: String, remaining: 1 },
  });
  const { body } = await list('?node=two&form=short&verdict=pass');
  t.match(body, { items: [{ name: 'two', phase: 'Completed', verdict: 'pass' }], continue: null });
  t.notOk(body.items[0] && 'injections' in body.items[0]);
  for (const query of [
    '?limit=0',
    '?limit=501',
    '?limit=x',
    '?limit=',
    '?limit=01',
    '?limit=1e1',
    '?limit=1.0',
    '?limit=0x1',
    '?limit=1&limit=2',
    '?verdict=good',
    '?phase=x',
    '?continue=x',
    '?form=long',
  ])
    t.match(await list(query), { status: 400, body: { code: 'malformed_request' } }, query);

  for (const url of [path, `${path}/one`]) {
    const tag = (await rest.ask('GET', url)).headers.get('etag') ?? '';
    t.match(tag, /^"\w+"$/);
    const again = await fetch(`${rest.url}${url}`, { headers: { 'if-none-match': `"x", W/${tag}` } });
    t.strictSame([again.status, await again.text(), again.headers.get('etag')], [304, '', tag], url);
    const other = await fetch(`${rest.url}${url}`, { headers: { 'if-none-match': '"x"' } });
    t.equal(other.status, 200);
    await other.text();
  }

  await rest.create({
    name: 'runs',
    fault,
    target: only('one'),
    expectation: { message: 'never', within: '30m' },
  });
  t.match(await rest.ask('DELETE', `${path}/runs`), {
    status: 409,
    body: { code: 'experiment_running', remedy: /abort/ },
  });
  await rest.ask('POST', `${path}/runs/abort`);
  await rest.ended('runs');
  for (const name of ['runs', 'two']) {
    const answer = await fetch(`${rest.url}${path}/${name}`, { method: 'DELETE' });
    t.strictSame([answer.status, await answer.text()], [204, ''], name);
    t.match(await rest.ask('GET', `${path}/${name}`), { status: 404 });
    t.match(await rest.ask('DELETE', `${path}/${name}`), {
      status: 404,
      body: { code: 'experiment_unknown' },
    });
  }
  await until(t, 'the list shows what is left', async () => (await list('')).body.items.length === 1);
  t.match((await list('')).body.items, [{ name: 'one' }]);
});

t.test('N15: a dry run and its drill pick the same node', async (t) => {
  const rig = await startRig(t, { rows: ['a', 'b', 'c', 'd', 'e'].map((name) => cpuNode(name)) });
  const { rest } = rig;
  for (const fault of [{ name: 'conntrack-full' }, { name: 'task-blocked' }]) {
    const body = { fault, target: { mode: 'one' } };
    const dry = await rest.ask<{ seed: number; targets: { node: string }[] }>(
      'POST',
      '/api/v1/experiments?dryRun=All',
      body,
    );
    const drill = await rest.drill(body);
    t.equal(drill.injections[0]?.node, dry.body.targets[0]?.node, fault.name);
    t.equal(drill.seed, dry.body.seed, 'and both name the seed');
    t.match(drill.skipped[0]?.because, `seed ${drill.seed}`);
  }
});

t.test('N2: a preflight for one fault says what blocks it', async (t) => {
  const rig = await startRig(t, { rows: [{ ...cpuNode('arm'), arch: 'arm64' }] });
  type Preflight = { ok: boolean; blocking: Json | null; checks: Json[]; refusals: Json[] };
  const ask = (query: string) => rig.rest.ask<Preflight>('GET', `/api/v1/nodes/arm/preflight${query}`);
  const gateIn = ({ checks }: Preflight) => checks.find(({ code }) => code === 'arm64-gate');
  const any = (await ask('')).body;
  t.match(any, { fault: null, refusals: [] });
  t.match(gateIn(any), { result: 'cause', blocks: false }, 'not every fault is blocked');
  const xid = (await ask('?fault=xid')).body;
  t.match(xid, { fault: { name: 'xid' }, ok: false });
  t.ok(xid.refusals.length > 0 && xid.blocking !== null, 'a drill would not come about');
  t.match(gateIn(xid), { result: 'cause', blocks: true });
  const kernel = (await ask('?fault=task-blocked')).body;
  t.match(kernel, { blocking: null, refusals: [] }, 'the kernel log is read on arm64 as well');
  t.match(await ask('?fault=nope'), { status: 404, body: { code: 'fault_missing' } });
  t.match(await ask('?parameters=%7B%7D'), { status: 400, body: { errors: [{ field: 'parameters' }] } });
});
