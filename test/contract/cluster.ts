import type { Test } from 'tap';
import type { Cluster, KubeObject, ResourceName, WatchEvent } from '../../coordinator/cluster/port.ts';
import { Refusal } from '../../shared/errors.ts';
import { definitionOfInjections, injection, node, pod } from './cluster-objects.ts';

export type ClusterUnderTest = {
  /** Another client of the same server. */
  connect(options?: { readonly token?: string }): Cluster;
  /** A token that the server does not know; absent where everybody is let in. */
  readonly wrongToken?: string;
  /** Whether something collects what has lost its owner. */
  readonly collectsGarbage: boolean;
  /** Makes the server forget the history so far, so that old watches expire. */
  forgetHistory(): Promise<void>;
  /** Absent where no container can write. */
  writePodLog?(namespace: string, pod: string, line: string): void;
};

/** What everything above the port relies on, the same over the stand-in and over a real kube-apiserver. */
export async function clusterContract(t: Test, under: ClusterUnderTest): Promise<void> {
  const cluster = under.connect();

  await t.test('an object comes back as it was stored, with what the server adds', async (t) => {
    const created = await cluster.create('nodes', node('round'));
    t.match(created, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'round', uid: String, resourceVersion: /^\d+$/ },
    });
    t.match(created.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    t.match(created.status, node('round').status, 'a new node keeps the status it came with');
    t.strictSame(await cluster.read('nodes', { name: 'round' }), created);
    await refused(t, cluster.create('nodes', node('round')), 'object_exists', /nodes "round" already exists/);
    const { uid = '' } = created.metadata;
    await refused(
      t,
      cluster.remove('nodes', { name: 'round' }, `${uid}-other`),
      'object_conflict',
      /[Pp]recondition/,
    );
    await cluster.remove('nodes', { name: 'round' }, uid);
    await cluster.remove('nodes', { name: 'round' }, uid);
    await cluster.remove('nodes', { name: 'round' });
    t.equal(await cluster.read('nodes', { name: 'round' }), undefined);
  });

  await t.test('names are checked and made', async (t) => {
    const bad = await refused(
      t,
      cluster.create('nodes', node('Bad_Name')),
      'object_invalid',
      /metadata\.name: Invalid value/,
    );
    t.equal(bad.details.field, 'metadata.name');
    const { name: _name, ...generated } = configMap('x').metadata;
    const made = {
      ...configMap('x'),
      metadata: { ...generated, generateName: 'made-' },
    } as unknown as KubeObject;
    t.match((await cluster.create('configmaps', made)).metadata.name, /^made-[a-z0-9]{5}$/);
    const elsewhere = { ...configMap('y'), metadata: { name: 'y', namespace: 'nowhere' } };
    await refused(
      t,
      cluster.create('configmaps', elsewhere),
      'object_missing',
      /namespaces "nowhere" not found/,
    );
  });

  await t.test('labels and annotations are checked', async (t) => {
    const rows: readonly (readonly [field: 'labels' | 'annotations', object, RegExp])[] = [
      ['labels', { a: 'a b' }, /Invalid value: "a b": a valid label must be an empty string or consist of/],
      ['labels', { a: 'a'.repeat(64) }, /must be no more than 63 characters/],
      ['labels', { 'a b': '' }, /Invalid value: "a b": name part must consist of alphanumeric/],
      ['labels', { ['a'.repeat(64)]: '' }, /name part must be no more than 63 characters/],
      ['labels', { 'x.dev/': '' }, /name part must be non-empty/],
      ['labels', { '/a': '' }, /prefix part must be non-empty/],
      ['labels', { 'UP/a': '' }, /prefix part a lowercase RFC 1123 subdomain must/],
      [
        'labels',
        { 'a/b/c': '' },
        /a qualified name must consist of .* with an optional DNS subdomain prefix/,
      ],
      ['annotations', { 'a b': '' }, /name part must consist of/],
      ['annotations', { a: 'x'.repeat(2 ** 18) }, /Too long: may not be more than 262144 bytes/],
    ];
    const marked = (more: object) =>
      ({ ...configMap('marked'), metadata: { name: 'marked', namespace: 'default', ...more } }) as KubeObject;
    for (const [field, value, text] of rows) {
      const written = cluster.create('configmaps', marked({ [field]: value }));
      const { details } = await refused(t, written, 'object_invalid', text);
      t.equal(details.field, `metadata.${field}`);
    }
    const annotations = { 'UP/a': 'x'.repeat(2 ** 18 - 4) };
    const labels = { 'x.dev/A_b.c-d': '', a: 'A_b.c-1' };
    t.match((await cluster.create('configmaps', marked({ labels, annotations }))).metadata, {
      labels,
      annotations,
    });
  });

  await t.test('lists come in pages, whole and ordered, with kind and version on every item', async (t) => {
    const names = Array.from({ length: 520 }, (_, at) => `page-${String(at).padStart(3, '0')}`);
    for (let at = 0; at < names.length; at += 40) {
      await Promise.all(
        names
          .slice(at, at + 40)
          .map((name) => cluster.create('configmaps', configMap(name, { list: 'pages' }))),
      );
    }
    const { items, resourceVersion } = await cluster.list('configmaps', {
      namespace: 'default',
      labelSelector: 'list=pages',
    });
    t.strictSame(
      items.map(({ metadata }) => metadata.name),
      names,
    );
    t.ok(items.every(({ kind, apiVersion }) => kind === 'ConfigMap' && apiVersion === 'v1'));
    t.match(resourceVersion, /^\d+$/);
    t.strictSame(
      (await cluster.list('configmaps', { namespace: 'kube-public', labelSelector: 'list=pages' })).items,
      [],
    );
    let reductions = 0;
    const reduced = await cluster.list('configmaps', {
      namespace: 'default',
      labelSelector: 'list=pages',
      pageSize: 100,
      project: ({ apiVersion, kind, metadata: { name, uid } }) => {
        reductions += 1;
        return { apiVersion, kind, metadata: { name, ...(uid !== undefined && { uid }) } };
      },
    });
    t.strictSame(
      reduced.items.map(({ metadata }) => metadata.name),
      names,
      'whatever the size of a page',
    );
    t.equal(reductions, names.length, 'each object is reduced once');
    t.strictSame(Object.keys(reduced.items[0] ?? {}).toSorted(), ['apiVersion', 'kind', 'metadata']);
    t.match(reduced.resourceVersion, /^\d+$/);
    const aborted = cluster.list('configmaps', { signal: AbortSignal.abort(new Error('enough')) });
    await t.rejects(aborted, { message: 'enough' });
  });

  await t.test('label selectors', async (t) => {
    for (const [name, labels] of Object.entries({
      a: { tier: 'one', gpu: 'yes' },
      b: { tier: 'two' },
      c: {},
    })) {
      await cluster.create('configmaps', configMap(`label-${name}`, { ...labels, suite: 'labels' }));
    }
    const rows: Readonly<Record<string, string>> = {
      'tier=one': 'a',
      'tier==two': 'b',
      'tier!=one': 'b c',
      'tier in (one, two)': 'a b',
      'tier notin (one)': 'b c',
      tier: 'a b',
      '!tier': 'c',
      'tier in (one,two),!gpu': 'b',
    };
    for (const [selector, wanted] of Object.entries(rows)) {
      const { items } = await cluster.list('configmaps', { labelSelector: `suite=labels,${selector}` });
      t.equal(items.map(({ metadata }) => metadata.name.slice(-1)).join(' '), wanted, selector);
    }
    await refused(t, cluster.list('nodes', { labelSelector: 'a=b=c' }), 'object_invalid', /./);
  });

  await t.test('field selectors', async (t) => {
    await cluster.create('pods', pod('on-node', 'gpu-7'));
    await cluster.create('pods', pod('on-other', 'gpu-8'));
    await cluster.create('pods', pod('unbound'));
    const named = async (resource: ResourceName, fieldSelector: string) =>
      (await cluster.list(resource, { fieldSelector })).items.map(({ metadata }) => metadata.name);
    t.strictSame(await named('pods', 'spec.nodeName=gpu-7'), ['on-node']);
    t.strictSame(await named('pods', 'spec.nodeName='), ['unbound']);
    t.strictSame(await named('pods', 'metadata.name=on-other,metadata.namespace=default'), ['on-other']);
    await refused(
      t,
      named('pods', 'spec.hostname=x'),
      'object_invalid',
      /field label not supported: spec\.hostname/,
    );
    await cluster.create('events', event('seen', { reason: 'NvidiaXID79Error' }));
    await cluster.create('events', event('other', { name: 'gpu-8' }));
    t.strictSame(await named('events', 'involvedObject.kind=Node,involvedObject.name=gpu-7'), ['seen']);
    t.strictSame(await named('events', 'reason=NvidiaXID79Error,type=Warning'), ['seen']);
  });

  await t.test('a merge patch changes what it names, and nothing twice', async (t) => {
    const made = await cluster.create('nodes', node('patched', { keep: 'me', drop: 'me' }));
    const after = await cluster.patch(
      'nodes',
      { name: 'patched' },
      { metadata: { labels: { drop: null, add: 'me' } } },
    );
    t.strictSame(after.metadata.labels, { keep: 'me', add: 'me' });
    t.not(after.metadata.resourceVersion, made.metadata.resourceVersion);
    const same = await cluster.patch('nodes', { name: 'patched' }, { metadata: { labels: { add: 'me' } } });
    t.equal(
      same.metadata.resourceVersion,
      after.metadata.resourceVersion,
      'a patch that changes nothing is no write',
    );
    const stale = { metadata: { resourceVersion: made.metadata.resourceVersion, labels: { late: 'yes' } } };
    await refused(
      t,
      cluster.patch('nodes', { name: 'patched' }, stale),
      'object_conflict',
      /the object has been modified/,
    );
    await refused(
      t,
      cluster.patch('nodes', { name: 'absent' }, {}),
      'object_missing',
      /nodes "absent" not found/,
    );
    const taints = [
      { key: 'a', effect: 'NoSchedule' },
      { key: 'b', effect: 'NoExecute' },
    ];
    await cluster.patch('nodes', { name: 'patched' }, { spec: { taints } });
    const fewer = await cluster.patch('nodes', { name: 'patched' }, { spec: { taints: taints.slice(1) } });
    t.match(fewer.spec, { taints: [{ key: 'b', effect: 'NoExecute' }] });
    t.equal((fewer.spec as { taints: unknown[] }).taints.length, 1, 'a merge patch replaces lists');
    await refused(
      t,
      cluster.patch('nodes', { name: 'patched' }, { spec: { taints: [{ key: 'c' }] } }),
      'object_invalid',
      /taints\[0\]\.effect: Required value/,
    );
  });

  await t.test('status and the rest are written apart; times keep whole seconds', async (t) => {
    const made = await cluster.create('nodes', node('parted'));
    const condition = {
      type: 'AcceleratedHardwareReady',
      status: 'False',
      reason: 'NvidiaXID79Error',
      message: 'it fell off the bus',
      lastHeartbeatTime: '2026-03-04T05:06:07.890Z',
      lastTransitionTime: '2026-03-04T05:06:07Z',
    };
    const patch = { status: { conditions: [condition] }, spec: { unschedulable: true } };
    const after = await cluster.patch('nodes', { name: 'parted' }, patch, 'status');
    t.strictSame(after.spec, made.spec, 'a status write leaves the spec');
    t.match(after.status, { conditions: [{ ...condition, lastHeartbeatTime: '2026-03-04T05:06:07Z' }] });
    const other = await cluster.patch('nodes', { name: 'parted' }, { ...patch, status: { conditions: [] } });
    t.match(other.spec, { unschedulable: true });
    t.strictSame(other.status, after.status, 'a spec write leaves the status');
    const broken = { status: { conditions: [{ ...condition, lastHeartbeatTime: 'noon' }] } };
    await refused(t, cluster.patch('nodes', { name: 'parted' }, broken, 'status'), 'object_invalid', /noon/);
  });

  await t.test('what is applied is made, or its fields are set', async (t) => {
    const made = await cluster.apply('configmaps', configMap('applied'));
    t.match(made, { metadata: { name: 'applied', uid: String }, data: { text: 'one' } });
    await cluster.patch(
      'configmaps',
      { name: 'applied', namespace: 'default' },
      { data: { text: 'two', by: 'b' } },
    );
    const again = await cluster.apply('configmaps', configMap('applied'));
    t.strictSame(
      again.data,
      { text: 'one', by: 'b' },
      'taken over from who set it, and what others added stays',
    );
    t.equal(again.metadata.uid, made.metadata.uid);
  });

  await t.test('a replacement is guarded by the version it was made from', async (t) => {
    const made = await cluster.create('configmaps', configMap('guarded'));
    const next = await cluster.replace('configmaps', { ...made, data: { text: 'two' } });
    t.strictSame(next.data, { text: 'two' });
    await refused(
      t,
      cluster.replace('configmaps', { ...made, data: { text: 'three' } }),
      'object_conflict',
      /configmaps "guarded"/,
    );
    const absent = { ...made, metadata: { ...made.metadata, name: 'absent' } };
    await refused(t, cluster.replace('nodes', node('absent')), 'object_missing', /nodes "absent" not found/);
    await cluster.remove('configmaps', { name: 'guarded', namespace: 'default' });
    await refused(
      t,
      cluster.replace('configmaps', absent),
      'object_missing',
      /configmaps "absent" not found/,
    );
  });

  await t.test('a Lease wants microseconds, and only one of two writers gets it', async (t) => {
    const made = await cluster.create('leases', lease('lock', '2026-01-02T03:04:05.678900Z'));
    t.match(made.spec, { renewTime: '2026-01-02T03:04:05.678900Z', holderIdentity: 'one' });
    await refused(
      t,
      cluster.create('leases', lease('lock-2', '2026-01-02T03:04:05.678Z')),
      'object_invalid',
      /parsing time/,
    );
    const taken = (holderIdentity: string) => ({
      ...made,
      spec: { ...(made.spec as object), holderIdentity },
    });
    const outcomes = await Promise.allSettled(
      ['two', 'three'].map((name) => cluster.replace('leases', taken(name))),
    );
    t.strictSame(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    const { resourceVersion: _version, ...unguarded } = made.metadata;
    const forced = cluster.replace('leases', { ...made, metadata: unguarded });
    await refused(
      t,
      forced,
      'object_invalid',
      /metadata\.resourceVersion: .*must be specified for an update/,
    );
  });

  await t.test('an event lies beside what it is about', async (t) => {
    const made = await cluster.create(
      'events',
      event('about-node', { firstTimestamp: '2026-01-02T03:04:05.999Z' }),
    );
    t.match(made, {
      involvedObject: { kind: 'Node', name: 'gpu-7' },
      firstTimestamp: '2026-01-02T03:04:05Z',
    });
    const astray = { ...event('astray'), metadata: { name: 'astray', namespace: 'kube-public' } };
    const { details } = await refused(
      t,
      cluster.create('events', astray),
      'object_invalid',
      /does not match event\.namespace/,
    );
    t.equal(details.field, 'involvedObject.namespace');
  });

  await t.test('a watch tells every change after its version, once and in order', async (t) => {
    const { resourceVersion } = await cluster.list('configmaps');
    const stopping = new AbortController();
    const events = cluster.watch('configmaps', {
      namespace: 'default',
      labelSelector: 'watch=yes',
      resourceVersion,
      signal: stopping.signal,
    });
    const key = { name: 'watched', namespace: 'default' };
    await cluster.create('configmaps', configMap('unwatched'));
    await cluster.create('configmaps', configMap('watched', { watch: 'yes' }));
    await cluster.patch('configmaps', key, { data: { text: 'two' } });
    await cluster.patch('configmaps', key, { metadata: { labels: { watch: 'no' } } });
    await cluster.patch('configmaps', key, { metadata: { labels: { watch: 'yes' } } });
    await cluster.remove('configmaps', key);
    const seen = await take(events, 5);
    t.strictSame(
      seen.map(({ type }) => type),
      ['ADDED', 'MODIFIED', 'DELETED', 'ADDED', 'DELETED'],
    );
    t.strictSame(seen[1]?.object.data, { text: 'two' });
    t.match(
      seen[2]?.object,
      { kind: 'ConfigMap', metadata: { labels: { watch: 'yes' } } },
      'the last state that matched',
    );
    const versions = seen.map(({ object }) => Number(object.metadata.resourceVersion));
    t.strictSame(
      versions,
      [...versions].sort((a, b) => a - b),
    );
    t.equal(new Set(versions).size, 5);
    stopping.abort();
  });

  await t.test('a watch hands over what its projection leaves of each object', async (t) => {
    const { resourceVersion } = await cluster.list('configmaps');
    const stopping = new AbortController();
    const events = cluster.watch('configmaps', {
      namespace: 'default',
      labelSelector: 'watch=reduced',
      resourceVersion,
      signal: stopping.signal,
      project: ({ apiVersion, kind, metadata: { name } }) => ({ apiVersion, kind, metadata: { name } }),
    });
    await cluster.create('configmaps', configMap('reduced', { watch: 'reduced' }));
    await cluster.remove('configmaps', { name: 'reduced', namespace: 'default' });
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'reduced' } };
    t.strictSame(await take(events, 2), [
      { type: 'ADDED', object },
      { type: 'DELETED', object },
    ]);
    stopping.abort();
  });

  await t.test(
    'a watch says that it is open, and ends when its time is over, after a bookmark',
    async (t) => {
      const { resourceVersion } = await cluster.list('nodes');
      const opened = Promise.withResolvers<void>();
      const query = { labelSelector: 'no=node', resourceVersion, timeoutSeconds: 5, onOpen: opened.resolve };
      const seen: WatchEvent[] = [];
      const ended = (async () => {
        const events = cluster.watch('nodes', { ...query, signal: AbortSignal.timeout(300_000) });
        for await (const one of events) seen.push(one);
      })();
      await opened.promise;
      const { metadata } = await cluster.create('nodes', node('moves-the-version'));
      await ended;
      t.match(seen[0], {
        type: 'BOOKMARK',
        object: { kind: 'Node', metadata: { resourceVersion: /^\d+$/ } },
      });
      t.ok(Number(seen[0]?.object.metadata.resourceVersion) >= Number(metadata.resourceVersion));
    },
  );

  await t.test('a watch that is aborted just ends, before and after it was opened', async (t) => {
    const { resourceVersion } = await cluster.list('nodes');
    const stopping = new AbortController();
    const events = cluster.watch('nodes', { resourceVersion, signal: stopping.signal });
    const first = events[Symbol.asyncIterator]();
    await cluster.create('nodes', node('abort'));
    t.match(await first.next(), { value: { type: 'ADDED' }, done: false });
    const waiting = first.next();
    stopping.abort();
    t.match(await waiting, { done: true });
    for await (const _one of cluster.watch('nodes', { resourceVersion, signal: stopping.signal }))
      t.fail('opened');
  });

  await t.test('a definition makes a kind, its schema guards it, and its end takes it away', async (t) => {
    const missing = await refused(t, cluster.list('injections'), 'object_missing', /./);
    t.equal(missing.details.kindServed, false);
    const unread = cluster.read('injections', { name: 'x', namespace: 'default' });
    await refused(t, unread, 'object_missing', /./);
    await cluster.create('customresourcedefinitions', definitionOfInjections);
    await established(cluster, definitionOfInjections.metadata.name);
    await cluster.create('injections', injection('good', { count: 3 }));

    await t.test('schema', async (t) => {
      const wrong: Readonly<Record<string, readonly [object, RegExp]>> = {
        'spec.mode': [{ mode: 'many' }, /Unsupported value: "many": supported values: "one", "all"/],
        'spec.count': [{ count: 0 }, /should be greater than or equal to 1/],
        'spec.node': [{ node: 'UPPER' }, /should match '\^\[a-z0-9-\]\+\$'/],
        'spec.gpu': [{ gpu: 'three' }, /must be of type integer: "string"/],
        'spec.labels.a': [{ labels: { a: 1 } }, /must be of type string: "integer"/],
        'spec.steps[1].at': [{ steps: [{ at: '1' }, {}] }, /Required value/],
      };
      for (const [field, [spec, text]] of Object.entries(wrong)) {
        const { details } = await refused(
          t,
          cluster.create('injections', injection('bad', spec)),
          'object_invalid',
          text,
        );
        t.equal(details.field, field);
      }
      const { spec: _spec, ...without } = injection('bad');
      const { details } = await refused(
        t,
        cluster.create('injections', without as KubeObject),
        'object_invalid',
        /spec: Required value/,
      );
      t.equal(details.field, 'spec');
    });

    await t.test('what is too large to be stored is refused for good', async (t) => {
      const sized = (bytes: number) =>
        cluster.create('injections', injection(`large-${bytes}`, { anything: { text: 'x'.repeat(bytes) } }));
      await sized(1_500_000);
      await refused(t, sized(1_580_000), 'object_invalid', /HTTP 500, etcdserver: request is too large/);
      await refused(t, sized(2_200_000), 'object_invalid', /HTTP 500, .*(too large|larger than max)/);
      await refused(t, sized(3_150_000), 'object_invalid', /HTTP 413, Request entity too large: limit is/);
    });

    await t.test('unknown fields are dropped, free ones kept, defaults filled in', async (t) => {
      const spec = { unknown: 1, anything: { goes: [1, { deep: true }] }, steps: [{ at: '1', extra: 1 }] };
      const made = await cluster.create('injections', injection('pruned', spec));
      t.strictSame(made.spec, {
        node: 'gpu-7',
        mode: 'one',
        anything: { goes: [1, { deep: true }] },
        steps: [{ at: '1' }],
      });
    });

    await t.test('status subresource and generation', async (t) => {
      const key = { name: 'parted', namespace: 'default' };
      const made = await cluster.create('injections', { ...injection('parted'), status: { phase: 'Sent' } });
      t.equal(made.status, undefined, 'a new object has no status');
      t.equal(made.metadata.generation, 1);
      const patch = { status: { phase: 'Sent' }, spec: { count: 9 }, metadata: { labels: { no: 'label' } } };
      const after = await cluster.patch('injections', key, patch, 'status');
      t.match(after, { status: { phase: 'Sent' }, metadata: { generation: 1 } });
      t.strictSame([after.spec, after.metadata.labels], [made.spec, undefined]);
      const next = await cluster.patch('injections', key, { status: { phase: 'Done' }, spec: { count: 9 } });
      t.match(next, { status: { phase: 'Sent' }, spec: { count: 9 }, metadata: { generation: 2 } });
      const labelled = await cluster.patch('injections', key, { metadata: { labels: { a: 'b' } } });
      t.equal(labelled.metadata.generation, 2, 'metadata is not the spec');
      await refused(
        t,
        cluster.replace('injections', { ...made, status: {} }, 'status'),
        'object_conflict',
        /injections\.xidrill\.dev "parted"/,
      );
      const replaced = await cluster.replace(
        'injections',
        { ...labelled, status: { phase: 'Done' } },
        'status',
      );
      t.strictSame(replaced.status, { phase: 'Done' });
      const wrong = cluster.patch('injections', key, { status: { phase: 'Lost' } }, 'status');
      t.equal((await refused(t, wrong, 'object_invalid', /Unsupported value/)).details.field, 'status.phase');
    });

    if (under.collectsGarbage) {
      await t.test('what has lost its owner goes', async (t) => {
        const owner = await cluster.create('injections', injection('owner'));
        const { apiVersion, kind } = owner;
        const ownerReferences = [{ apiVersion, kind, name: 'owner', uid: owner.metadata.uid ?? '' }];
        const owned = configMap('owned');
        const { metadata } = await cluster.create('configmaps', {
          ...owned,
          metadata: { ...owned.metadata, ownerReferences },
        });
        const signal = AbortSignal.timeout(300_000);
        const from = metadata.resourceVersion ?? '';
        const events = cluster.watch('configmaps', {
          fieldSelector: 'metadata.name=owned',
          resourceVersion: from,
          signal,
        });
        await cluster.remove('injections', { name: 'owner', namespace: 'default' });
        t.match(await take(events, 1), [{ type: 'DELETED', object: { metadata: { name: 'owned' } } }]);
      });
    }

    await cluster.remove('customresourcedefinitions', { name: definitionOfInjections.metadata.name });
    await eventually(async () => {
      const outcome = await cluster.list('injections').then(
        () => undefined,
        (thrown: Refusal) => thrown.details.kindServed,
      );
      return outcome === false;
    });
  });

  await t.test('logs of pods', async (t) => {
    t.equal(await cluster.podLog({ name: 'absent', namespace: 'default' }, { tailLines: 5 }), undefined);
    await cluster.create('pods', pod('homeless'));
    const homeless = { name: 'homeless', namespace: 'default' };
    t.equal(await cluster.podLog(homeless, { tailLines: 5 }), undefined, 'on no node');
    if (under.writePodLog === undefined) return;
    await cluster.create('pods', pod('talks', 'gpu-7'));
    const key = { name: 'talks', namespace: 'default' };
    t.equal(await cluster.podLog(key, { tailLines: 5 }), undefined, 'nothing yet');
    for (const line of ['one', 'two', 'three']) under.writePodLog('default', 'talks', line);
    t.equal(await cluster.podLog(key, { tailLines: 2 }), 'two\nthree\n');
    t.equal(await cluster.podLog(key, { tailLines: 9, container: 'main' }), 'one\ntwo\nthree\n');
    await refused(
      t,
      cluster.podLog(key, { tailLines: 9, container: 'no' }),
      'object_invalid',
      /is not valid for pod/,
    );
  });

  await t.test('who may do everything is told so of one right', async (t) => {
    const right = { verb: 'patch', group: '', resource: 'configmaps', namespace: 'default', name: 'x' };
    t.equal(await cluster.may(right), true);
  });

  if (under.wrongToken !== undefined) {
    await t.test('who is not known is refused, in the words of the server', async (t) => {
      const stranger = under.connect({ ...(under.wrongToken !== undefined && { token: under.wrongToken }) });
      await refused(t, stranger.list('nodes'), 'cluster_refused', /Unauthorized/);
      const signal = AbortSignal.timeout(300_000);
      await refused(
        t,
        take(stranger.watch('nodes', { resourceVersion: '1', signal }), 1),
        'cluster_refused',
        /Unauthorized/,
      );
    });
  }

  await t.test('a version that is no longer known has expired', async (t) => {
    const { resourceVersion } = await cluster.list('nodes');
    await cluster.create('nodes', node('later'));
    await under.forgetHistory();
    const signal = AbortSignal.timeout(300_000);
    const old = cluster.watch('nodes', { resourceVersion, signal });
    await refused(t, take(old, 1), 'resource_expired', /too old resource version/);
  });
}

