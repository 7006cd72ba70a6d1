import t from 'tap';
import { faults, notOffered } from '../../../coordinator/catalogue/catalogue.ts';
import { nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import type { FaultRow } from '../../../coordinator/catalogue/row.ts';
import type { PlanPreview } from '../../../coordinator/preview/schema.ts';
import { cpuNode, gpuNode, type Json, only, recordsWith, startCoordinator, startRig } from '../rig.ts';

const labels = { 'xidrill.dev/drill': 'allowed', 'karpenter.sh/nodepool': 'gpu' };
const rig = await startRig(t, { rows: [gpuNode('gpu-1', labels), cpuNode('cpu-1')] });
const { rest } = rig;
const lastKnown = nmaVersions.at(-1)?.version ?? '';

type Fault = Json & { readonly plan: PlanPreview & { readonly repair: readonly Json[] } };
const fault = (name: string, query = '') => rest.ask<Fault>('GET', `/api/v1/faults/${name}${query}`);

t.test('the catalogue, with what each version shows and what is not offered', async (t) => {
  const { status, body } = await rest.ask<{ items: readonly Json[]; notOffered: readonly Json[] }>(
    'GET',
    '/api/v1/faults',
  );
  t.equal(status, 200);
  t.same(
    body.items.map(({ name }) => name),
    faults.map(({ name }) => name),
  );
  t.same(body.notOffered, notOffered);
  for (const item of body.items) {
    for (const key of ['title', 'surfaces', 'parameters', 'risk', 'undo', 'sources', 'reacts', 'example'])
      t.ok(key in item, `${item.name}: ${key}`);
  }
  const xid = body.items.find(({ name }) => name === 'xid');
  t.match(xid?.reacts, [
    {
      from: '1.4.3',
      to: lastKnown,
      shows: [{ kind: 'condition', reason: 'NvidiaXID79Error', repair: { action: 'replace' } }],
    },
  ]);
});

t.test('one fault for one node: what is written, who reads it, what follows', async (t) => {
  const { status, body } = await fault('xid', '?node=gpu-1');
  t.equal(status, 200);
  t.match(body.plan, {
    node: 'gpu-1',
    parameters: { xid: 79 },
    writes: [
      {
        surface: 'dcgm',
        what: /^dcgmi test --inject --gpuid 0 -f 230 -v 79/,
        where: /^host engine 4\.5\.2 at /,
      },
    ],
    expectation: { reason: 'NvidiaXID79Error' },
    refusals: [],
    confidence: { level: 'high' },
    repair: [{ controller: 'Karpenter' }],
  });
  const asked = encodeURIComponent(JSON.stringify({ xid: 31, surfaces: ['kernel-log'] }));
  const given = await fault('xid', `?node=gpu-1&parameters=${asked}`);
  t.match(given.body.plan.writes, [{ what: /^<3>NVRM: Xid \(PCI:0000:[0-9a-f]{2}:00\): 31, / }]);
  t.match(
    given.body.plan.repair,
    [{ willAct: 'no', blockedBy: [{ code: 'repair-no-action' }] }],
    'an event is not repaired',
  );
  t.match((await fault('xid', '?node=cpu-1')).body.plan.refusals, [{ reason: 'gpu_unknown' }]);
  t.equal((await fault('xid')).body.plan, undefined, 'no node, no plan');
  const nothing = await fault('sxid', '?node=gpu-1');
  t.match(nothing.body.plan, { expectation: { kind: 'none' }, reactions: [{ appearsAs: 'nothing' }] });
  t.equal(recordsWith(rig, 'gpu-1', 'NVRM'), 0, 'nothing was written');
});

t.test('what cannot be shown says what can', async (t) => {
  const rows = [
    ['nope', '', 404, 'fault_missing', /no fault "nope"/],
    [notOffered[0]?.name ?? '', '', 404, 'fault_missing', /./],
    ['xid', '?node=nowhere', 404, 'node_missing', /nowhere/],
    ['xid', '?node=gpu-1&parameters=%5B1%5D', 400, 'malformed_request', /^parameters: /],
    ['xid', '?node=gpu-1&parameters=%7B', 400, 'malformed_request', /^parameters: /],
    ['xid', '?node=gpu-1&parameters=%7B%22xid%22%3A0%7D', 400, 'parameter_invalid', /at least 1/],
    ['xid', '?nodes=gpu-1', 400, 'malformed_request', /nodes/],
  ] as const;
  for (const [name, query, expected, code, detail] of rows) {
    const { status, body } = await fault(name, query);
    t.equal(status, expected, `${name}${query}`);
    t.match(body, { code, detail }, `${name}${query}`);
  }
  t.match((await fault('nope')).body, { allowed: ['xid'] }, 'the known names');
});

t.test('a dry run plans every target as it is, and orders nothing', async (t) => {
  const body = { fault: { name: 'task-blocked' }, target: { mode: 'all' } };
  const { status, body: answer } = await rest.ask<{ targets: readonly PlanPreview[] }>(
    'POST',
    '/api/v1/experiments?dryRun=All',
    body,
  );
  t.equal(status, 200);
  t.same(answer.targets.map(({ node }) => node).toSorted(), ['cpu-1', 'gpu-1']);
  for (const target of answer.targets)
    t.match(target, {
      refusals: [],
      confidence: { level: 'high' },
      reactions: [{ reason: 'AppBlocked' }],
      repair: Array,
    });
  t.same((await rest.ask<{ items: unknown[] }>('GET', '/api/v1/experiments')).body.items, []);
});

t.test('an agent that does not answer lowers the confidence and is no error', async (t) => {
  const silent = {
    find: async () => 'http://127.0.0.1:9',
    inventory: async () => {
      throw new Error('no answer');
    },
  };
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'silent' },
  });
  const other = await startCoordinator(t, rig, { namespace: 'silent', agents: { ...silentRest, ...silent } });
  const { status, body } = await other.rest.ask<Fault>('GET', '/api/v1/faults/xid?node=gpu-1');
  t.equal(status, 200);
  t.match(body.plan, {
    confidence: { level: 'medium', because: [/could not be read: no answer/] },
    refusals: [],
  });
});

