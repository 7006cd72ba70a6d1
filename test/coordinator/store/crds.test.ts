import t, { type Test } from 'tap';
import Type from 'typebox';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { assertInstalled, customResourceDefinitions } from '../../../coordinator/store/crds.ts';
import type { InjectionSpec } from '../../../coordinator/store/experiment.ts';
import { createStore } from '../../../coordinator/store/store.ts';
import { structuralFrom } from '../../../coordinator/store/structural-schema.ts';
import { createRealClock } from '../../../shared/clock.ts';
import type { Receipt } from '../../../shared/schemas/receipt.ts';
import { linkStatus, simpleChain } from '../chained.ts';
import { log, refusal } from '../rig.ts';

/** Every schema below, with its path; map values and items are schemas, properties are names. */
function schemasIn(schema: unknown, path = ''): readonly (readonly [string, Record<string, unknown>])[] {
  if (schema === null || typeof schema !== 'object') return [];
  const { properties = {}, items, additionalProperties } = schema as Record<string, unknown>;
  return [
    [path, schema as Record<string, unknown>],
    ...Object.entries(properties as object).flatMap(([name, inner]) => schemasIn(inner, `${path}.${name}`)),
    ...schemasIn(items, `${path}[]`),
    ...schemasIn(additionalProperties, `${path}{}`),
  ];
}

t.test('the schemas are structural', async (t) => {
  const definitions = customResourceDefinitions();
  t.equal(definitions.length, 2);
  for (const definition of definitions) {
    const { versions } = definition.spec as { versions: { schema: { openAPIV3Schema: object } }[] };
    const found = schemasIn(versions[0]?.schema.openAPIV3Schema);
    t.ok(found.length > 30, `${definition.metadata.name}: ${found.length} schemas`);
    for (const [path, schema] of found) {
      for (const word of ['const', 'anyOf', 'oneOf', 'allOf', '$id', '$ref', 'patternProperties'])
        if (word in schema) t.fail(`${path} has ${word}`);
      if (schema.additionalProperties === false) t.fail(`${path} has additionalProperties: false`);
      const isTyped = schema.type !== undefined || schema['x-kubernetes-preserve-unknown-fields'] === true;
      if (!isTyped) t.fail(`${path} has no type`);
      if (schema.type === 'array' && schema.items === undefined) t.fail(`${path} has no items`);
    }
  }
});

t.test('what each kind of schema becomes', async (t) => {
  const rows: readonly (readonly [object, object])[] = [
    [Type.Literal('a'), { type: 'string', enum: ['a'] }],
    [Type.Union([Type.Literal('a'), Type.Literal('b')]), { type: 'string', enum: ['a', 'b'] }],
    [Type.Enum(['a', 'b']), { type: 'string', enum: ['a', 'b'] }],
    [Type.Union([Type.String(), Type.Null()]), { type: 'string', nullable: true }],
    [Type.Union([Type.Integer(), Type.String()]), { 'x-kubernetes-preserve-unknown-fields': true }],
    [Type.Unknown(), { 'x-kubernetes-preserve-unknown-fields': true }],
    [
      Type.Record(Type.String(), Type.Unknown()),
      { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    ],
    [
      Type.Record(Type.String(), Type.Integer()),
      { type: 'object', additionalProperties: { type: 'integer' } },
    ],
    [Type.Array(Type.String(), { maxItems: 2 }), { type: 'array', items: { type: 'string' }, maxItems: 2 }],
    [
      Type.Object(
        { a: Type.Optional(Type.Boolean()), b: Type.Number({ minimum: 1 }) },
        { additionalProperties: false },
      ),
      {
        type: 'object',
        required: ['b'],
        properties: { a: { type: 'boolean' }, b: { type: 'number', minimum: 1 } },
      },
    ],
  ];
  for (const [schema, expected] of rows)
    t.strictSame(structuralFrom(schema), expected, JSON.stringify(expected));
});

t.test('what an API server would judge otherwise than we do cannot be stored', async (t) => {
  const rows: readonly (readonly [string, object, RegExp])[] = [
    ['enum', Type.Union([Type.Enum(['a', 'b']), Type.Null()]), /an enum cannot admit null/],
    [
      'literals',
      Type.Union([Type.Literal('a'), Type.Literal('b'), Type.Null()]),
      /an enum cannot admit null/,
    ],
    ['null in an enum', { enum: ['a', null] }, /only strings can be enumerated/],
    [
      'deep down',
      Type.Object({ list: Type.Array(Type.Object({ a: Type.Union([Type.Literal('x'), Type.Null()]) })) }),
      /an enum cannot admit null/,
    ],
    ['format', Type.String({ format: 'uri' }), /format uri is not judged alike/],
    ['unique', Type.Array(Type.String(), { uniqueItems: true }), /uniqueItems would be lost/],
    ['multiple', Type.Number({ multipleOf: 2 }), /multipleOf would be lost/],
    ['look-ahead', Type.String({ pattern: '^(?!a)b$' }), /RE2 may read the pattern/],
    ['back reference', Type.String({ pattern: '^(a)\\1$' }), /RE2 may read the pattern/],
    ['space', Type.String({ pattern: '^\\s$' }), /RE2 may read the pattern/],
    ['dot', Type.String({ pattern: '^.$' }), /RE2 may read the pattern/],
  ];
  for (const [name, schema, message] of rows) t.throws(() => structuralFrom(schema), { message }, name);
  const pattern = '^(?:a|[.b]|\\.|\\d+)$';
  t.match(structuralFrom(Type.String({ pattern })), { type: 'string', pattern }, 'the shared syntax is kept');
});

async function serve(t: Test) {
  const server = await startApiServer({ clock: createRealClock(), log });
  t.teardown(() => server.close());
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'test',
    log,
  });
  return { cluster, faults: server.faults };
}

