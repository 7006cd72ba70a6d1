import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { type ApiServerOptions, startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { definitionOfInjections, injection, node, pod } from '../../contract/cluster-objects.ts';

type Json = { readonly [key: string]: unknown };

async function serve(t: Test, options: Partial<ApiServerOptions> = {}) {
  const server = await startApiServer({ clock: createRealClock(), log: createSilentLog(), ...options });
  t.teardown(() => server.close());
  const log = createSilentLog();
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'test',
    log,
  });
  /** A request as curl would make it. */
  const ask = async (method: string, path: string, body?: unknown, type = 'application/json') => {
    const init = {
      method,
      headers: { 'content-type': type },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    };
    const response = await fetch(`${server.url}${path}`, init);
    const text = await response.text();
    const json =
      response.headers.get('content-type') === 'application/json' ? (JSON.parse(text) as Json) : {};
    return { code: response.status, text, json, headers: response.headers };
  };
  return { server, cluster, ask };
}

const strategic = 'application/strategic-merge-patch+json';

t.test('strategic merge patches', async (t) => {
  const { cluster, ask } = await serve(t);
  await cluster.create('nodes', node('a'));
  const patch = async (path: string, body: unknown) =>
    (await ask('PATCH', `/api/v1/nodes/a${path}`, body, strategic)).json;
  const condition = (type: string, status: string) => ({ type, status });
  const conditions = async (body: readonly object[]) =>
    (await patch('/status', { status: { conditions: body } })).status;

  t.match(await conditions([condition('Gpu', 'False')]), {
    conditions: [{ type: 'Gpu', status: 'False' }, { type: 'Ready' }],
  });
  const after = await conditions([condition('Ready', 'False')]);
  t.match(
    after,
    { conditions: [{ type: 'Gpu' }, { status: 'False', lastHeartbeatTime: String }] },
    'merged by type',
  );
  t.strictSame(await conditions([{ type: 'Ready', $patch: 'delete' }]), {
    conditions: [condition('Gpu', 'False')],
  });
  t.strictSame(await conditions([{ $patch: 'replace' }, condition('New', 'True')]), {
    conditions: [condition('New', 'True')],
  });

  await patch('', { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } });
  const { spec } = await patch('', { spec: { taints: [{ key: 'b', effect: 'NoSchedule' }] } });
  t.strictSame(
    spec,
    { taints: [{ key: 'b', effect: 'NoSchedule' }] },
    'taints are replaced, as by the real server',
  );
  const finalizers = async (body: object) =>
    ((await patch('', { metadata: body })).metadata as Json).finalizers;
  t.strictSame(await finalizers({ finalizers: ['x.dev/a'] }), ['x.dev/a']);
  t.strictSame(
    await finalizers({ finalizers: ['x.dev/b'], '$setElementOrder/finalizers': ['x.dev/b', 'x.dev/a'] }),
    ['x.dev/a', 'x.dev/b'],
  );
  t.strictSame(await finalizers({ '$deleteFromPrimitiveList/finalizers': ['x.dev/a'] }), ['x.dev/b']);
  t.strictSame((await patch('', { metadata: { labels: { $patch: 'replace', only: 'this' } } })).metadata, {
    ...((await cluster.read('nodes', { name: 'a' }))?.metadata ?? {}),
    labels: { only: 'this' },
  });
});

