import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import { createCoordinator } from '../../../coordinator/app.ts';
import type { ExperimentAnswer } from '../../../coordinator/routes/answers.ts';
import { cpuNode, gpuNode, httpAgents, type Json, log, only, recordsWith, startRig, viewOf } from '../rig.ts';

type Problem = {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
  readonly explanation?: { readonly code: string };
};

const fault = { name: 'conntrack-full' };
const xid = (parameters: object, target?: object) => ({
  fault: { name: 'xid', parameters },
  ...(target && { target }),
});

t.test('one cluster, every kind of request', async (t) => {
  const rig = await startRig(t, { rows: [gpuNode('gpu'), cpuNode('cpu'), cpuNode('shy', {})] });
  const { rest } = rig;
  const post = <T = Problem>(body: unknown, headers: Record<string, string> = {}, query = '') =>
    rest.ask<T>('POST', `/api/v1/experiments${query}`, body, headers);

  await t.test('what is wrong with a request names its field', async (t) => {
    const rows: readonly (readonly [string, unknown, string, string, number?])[] = [
      ['no fault', {}, 'malformed_request', 'fault'],
      ['bad JSON', '{"fault":', 'malformed_request', 'body'],
      ['a list', [], 'malformed_request', 'body'],
      ['unknown field', { fault, foo: 1 }, 'malformed_request', 'foo'],
      ['unknown field within', { fault, target: { node: 'a' } }, 'malformed_request', 'target.node'],
      ['bad name', { name: 'Not_A_Name', fault }, 'malformed_request', 'name'],
      ['long name', { name: 'x'.repeat(53), fault }, 'malformed_request', 'name'],
      ['unknown fault', { fault: { name: 'nope' } }, 'fault_unknown', 'fault.name'],
      ['no parameter', { fault: { name: 'xid' } }, 'parameter_invalid', 'fault.parameters.xid'],
      ['out of range', xid({ xid: 999 }), 'parameter_invalid', 'fault.parameters.xid'],
      ['not a number', xid({ xid: '79' }), 'parameter_invalid', 'fault.parameters.xid'],
      ['unknown parameter', xid({ xid: 79, xxid: 1 }), 'parameter_invalid', 'fault.parameters.xxid'],
      [
        'bad surface',
        xid({ xid: 79, surfaces: ['dmesg'] }),
        'parameter_invalid',
        'fault.parameters.surfaces',
      ],
      ['unknown mode', { fault, target: { mode: 'many' } }, 'malformed_request', 'target.mode'],
      ['mode without value', { fault, target: { mode: 'fixed' } }, 'target_invalid', 'target.value'],
      ['value without mode', { fault, target: { value: 2 } }, 'target_invalid', 'target.value'],
      [
        'over 100 %',
        { fault, target: { mode: 'fixed-percent', value: 101 } },
        'target_invalid',
        'target.value',
      ],
      ['unknown node', { fault, target: only('nobody') }, 'node_unknown', 'target.selector.names'],
      [
        'two GPU names',
        xid({ xid: 79 }, { gpu: { index: 0, uuid: 'x' } }),
        'malformed_request',
        'target.gpu',
      ],
      ['bad address', xid({ xid: 79 }, { gpu: { pci: 'there' } }), 'gpu_address_malformed', 'target.gpu.pci'],
      ['bad deadline', { fault, deadline: 'soon' }, 'malformed_request', 'deadline'],
      ['no deadline at all', { fault, deadline: '0s' }, 'deadline_invalid', 'deadline'],
      [
        'N8: deadline under the window',
        { fault, target: only('cpu'), deadline: '60s', expectation: { within: '420s' } },
        'deadline_invalid',
        'deadline',
      ],
      ['endless deadline', { fault, deadline: '99999999999999h' }, 'deadline_invalid', 'deadline'],
      ['bad wait', { fault, expectation: { within: 'a while' } }, 'malformed_request', 'expectation.within'],
      ['long wait', { fault, expectation: { within: '2h' } }, 'expectation_invalid', 'expectation.within'],
      ['bad kind', { fault, expectation: { kind: 'taint' } }, 'malformed_request', 'expectation.kind'],
      [
        'none, and a kind',
        { fault, expectation: { none: true, kind: 'event' } },
        'expectation_invalid',
        'expectation.kind',
      ],
      [
        'none, and a type',
        { fault, expectation: { none: true, type: 'T' } },
        'expectation_invalid',
        'expectation.type',
      ],
      [
        'none, and a reason',
        { fault, expectation: { none: true, reason: 'R' } },
        'expectation_invalid',
        'expectation.reason',
      ],
      [
        'none, and a message',
        { fault, expectation: { none: true, message: 'm' } },
        'expectation_invalid',
        'expectation.message',
      ],
      [
        'none, and within',
        { fault, expectation: { none: true, within: '9s' } },
        'expectation_invalid',
        'expectation.within',
      ],
      ['for, without none', { fault, expectation: { for: '9s' } }, 'expectation_invalid', 'expectation.for'],
      [
        'event rule, without none',
        { fault, expectation: { event: 'required' } },
        'expectation_invalid',
        'expectation.event',
      ],
      ['none is no switch', { fault, expectation: { none: false } }, 'malformed_request', 'expectation.none'],
      [
        'watched too short',
        { fault, expectation: { none: true, for: '900ms' } },
        'expectation_invalid',
        'expectation.for',
      ],
      [
        'watched too long',
        { fault, expectation: { none: true, for: '3601s' } },
        'expectation_invalid',
        'expectation.for',
      ],
      [
        'no duration',
        { fault, expectation: { none: true, for: 'long' } },
        'malformed_request',
        'expectation.for',
      ],
      [
        'no such event rule',
        { fault, expectation: { none: true, event: 'maybe' } },
        'malformed_request',
        'expectation.event',
      ],
      [
        'an event that nobody sends',
        {
          fault: { name: 'kernel-message', parameters: { text: 'nothing' } },
          expectation: { none: true, event: 'required' },
        },
        'expectation_invalid',
        'expectation.event',
      ],
      ['nobody opted in', { fault, target: only('shy') }, 'no_target', 'target'],
    ];
    for (const [name, body, code, field, status = 400] of rows) {
      const answer = await post(body);
      t.match(answer, { status, body: { code, status, title: String, detail: String } }, name);
      t.ok(
        answer.body.errors?.some((error) => error.field === field),
        `${name}: names ${field}`,
      );
      t.match(answer.headers.get('content-type'), /^application\/problem\+json/);
    }
    t.strictSame(
      Object.keys((await post({ fault, target: only('nobody') })).body).slice(0, 5),
      ['type', 'title', 'status', 'detail', 'code'],
      'N10: RFC 9457 first, ours after them',
    );
    const patterned: readonly (readonly [unknown, RegExp])[] = [
      [
        { name: 'Not_A_Name', fault },
        /^name must be lower case letters, digits and dashes, a letter or digit/,
      ],
      [{ fault, deadline: 'soon' }, /^deadline must be a duration, as in Go \(90s, 1m30s\)/],
      [{ fault, target: { value: 0 } }, /^target\.value must be 1 or more$/],
      [{}, /^fault is missing$/],
      [
        { fault, target: only('cpu'), deadline: '1m', expectation: { within: '420s' } },
        /^deadline: 1m is shorter than the 7 min that this drill may have to wait/,
      ],
    ];
    for (const [body, detail] of patterned) t.match((await post(body)).body, { detail });
    const answers = await Promise.all(rows.map(([, body]) => post(body)));
    for (const { body } of answers) {
      t.notMatch(
        JSON.stringify(body),
        /\^\[|querystring|params\.|must match|instancePath/,
        'no framework words',
      );
      const { allowed, errors = [] } = body as Problem & { allowed?: unknown };
      for (const list of [allowed, ...errors.map((error) => (error as { allowed?: unknown }).allowed)])
        if (list !== undefined)
          t.ok(
            Array.isArray(list) && list.every((one) => typeof one === 'string'),
            'allowed is a list of texts',
          );
    }
    const headers: readonly (readonly [Record<string, string>, string])[] = [
      [{ prefer: 'wait=soon' }, 'prefer'],
      [{ prefer: 'wait=99999' }, 'prefer'],
      [{ 'idempotency-key': 'a b' }, 'idempotency-key'],
      [{ 'idempotency-key': 'x'.repeat(201) }, 'idempotency-key'],
    ];
    for (const [given, field] of headers)
      t.match(await post({ fault }, given), { status: 400, body: { errors: [{ field }] } }, field);
    t.match(await post({ fault }, {}, '?dryRun=Some'), {
      status: 400,
      body: { errors: [{ field: 'dryRun' }] },
    });
    t.match((await post(xid({ xid: 'x', y: 1 }))).body.errors?.length, 2, 'everything wrong at once');
    const other = await post({ fault: { name: 'dcgm-field', parameters: { field: 150, value: 48 } } });
    t.match(other.body, { explanation: { code: 'field-is-another-quantity' }, remedy: /230/ });
    t.equal(rig.apiServer.store.list('experiments').length, 0, 'nothing was created by any of them');
  });

  await t.test('nobody and nothing', async (t) => {
    const rows = [
      ['GET', '/api/v1/experiments/nobody', 'experiment_unknown'],
      ['GET', '/api/v1/experiments/nobody/injections', 'experiment_unknown'],
      ['GET', '/api/v1/experiments/nobody/events', 'experiment_unknown'],
      ['POST', '/api/v1/experiments/nobody/abort', 'experiment_unknown'],
      ['GET', '/api/v1/nodes/nobody/preflight', 'node_missing'],
      ['GET', '/api/v2/experiments', 'method_unknown'],
      ['GET', `/api/v1/nodes/${'n'.repeat(253)}/preflight`, 'node_missing'],
    ] as const;
    for (const [method, path, code] of rows)
      t.match(await rest.ask(method, path), { status: 404, body: { code } }, `${method} ${path}`);
  });

  await t.test('a known path says which methods it takes', async (t) => {
    for (const [method, path, allow] of [
      ['PATCH', '/api/v1/experiments', 'GET, HEAD, POST'],
      ['GET', '/api/v1/experiments/x/abort', 'POST'],
      ['DELETE', '/api/v1/faults/xid', 'GET, HEAD'],
    ] as const) {
      const answer = await rest.ask<Problem>(method, path);
      t.match(answer, { status: 405, body: { code: 'method_not_allowed', allowed: allow.split(', ') } });
      t.equal(answer.headers.get('allow'), allow);
    }
    for (const path of [
      '/api/v1/experiments?verdct=pass',
      '/api/v1/faults?x=1',
      '/api/v1/nodes/gpu/preflight?a=b',
    ])
      t.match(await rest.ask('GET', path), {
        status: 400,
        body: { detail: /^query parameter .* is not known here/ },
      });
    t.match(await rest.ask('POST', '/api/v1/experiments/x/abort?force=1'), { status: 400 });
  });

  await t.test('a dry run shows the plan and changes nothing', async (t) => {
    const calls: string[] = [];
    const real = httpAgents(rig);
    const agents: Agents = {
      find: real.find,
      isUp: real.isUp,
      setKillSwitch: real.setKillSwitch,
      receipt: real.receipt,
      stop: real.stop,
      order: async (node, order) => {
        calls.push(`order ${node}`);
        return real.order(node, order);
      },
      inventory: async (node) => {
        calls.push(`inventory ${node}`);
        return real.inventory(node);
      },
    };
    const stop = new AbortController();
    const { app, run } = await createCoordinator({
      cluster: rig.cluster,
      view: viewOf(rig),
      agents,
      namespace: 'xidrill',
      identity: 'dry',
      leaseSeconds: 86_400,
      clock: rig.clock,
      random: () => 0.5,
      newName: () => 'drill-new',
      log,
    });
    const running = run(stop.signal);
    t.teardown(async () => {
      stop.abort(new Error('the test ends'));
      await running;
      await app.close();
    });
    const before = recordsWith(rig, 'cpu', 'conntrack');
    const answer = await app.inject({
      method: 'POST',
      url: '/api/v1/experiments?dryRun=All',
      payload: { fault, target: { mode: 'all', seed: 5 } },
    });
    t.equal(answer.statusCode, 200);
    const plan = answer.json() as { targets: Json[]; skipped: Json[] };
    t.match(plan, { dryRun: 'All', seed: 5 });
    t.strictSame(plan.targets.map(({ node }) => node).toSorted(), ['cpu', 'gpu']);
    t.match(plan.targets[0], {
      order: { method: 'WriteKernelMessage' },
      writes: [{ surface: 'kernel-log', where: '/dev/kmsg', what: /^<3>nf_conntrack/ }],
      chain: [
        { id: 'order', role: 'fault' },
        { id: 'detection', role: 'fault' },
      ],
      expectation: { kind: 'event', reason: 'ConntrackExceededKernel' },
      confidence: { level: 'high', because: [/1\.6\.4/] },
      risk: String,
      undo: String,
    });
    const negative = await app.inject({
      method: 'POST',
      url: '/api/v1/experiments?dryRun=All',
      payload: {
        fault: { name: 'xid', parameters: { xid: 43 } },
        target: only('gpu'),
        expectation: { none: true, for: '90s', event: 'required' },
      },
    });
    t.match(negative.json(), {
      targets: [
        {
          expectation: { kind: 'none', reason: 'NvidiaXID43Warning', event: 'required', withinSeconds: 90 },
          chain: [
            { id: 'control-before-dcgm-order', role: 'control', order: { body: { xid: 45 } } },
            { id: 'control-before-dcgm-detection', when: 'before', path: 'dcgm' },
            { id: 'order', role: 'fault' },
            { id: 'detection', expected: /the event NvidiaXID43Warning and no change of .* for 1 min 30 s/ },
            { id: 'control-after-dcgm-order' },
            { id: 'control-after-dcgm-detection', expectation: { reason: 'NvidiaXID45Warning' } },
          ],
        },
      ],
    });
    t.match(plan.skipped, [{ node: 'shy', because: /kubectl label node shy/ }]);
    t.ok(
      calls.every((call) => call.startsWith('inventory')),
      'agents are asked, and given no order',
    );
    t.equal(recordsWith(rig, 'cpu', 'conntrack'), before);
    t.equal(rig.apiServer.store.list('experiments').length, 0);
    t.equal(rig.apiServer.store.list('injections').length, 0);
    const writes = rig.apiServer.requests.filter(
      ({ verb, resource }) =>
        !['get', 'list', 'watch'].includes(verb) && ['experiments', 'injections'].includes(resource),
    );
    t.strictSame(writes, [], 'nothing was written that is ours');
  });

  await t.test('202 with Location, then the end', async (t) => {
    const created = await post<ExperimentAnswer>({ name: 'plain', fault, target: only('cpu') });
    t.match(created, { status: 202, body: { name: 'plain', verdict: null, explanation: null } });
    t.equal(created.headers.get('location'), '/api/v1/experiments/plain');
    const held = await rest.ask<ExperimentAnswer>('GET', '/api/v1/experiments/plain', undefined, {
      prefer: 'wait=240',
    });
    t.match(held, {
      status: 200,
      body: { phase: 'Completed', verdict: 'pass', explanation: { code: 'reacted' } },
    });
    t.equal(held.headers.get('preference-applied'), 'wait=240');
    t.match(await post({ name: 'plain', fault }), {
      status: 409,
      body: { code: 'object_exists', errors: [{ field: 'name' }] },
    });
    t.match(
      await post({ name: 'plain', fault }, {}, '?dryRun=All'),
      { status: 409 },
      'a dry run says so as well',
    );
    const waited = await post<ExperimentAnswer>({ fault, target: only('cpu') }, { prefer: 'wait=240' });
    t.match(waited, { status: 200, body: { verdict: 'pass', latency: { clock: 'coordinator' } } });
    t.match(waited.body.explanation?.evidence, [{ source: /receipt/, observed: /^sequence \d+: / }, {}]);
    const { body } = await rest.ask<{ items: ExperimentAnswer[] }>('GET', '/api/v1/experiments');
    t.ok(body.items.some(({ name }) => name === 'plain'));
    t.match(await rest.ask('POST', '/api/v1/experiments/plain/abort'), {
      status: 409,
      body: { code: 'experiment_ended', detail: /verdict pass/ },
    });
    const [injection] = await rest.injections('plain');
    t.match(injection, {
      spec: { node: 'cpu', chain: [{ order: { method: 'WriteKernelMessage' } }] },
      status: {
        phase: 'Completed',
        receipt: { state: 'ended', surfaces: [{ outcome: 'injected', readBack: { sequence: Number } }] },
        timeline: [
          { kind: 'ordered', clock: 'coordinator' },
          { kind: 'injected', clock: 'node' },
          { kind: 'event', match: true },
        ],
      },
    });
  });

  await t.test('the same key is the same experiment', async (t) => {
    const body = { fault, target: only('cpu') };
    const key = { 'idempotency-key': 'pipeline-7' };
    const before = recordsWith(rig, 'cpu', 'conntrack');
    const answers = await Promise.all(
      [1, 2, 3].map(() => post<ExperimentAnswer>(body, { ...key, prefer: 'wait=240' })),
    );
    const names = new Set(answers.map((answer) => answer.body.name));
    t.equal(names.size, 1, 'three at once are one');
    for (const answer of answers) t.match(answer, { status: 200, body: { verdict: 'pass' } });
    t.equal(recordsWith(rig, 'cpu', 'conntrack'), before + 1, 'one injection');
    const again = await post<ExperimentAnswer>({ target: only('cpu'), fault }, key);
    t.equal(again.body.name, [...names][0], 'also later, and in another order of its members');
    const conflict = {
      status: 409,
      body: { code: 'idempotency_key_reused', errors: [{ field: 'idempotency-key' }] },
    };
    t.match(await post({ fault: { name: 'task-blocked' } }, key), conflict);
    t.match(await post({ ...body, name: 'other-name' }, key), conflict, 'another name is another body');
    t.match(
      await post({ ...body, name: 'plain' }, { 'idempotency-key': 'new' }),
      { status: 409, body: { code: 'object_exists' } },
      'a name that was taken without this key is no reuse of it',
    );
  });

  await t.test('events tell the experiment to its end', async (t) => {
    const { name } = await rest.create({ fault: { name: 'task-blocked' }, target: only('cpu') });
    const follow = async () => {
      const response = await fetch(`${rig.url}/api/v1/experiments/${name}/events`);
      t.match(response.headers.get('content-type'), /^text\/event-stream/);
      return (await response.text()).split('\n\n').filter((block) => block.startsWith('event:'));
    };
    const live = await follow();
    const kinds = live.map((block) => block.split('\n')[0]?.slice('event: '.length));
    t.equal(kinds[0], 'experiment');
    t.ok(kinds.includes('injection'));
    t.equal(kinds.at(-1), 'end');
    t.equal(kinds.filter((kind) => kind === 'end').length, 1);
    const last = live.findLast((block) => block.startsWith('event: experiment')) ?? '';
    t.match(JSON.parse(last.split('data: ')[1] ?? ''), {
      name,
      verdict: 'pass',
      injections: [{ node: 'cpu' }],
    });
    const after = await follow();
    t.match(
      after.map((block) => block.split('\n')[0]),
      ['event: experiment', 'event: injection', 'event: end'],
    );
  });

  await t.test('nodes and preflight', async (t) => {
    const { body } = await rest.ask<{ items: Json[] }>('GET', '/api/v1/nodes');
    const nodes = Object.fromEntries(body.items.map((row) => [row.name, row]));
    t.match(nodes, {
      gpu: { drillAllowed: true, agent: /^http/, acceleratedHardware: { status: 'True' } },
      shy: { drillAllowed: false, acceleratedHardware: null },
    });
    const preflight = await rest.ask('GET', '/api/v1/nodes/gpu/preflight');
    t.match(preflight, { status: 200, body: { node: 'gpu', checks: Array, blocking: null } });
    const { body: catalogue } = await rest.ask<{ items: Json[] }>('GET', '/api/v1/faults');
    t.ok(
      catalogue.items.length >= 6 && catalogue.items.every(({ name, risk, undo }) => name && risk && undo),
    );
  });
});