t.test('an API server that does not answer is asked again, and nothing else is', async (t) => {
  const { cluster, faults } = await serve(t);
  const pauses: number[] = [];
  const stop = new AbortController();
  const clock = {
    ...createRealClock(),
    async sleep(milliseconds: number) {
      pauses.push(milliseconds);
      if (pauses.length === 10) stop.abort(new Error('enough'));
      stop.signal.throwIfAborted();
    },
  };
  const installed = () => assertInstalled({ cluster, namespace: 'drills', clock, log }, stop.signal);
  faults.failNext({ code: 504, count: 2 });
  await t.rejects(installed(), refusal({ reason: 'crds_missing' }));
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'drills' } });
  const before = pauses.length;
  t.ok(before > 0, `${before} pauses`);
  faults.failNext({ code: 500, count: 4 });
  await installed();
  t.ok(pauses.length > before && pauses.every((pause) => pause > 0), pauses.join(' '));
  faults.failNext({ code: 503, count: 1000 });
  await t.rejects(installed(), { message: 'enough' }, 'whoever stops it is not kept waiting');
});

t.test('the API server takes them, and holds objects to them', async (t) => {
  const { cluster } = await serve(t);
  const installed = () => {
    const { signal } = new AbortController();
    return assertInstalled({ cluster, namespace: 'drills', clock: createRealClock(), log }, signal);
  };
  await t.rejects(
    installed(),
    refusal({
      reason: 'crds_missing',
      message: /experiments\.xidrill\.dev, injections\.xidrill\.dev/,
      details: { remedy: /kubectl apply/ },
    }),
  );
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  await t.rejects(
    installed(),
    refusal({ reason: 'object_missing', details: { remedy: 'kubectl create namespace drills' } }),
  );
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'drills' } });
  await installed();

  const create = (spec: object, name = 'a') =>
    cluster.create('experiments', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name, namespace: 'drills' },
      spec,
    });
  await t.rejects(create({}), refusal({ reason: 'object_invalid', details: { field: 'spec.fault' } }));
  await t.rejects(
    create({ fault: { name: 'x' }, target: { mode: 'many' } }),
    refusal({
      reason: 'object_invalid',
      details: { field: 'spec.target.mode' },
    }),
  );
  await t.rejects(
    create({ fault: { name: 'x' }, deadline: 'soon' }),
    refusal({ details: { field: 'spec.deadline' } }),
  );
  const none = (expectation: object) => ({
    fault: { name: 'x' },
    expectation: { none: true, ...expectation },
  });
  for (const [expectation, field] of [
    [{ none: false }, 'none'],
    [{ for: 'long' }, 'for'],
    [{ event: 'maybe' }, 'event'],
  ] as const)
    await t.rejects(create(none(expectation)), refusal({ details: { field: `spec.expectation.${field}` } }));
  const negative = await create(none({ for: '90s', event: 'required' }), 'negative');
  t.match(negative.spec, { expectation: { none: true, for: '90s', event: 'required' } });
  await create({ fault: { name: 'xid', parameters: { xid: 79, engine: { pid: 1 } } } });

  const store = createStore(cluster, 'drills');
  const experiment = await store.readExperiment('a');
  if (experiment === undefined) return t.fail('the experiment is gone');
  t.match(
    experiment.spec.fault.parameters,
    { xid: 79, engine: { pid: 1 } },
    'parameters are kept as they are',
  );
  const wrong = { phase: 'Resting' } as unknown as { phase: 'Running' };
  await t.rejects(
    store.writeExperimentStatus(experiment, wrong),
    refusal({
      reason: 'object_invalid',
      details: { field: 'status.phase' },
    }),
  );
  const written = await store.writeExperimentStatus(experiment, { phase: 'Running', selected: ['n'] });
  await t.rejects(
    store.writeExperimentStatus(experiment, { phase: 'Completed' }),
    refusal({ reason: 'object_conflict' }),
    'a status rests on what its writer has read',
  );
  t.match(written.status, { phase: 'Running' });
  t.match((await store.abortExperiment('a')).spec, { abort: true, fault: { name: 'xid' } });
  await t.rejects(store.abortExperiment('none'), refusal({ reason: 'experiment_unknown' }));
});