const refuse = async (): Promise<never> => {
  throw new Error('nothing is ordered here');
};
const silentRest = {
  order: refuse,
  setKillSwitch: refuse,
  receipt: refuse,
  stop: refuse,
  isUp: async () => false,
};

t.test('a made-up fault takes one row and no other change', async (t) => {
  const row: FaultRow = {
    name: 'made-up',
    title: 'A task of our own hangs',
    surfaces: ['kernel-log'],
    channel: {
      kind: 'kernel-message',
      text: 'INFO: task {process}-{marker}:1 blocked for more than 120 seconds.',
    },
    parameters: { process: { type: 'text', help: 'its name', default: 'mine', pattern: '^[a-z]{1,8}$' } },
    risk: 'none',
    undo: 'none before the next reboot',
    needsGpu: false,
    sources: ['this test'],
  };
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'made-up' },
  });
  const own = await startCoordinator(t, rig, { namespace: 'made-up', rows: [row] });
  const list = await own.rest.ask<{ items: readonly Json[] }>('GET', '/api/v1/faults');
  t.match(list.body.items, [
    { name: 'made-up', reacts: [{ from: '1.4.3', to: lastKnown, shows: [{ reason: 'AppBlocked' }] }] },
  ]);
  const one = await own.rest.ask<Fault>('GET', '/api/v1/faults/made-up?node=cpu-1');
  t.match(one.body.plan, {
    writes: [{ what: /task mine-\w{6}:1 blocked/ }],
    refusals: [],
    expectation: { kind: 'event' },
  });
  const drill = { fault: { name: 'made-up' }, target: only('cpu-1') };
  const dry = await own.rest.ask<{ targets: readonly PlanPreview[] }>(
    'POST',
    '/api/v1/experiments?dryRun=All',
    drill,
  );
  t.match(dry.body.targets, [{ node: 'cpu-1', reactions: [{ reason: 'AppBlocked' }] }]);
  t.match(await own.rest.drill(drill), { verdict: 'pass' });
  t.equal(recordsWith(rig, 'cpu-1', 'task mine-'), 1);
  t.equal((await fault('made-up')).status, 404, 'the other coordinator does not know it');
});