t.test('JSON patches', async (t) => {
  const { cluster, ask } = await serve(t);
  await cluster.create('nodes', node('a', { one: '1', two: '2' }));
  const patch = (body: unknown) => ask('PATCH', '/api/v1/nodes/a', body, 'application/json-patch+json');
  const { json } = await patch([
    { op: 'test', path: '/metadata/labels/one', value: '1' },
    { op: 'replace', path: '/metadata/labels/one', value: '3' },
    { op: 'move', from: '/metadata/labels/two', path: '/metadata/labels/x~1y' },
    { op: 'copy', from: '/metadata/labels/one', path: '/metadata/labels/four' },
    { op: 'add', path: '/spec/taints', value: [{ key: 'b', effect: 'NoSchedule' }] },
    { op: 'add', path: '/spec/taints/0', value: { key: 'a', effect: 'NoSchedule' } },
    { op: 'add', path: '/spec/taints/-', value: { key: 'c', effect: 'NoSchedule' } },
    { op: 'remove', path: '/spec/taints/1' },
  ]);
  t.match(json, {
    metadata: { labels: { one: '3', 'x/y': '2', four: '3' } },
    spec: { taints: [{ key: 'a' }, { key: 'c' }] },
  });
  t.match(await patch([{ op: 'test', path: '/metadata/labels/one', value: '1' }]), { code: 422 });
  t.match(await patch([{ op: 'replace', path: '/spec/absent/deep', value: 1 }]), { code: 422 });
  t.match(await patch([{ op: 'dance', path: '/spec' }]), { code: 400 });
  t.match(await patch({ spec: {} }), { code: 400, json: { message: /jsonpatch\.Patch/ } });
});

t.test('what cannot be read is refused with what could', async (t) => {
  const { cluster, ask } = await serve(t);
  await cluster.create('customresourcedefinitions', definitionOfInjections);
  await cluster.create('injections', injection('a'));
  const path = '/apis/xidrill.dev/v1alpha1/namespaces/default/injections/a';
  t.match(await ask('PATCH', path, {}, strategic), {
    code: 415,
    json: { reason: 'UnsupportedMediaType', message: /merge-patch/ },
  });
  t.match(await ask('PATCH', path, {}, 'application/apply-patch+yaml'), { code: 400 });
  t.match(await ask('PATCH', path, {}, 'application/cbor'), { code: 415 });
  t.match(await ask('POST', '/api/v1/nodes', {}, 'application/vnd.kubernetes.protobuf'), { code: 415 });
  t.match(await ask('POST', '/api/v1/nodes'), { code: 400, json: { message: /not a JSON object/ } });
  t.match(await ask('POST', '/api/v1/nodes', pod('a')), {
    code: 400,
    json: { message: /does not match the expected API version/ },
  });
  t.match(await ask('POST', '/api/v1/pods', pod('a')), { code: 405 });
  t.match(await ask('POST', '/api/v1/namespaces/kube-system/pods', pod('a')), {
    code: 400,
    json: { message: /does not match the namespace/ },
  });
  t.match(await ask('POST', '/api/v1/nodes', { padding: 'x'.repeat(3 * 2 ** 20) }), { code: 413 });
  t.match(await ask('POST', '/api/v1/nodes/a', {}), { code: 405 });
  for (const unknown of ['/apis/x.dev/v1/ys', '/nowhere', '/api/v1/nodes/a/b/c']) {
    t.match(await ask('GET', unknown), { code: 404, text: '404 page not found\n' }, unknown);
  }
  for (const unknown of ['/api/v1/widgets', '/api/v1/nodes/a/proxy']) {
    t.match(await ask('GET', unknown), { code: 404, json: { kind: 'Status', reason: 'NotFound' } }, unknown);
  }
  t.match(await ask('GET', '/api/v1/nodes?continue=nonsense'), { code: 400 });
  t.match(await ask('GET', '/api/v1/nodes?fieldSelector=nonsense'), { code: 400 });
});

t.test('fields that a schema does not know: a warning, or an error if strict', async (t) => {
  const { cluster, ask } = await serve(t);
  await cluster.create('customresourcedefinitions', definitionOfInjections);
  const path = '/apis/xidrill.dev/v1alpha1/namespaces/default/injections';
  const warned = await ask('POST', path, injection('a', { typo: 1 }));
  t.equal(warned.headers.get('warning'), '299 - "unknown field \\"spec.typo\\""');
  const strict = await ask('POST', `${path}?fieldValidation=Strict`, injection('b', { typo: 1 }));
  t.match(strict, { code: 400, json: { message: /strict decoding error: unknown field "spec\.typo"/ } });
  t.equal(
    (await ask('POST', `${path}?fieldValidation=Ignore`, injection('c', { typo: 1 }))).headers.get('warning'),
    null,
  );
});