t.test('a receipt is kept whole, with its nulls', async (t) => {
  const { cluster } = await serve(t);
  for (const definition of customResourceDefinitions())
    await cluster.create('customresourcedefinitions', definition);
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'drills' } });
  const store = createStore(cluster, 'drills');
  const experiment = await store.createExperiment('a', { fault: { name: 'xid' } }, {});
  const spec: InjectionSpec = {
    experiment: 'a',
    node: 'n',
    nodeUid: 'u',
    fault: 'xid',
    parameters: {},
    chain: simpleChain(
      { orderId: 'o', method: 'InjectXid', body: { gpu: { index: 0 }, xid: 79, surfaces: ['dcgm'] } },
      { kind: 'condition', type: 'T', reason: 'R', withinSeconds: 1 },
    ),
  };
  const injection = await store.createInjection(experiment, spec);
  t.equal((await store.createInjection(experiment, spec)).metadata.uid, injection.metadata.uid, 'made once');
  t.match(injection.metadata.ownerReferences, [{ kind: 'Experiment', uid: experiment.metadata.uid }]);
  const after = {
    fieldTag: 'xid_errors',
    watched: false,
    samples: 1,
    newest: null,
    oldest: null,
    watchers: 0,
    monitorIntervalMs: 0,
    maxAgeSeconds: 0,
    lastStatus: 0,
  };
  const receipt: Receipt = {
    orderId: 'o',
    node: 'n',
    method: 'InjectXid',
    asked: { engine: null },
    state: 'running',
    acceptedAt: '2026-01-01T00:00:00Z',
    endedAt: null,
    replayed: false,
    surfaces: [
      {
        surface: 'dcgm',
        outcome: 'injected',
        engine: { pid: 1, podUid: null, container: null, version: null, address: 'a', listeners: 'nobody' },
        readBack: { before: null, after },
        undo: '',
        notes: [],
      },
    ],
  };
  await store.writeInjectionStatus(injection, {
    phase: 'Verifying',
    links: [
      linkStatus('order', 'reached', {
        receipt,
        baseline: {
          at: '2026-01-01T00:00:00Z',
          events: {},
          condition: {
            type: 'T',
            status: 'True',
            reason: '',
            message: '',
            lastHeartbeatTime: null,
            lastTransitionTime: null,
          },
        },
      }),
    ],
  });
  const read = await store.readInjection(injection.metadata.name);
  t.strictSame(read?.status?.links?.[0]?.receipt, receipt);
  t.match(read?.status?.links?.[0]?.baseline?.condition, { lastHeartbeatTime: null });
});
