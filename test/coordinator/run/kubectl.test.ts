import t from 'tap';
import { cpuNode, gpuNode, only, type Rig, recordsWith, startRig, until } from '../rig.ts';

t.test('experiments that kubectl applies', async (t) => {
  const rig: Rig = await startRig(t, { rows: [cpuNode('cpu'), gpuNode('gpu'), cpuNode('shy', {})] });
  const { rest } = rig;
  const apply = (name: string, spec: object) =>
    rig.cluster.create('experiments', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name, namespace: 'xidrill' },
      spec,
    });
  type Status = {
    phase?: string;
    verdict?: string;
    explanation?: { code: string; summary: string; evidence: object[] };
  };
  const statusOf = async (name: string) => {
    await until(t, `${name} has ended`, () => {
      const status = read(name);
      return status.phase === 'Completed' || status.phase === 'Aborted';
    });
    return read(name);
  };
  const read = (name: string) =>
    (rig.apiServer.store.read('experiments', { namespace: 'xidrill', name })?.status ?? {}) as Status;

  await t.test('the same result as by REST', async (t) => {
    const spec = { fault: { name: 'task-blocked' }, target: only('cpu') };
    const asked = await rest.drill({ name: 'asked', ...spec });
    await apply('applied', spec);
    const status = await statusOf('applied');
    const applied = await rest.ended('applied');
    t.match(status, { phase: 'Completed', verdict: 'pass', explanation: { code: 'reacted' } });
    t.match(applied, { phase: asked.phase, verdict: asked.verdict, target: asked.target ?? {} });
    t.strictSame(Object.keys(applied).toSorted(), Object.keys(asked).toSorted());
    t.equal(applied.explanation?.evidence.length, asked.explanation?.evidence.length);
    t.equal(recordsWith(rig, 'cpu', 'blocked'), 2);
  });

  await t.test('an abort by a patch', async (t) => {
    await apply('patched', {
      fault: { name: 'conntrack-full' },
      target: only('cpu'),
      expectation: { message: 'never', within: '30m' },
    });
    await until(
      t,
      'it waits',
      async () => (await rest.injections('patched'))[0]?.status?.phase === 'Verifying',
    );
    await rig.cluster.patch(
      'experiments',
      { namespace: 'xidrill', name: 'patched' },
      { spec: { abort: true } },
    );
    t.match(await statusOf('patched'), {
      phase: 'Aborted',
      verdict: 'aborted',
      explanation: { code: 'aborted' },
    });
  });

  await t.test('what cannot be carried out ends, and names the field', async (t) => {
    const fault = { name: 'conntrack-full' };
    const rows: readonly (readonly [string, object, string, RegExp])[] = [
      ['no-fault', { fault: { name: 'nope' } }, 'fault-unknown', /fault\.name/],
      ['no-parameter', { fault: { name: 'xid' } }, 'parameter-invalid', /fault\.parameters\.xid/],
      [
        'bad-parameter',
        { fault: { name: 'xid', parameters: { xid: 79, x: 1 } } },
        'parameter-invalid',
        /parameters\.x /,
      ],
      ['bad-value', { fault, target: { mode: 'fixed' } }, 'target-invalid', /target\.value/],
      ['bad-node', { fault, target: only('nobody') }, 'node-unknown', /target\.selector\.names/],
      ['bad-deadline', { fault, deadline: '0s' }, 'deadline-invalid', /deadline/],
      [
        'short-deadline',
        { fault, deadline: '9s', expectation: { within: '10s' } },
        'deadline-invalid',
        /10 s/,
      ],
      ['bad-wait', { fault, expectation: { within: '9h' } }, 'expectation-invalid', /expectation\.within/],
      ['not-allowed', { fault, target: only('shy') }, 'no-target', /not opted in/],
      [
        'healthy-value',
        { fault: { name: 'dcgm-field', parameters: { field: 150, value: 48 } } },
        'field-is-another-quantity',
        /fault\.parameters\.value/,
      ],
      ['x'.repeat(60), { fault }, 'malformed-request', /name: /],
    ];
    for (const [name, spec, code, summary] of rows) {
      await apply(name, spec);
      t.match(
        await statusOf(name),
        {
          phase: 'Completed',
          verdict: 'error',
          explanation: { code, summary, evidence: [{ source: /experiments\// }] },
        },
        name,
      );
      const asked = await rest.ask('POST', '/api/v1/experiments', spec);
      if (name.length < 53)
        t.match(asked.body, { explanation: { code, summary } }, `${name}: REST says the same`);
    }
    t.match(read('not-allowed'), { skipped: [{ node: 'shy' }, {}, {}] });
    t.equal(rig.apiServer.store.list('injections').filter(({ spec }) => spec === undefined).length, 0);
  });

  await t.test('what the schema forbids is not taken at all', async (t) => {
    for (const spec of [{}, { fault: {} }, { fault: { name: 'x' }, target: { mode: 'many' } }])
      await t.rejects(apply('never', spec));
  });
});