t.test('a definition that is wrong is refused', async (t) => {
  const { cluster } = await serve(t);
  const { spec } = definitionOfInjections;
  const rows = {
    'metadata.name': { ...definitionOfInjections, metadata: { name: 'wrong.xidrill.dev' } },
    'spec.scope': { ...definitionOfInjections, spec: { ...spec, scope: 'Global' } },
    'spec.versions': {
      ...definitionOfInjections,
      spec: { ...spec, versions: [{ ...spec.versions[0], storage: false }] },
    },
    'spec.names.kind': { ...definitionOfInjections, spec: { ...spec, names: { ...spec.names, kind: '' } } },
    'spec.versions[0].schema.openAPIV3Schema': {
      ...definitionOfInjections,
      spec: { ...spec, versions: [{ name: 'v1', served: true, storage: true }] },
    },
  };
  for (const [field, definition] of Object.entries(rows)) {
    const thrown = await cluster
      .create('customresourcedefinitions', definition)
      .catch((error: unknown) => error);
    t.match(thrown, { reason: 'object_invalid', details: { field } });
  }
});

t.test('an object with finalizers goes when the last one is taken off', async (t) => {
  const { cluster } = await serve(t);
  const plain = node('a');
  await cluster.create('nodes', { ...plain, metadata: { ...plain.metadata, finalizers: ['x.dev/a'] } });
  await cluster.remove('nodes', { name: 'a' });
  const dying = await cluster.read('nodes', { name: 'a' });
  t.match(dying, { metadata: { deletionTimestamp: /Z$/, finalizers: ['x.dev/a'] } });
  await cluster.remove('nodes', { name: 'a' });
  t.strictSame(await cluster.read('nodes', { name: 'a' }), dying, 'once is enough');
  await cluster.patch('nodes', { name: 'a' }, { metadata: { finalizers: [] } });
  t.equal(await cluster.read('nodes', { name: 'a' }), undefined);
});

t.test('deleting: whole collections, only what was meant, and what lived in a namespace', async (t) => {
  const { server, cluster, ask } = await serve(t);
  for (const name of ['a', 'b']) await cluster.create('nodes', node(name, { group: 'one' }));
  const { metadata } = await cluster.create('nodes', node('c'));
  t.match(await ask('DELETE', '/api/v1/nodes?labelSelector=group=one'), {
    code: 200,
    json: { kind: 'NodeList' },
  });
  t.strictSame(
    server.store.list('nodes').map((object) => object.metadata.name),
    ['c'],
  );
  const wrong = { kind: 'DeleteOptions', preconditions: { uid: 'other' } };
  t.match(await ask('DELETE', '/api/v1/nodes/c', wrong), {
    code: 409,
    json: { message: /UID in precondition: other/ },
  });
  t.match(await ask('DELETE', '/api/v1/nodes/c', { preconditions: { uid: metadata.uid } }), {
    code: 200,
    json: { status: 'Success' },
  });

  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'drills' } });
  const inside = pod('p');
  await cluster.create('pods', { ...inside, metadata: { ...inside.metadata, namespace: 'drills' } });
  t.match(await ask('DELETE', '/api/v1/namespaces/drills'), { code: 200 });
  t.equal(server.store.read('pods', { name: 'p', namespace: 'drills' }), undefined);
});

t.test('what was made after its owner went goes as well', async (t) => {
  const { cluster } = await serve(t);
  const orphan = node('orphan');
  const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: 'gone', uid: 'gone' }];
  const { metadata } = await cluster.create('nodes', {
    ...orphan,
    metadata: { ...orphan.metadata, ownerReferences },
  });
  const query = { resourceVersion: metadata.resourceVersion ?? '', signal: AbortSignal.timeout(300_000) };
  for await (const { type, object } of cluster.watch('nodes', query)) {
    t.strictSame([type, object.metadata.name], ['DELETED', 'orphan']);
    break;
  }
});