async function refused(t: Test, answer: Promise<unknown>, reason: string, message: RegExp): Promise<Refusal> {
  const thrown = await answer.then(
    (value) => new Error(`nothing was thrown, but ${JSON.stringify(value)} came`),
    (error: unknown) => error,
  );
  t.match(thrown, { reason, message }, `${reason} ${message}`);
  return thrown instanceof Refusal ? thrown : new Refusal('internal', String(thrown));
}

async function take(events: AsyncIterable<WatchEvent>, count: number): Promise<readonly WatchEvent[]> {
  const seen: WatchEvent[] = [];
  for await (const event of events) {
    if (event.type !== 'BOOKMARK') seen.push(event);
    if (seen.length === count) break;
  }
  return seen;
}

/** A definition, named PLURAL.GROUP, is served a moment after it was made, and nothing says when. */
export async function established(cluster: Cluster, name: string): Promise<void> {
  const isServed = async () => {
    await cluster.list(name.split('.')[0] as ResourceName);
    return cluster.read('customresourcedefinitions', { name });
  };
  await eventually(async () => (await isServed().catch(() => undefined)) !== undefined);
}

/** Takes a definition away with all its objects: it is gone a moment after it was deleted. */
export async function removeDefinition(cluster: Cluster, name: string): Promise<void> {
  await cluster.remove('customresourcedefinitions', { name });
  await eventually(async () => (await cluster.read('customresourcedefinitions', { name })) === undefined);
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const signal = AbortSignal.timeout(300_000);
  while (!(await holds())) signal.throwIfAborted();
}

function configMap(name: string, labels: Readonly<Record<string, string>> = {}): KubeObject {
  const metadata = { name, namespace: 'default', labels };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { text: 'one' } };
}

function event(
  name: string,
  about: { readonly name?: string; readonly [field: string]: unknown } = {},
): KubeObject {
  const { name: nodeName = 'gpu-7', ...rest } = about;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: nodeName },
    reason: 'AcceleratedHardwareReady',
    message: 'NvidiaXID79Error: it fell off the bus',
    type: 'Warning',
    source: { component: 'eks-node-monitoring-agent' },
    ...rest,
  };
}

function lease(name: string, renewTime: string): KubeObject {
  const metadata = { name, namespace: 'default' };
  const spec = { holderIdentity: 'one', leaseDurationSeconds: 15, renewTime };
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec };
}