t.test('watches can begin with what is there', async (t) => {
  const { server, cluster } = await serve(t);
  await cluster.create('nodes', node('a'));
  const lines = async (query: string) => {
    const response = await fetch(`${server.url}/api/v1/nodes?watch=1&timeoutSeconds=0&${query}`);
    const text = await response.text();
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Json);
  };
  t.match(await lines('resourceVersion=0'), [{ type: 'ADDED', object: { metadata: { name: 'a' } } }]);
  t.match(await lines('sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan'), [
    { type: 'ADDED' },
    { type: 'BOOKMARK', object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } } },
  ]);
  const response = await fetch(`${server.url}/api/v1/nodes?watch=1&resourceVersion=abc`);
  t.equal(response.status, 400);
});

t.test('an authorizer is asked for everything, and its no is said as the real one says it', async (t) => {
  const asked: object[] = [];
  const { ask, cluster } = await serve(t, {
    authorize: (request) => {
      asked.push(request);
      return { allowed: false, user: 'system:serviceaccount:xidrill:coordinator' };
    },
  });
  t.match(await ask('PATCH', '/apis/apps/v1/namespaces/x/daemonsets/d/status', {}), {
    code: 403,
    json: {
      reason: 'Forbidden',
      message:
        'daemonsets.apps "d" is forbidden: User "system:serviceaccount:xidrill:coordinator" cannot patch resource "daemonsets/status" in API group "apps" in the namespace "x"',
    },
  });
  t.match(asked, [
    {
      verb: 'patch',
      group: 'apps',
      resource: 'daemonsets',
      subresource: 'status',
      namespace: 'x',
      name: 'd',
    },
  ]);
  t.match(await cluster.list('nodes').catch((thrown: unknown) => thrown), {
    reason: 'cluster_refused',
    message: /at the cluster scope/,
  });
});

t.test('discovery names what is served', async (t) => {
  const { cluster, ask } = await serve(t);
  t.match(await ask('GET', '/readyz'), { code: 200, text: 'ok' });
  t.match((await ask('GET', '/version')).json, { gitVersion: /rehearsal/ });
  t.match((await ask('GET', '/api')).json, { versions: ['v1'] });
  t.equal((await ask('GET', '/apis/xidrill.dev/v1alpha1')).code, 404);
  await cluster.create('customresourcedefinitions', definitionOfInjections);
  const { resources } = (await ask('GET', '/apis/xidrill.dev/v1alpha1')).json as {
    readonly resources: readonly Json[];
  };
  t.strictSame(
    resources.map(({ name }) => name),
    ['injections', 'injections/status'],
  );
  t.match((await ask('GET', '/apis/xidrill.dev')).json, { preferredVersion: { version: 'v1alpha1' } });
  const { groups } = (await ask('GET', '/apis')).json as { readonly groups: readonly Json[] };
  const names = groups.map(({ name }) => name);
  t.equal(names[0], 'apps');
  t.equal(names.at(-1), 'xidrill.dev', 'what was defined comes last');
});

t.test('a pod with several containers has several logs', async (t) => {
  const { server, cluster } = await serve(t);
  const containers = ['main', 'side'].map((name) => ({ name, image: 'x' }));
  await cluster.create('pods', { ...pod('p'), spec: { containers, nodeName: 'n' } });
  const key = { name: 'p', namespace: 'default' };
  server.appendPodLog('default', 'p', 'from the side', 'side');
  t.equal(await cluster.podLog(key, { container: 'side', tailLines: 9 }), 'from the side\n');
  t.equal(await cluster.podLog(key, { container: 'main', tailLines: 9 }), undefined);
  const unnamed = await cluster.podLog(key, { tailLines: 9 }).catch((thrown: unknown) => thrown);
  t.match(unnamed, { reason: 'object_invalid', message: /choose one of: \[main side\]/ });
  for (let line = 0; line < 5_010; line += 1) server.appendPodLog('default', 'p', String(line), 'side');
  t.equal(
    (await cluster.podLog(key, { container: 'side', tailLines: 9_999 }))?.split('\n')[0],
    '10',
    'logs are rotated',
  );
  await cluster.remove('pods', key);
  await cluster.create('pods', pod('p', 'n'));
  t.equal(await cluster.podLog(key, { tailLines: 9 }), undefined, 'another pod of that name has another log');
});
