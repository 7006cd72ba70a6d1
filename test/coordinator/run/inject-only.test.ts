import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { findNmaVersion, nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { exampleParameters } from '../../../coordinator/catalogue/parameters.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import { concludeInjectOnly } from '../../../coordinator/drill/inject-only.ts';
import { planTarget } from '../../../coordinator/plan/plan.ts';
import type { ExpectationInput } from '../../../coordinator/store/experiment.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Receipt } from '../../../shared/schemas/receipt.ts';
import { dcgmResult, facts, planned, receipt } from '../diagnosis/builder.ts';
import { gpuNode, only, refusal, startRig } from '../rig.ts';

const nvswitch = { sxid: 20034, switch: { index: 0, pci: '0000:05:00.0' } };
const ignore = { detection: 'ignore' } as const;

function plan(name: string, version: string, expectation: ExpectationInput, parameters: object) {
  return planTarget({
    spec: { fault: { name, parameters: { ...parameters } }, expectation },
    node: 'node-1',
    orderId: 'order-1',
    marker: 'abc123',
    context: { nma: findNmaVersion(version) },
  });
}

t.test('N14: every row is planned in every version, and what refuses one names the way', async (t) => {
  let silent = 0;
  for (const row of faults)
    for (const { version } of nmaVersions) {
      const { expectation, chain } = plan(row.name, version, ignore, exampleParameters(row));
      t.match(expectation, { kind: 'ignored', reason: '' }, `${row.name} ${version}`);
      t.strictSame(
        chain.map(({ id }) => id),
        ['order', 'detection'],
        'no controls, and no step of its own for each Xid',
      );
      try {
        plan(row.name, version, {}, exampleParameters(row));
      } catch (thrown) {
        silent += 1;
        t.ok(thrown instanceof Refusal && thrown.reason === 'expectation_invalid');
        t.match(thrown, { message: /detection: ignore/, details: { allowed: /\{detection: ignore\}/ } });
      }
    }
  t.ok(silent > 10, `${silent} rows show nothing in some version`);
});

t.test('N14: nothing that is about a reaction goes with it', async (t) => {
  const strays: readonly ExpectationInput[] = [
    { kind: 'event' },
    { type: 'KernelReady' },
    { reason: 'AppBlocked' },
    { message: 'x' },
    { within: '10s' },
    { none: true },
    { for: '90s' },
    { event: 'forbidden' },
    { then: [{ link: 'taint' }] },
  ];
  for (const stray of strays) {
    const [name = ''] = Object.keys(stray);
    t.throws(
      () => plan('sxid', '1.7.2', { ...stray, ...ignore }, nvswitch),
      refusal({
        reason: 'expectation_invalid',
        details: { field: `expectation.${name}`, remedy: `leave ${name} out, or leave detection out` },
      }),
    );
  }
});

t.test('N14: drills whose verdict is about the injection alone', async (t) => {
  const names = ['sxid', 'message', 'limit', 'cascade', 'fatal', 'dry'];
  const rig = await startRig(t, { rows: names.map((name) => gpuNode(name)) });
  const drill = (node: string, name: string, parameters: object = {}) =>
    rig.rest.drill({
      name: node,
      fault: { name, parameters },
      expectation: ignore,
      target: only(node),
    });
  const passes = { verdict: 'pass', injected: 'yes', latency: null, explanation: { code: 'injected' } };

  await t.test('what no version reacts to', async (t) => {
    const asked = { fault: { name: 'sxid', parameters: nvswitch }, target: only('sxid') };
    const refused = await rig.rest.ask<{ detail: string }>('POST', '/api/v1/experiments', asked);
    t.equal(refused.status, 400);
    t.match(refused.body.detail, /detection: ignore/);
    t.match(await drill('sxid', 'sxid', nvswitch), {
      ...passes,
      explanation: { summary: /Whether NMA reacts was not judged/, evidence: [{ source: /readBack/ }] },
    });
    t.match((await rig.rest.injections('sxid'))[0]?.links, [
      { id: 'order', state: 'reached' },
      { id: 'detection', state: 'skipped', because: /not judged: expectation.detection is ignore/ },
    ]);
    t.match(await drill('message', 'kernel-message', { text: 'nothing of interest' }), passes);
  });

  await t.test('a sustained value is judged when it has ended by itself', async (t) => {
    t.match(await drill('limit', 'health-row-remap-limit', { forSeconds: 60 }), passes);
    const [injection] = await rig.rest.injections('limit');
    t.match(injection?.status?.receipt, {
      state: 'ended',
      surfaces: [{ outcome: 'injected', sustained: { ended: 'deadline' } }],
    });
  });

  await t.test('a cascade is judged when its last step is written', async (t) => {
    const steps = [
      { xid: 31, afterSeconds: 0 },
      { xid: 45, afterSeconds: 12 },
    ];
    t.match(await drill('cascade', 'cascade', { steps }), passes);
    const surfaces = (await rig.rest.injections('cascade'))[0]?.status?.receipt?.surfaces ?? [];
    t.equal(surfaces.filter(({ outcome }) => outcome === 'injected').length, surfaces.length);
    t.ok(surfaces.some(({ afterSeconds }) => afterSeconds === 12));
  });

  await t.test('what NMA shows meanwhile decides nothing, and what stays is named', async (t) => {
    t.match(await drill('fatal', 'xid', { xid: 79, acceptRisk: true }), {
      ...passes,
      explanation: { remedy: /AcceleratedHardwareReady/ },
    });
  });

  await t.test('a dry run says that the reaction is not judged', async (t) => {
    const { status, body } = await rig.rest.ask('POST', '/api/v1/experiments?dryRun=All', {
      fault: { name: 'sxid', parameters: nvswitch },
      expectation: ignore,
      target: only('dry'),
    });
    t.equal(status, 200);
    t.match(body, {
      targets: [
        {
          expectation: { kind: 'ignored' },
          refusals: [],
          confidence: { level: 'high', because: [/only the injection is judged/] },
        },
      ],
    });
  });
});

t.test('N14: an injection that is not whole is no pass', async (t) => {
  const { readBack: _lost, ...unread } = dcgmResult();
  const sustained = { everySeconds: 20, until: '', beats: 2, failures: 1, lastAt: '' };
  const judge = (surfaces: Receipt['surfaces'], state: Receipt['state'] = 'ended') =>
    concludeInjectOnly(
      facts({
        drill: planned({
          expectation: { kind: 'ignored', type: 'AcceleratedHardwareReady', reason: '', withinSeconds: 1 },
          receipt: { ...receipt(surfaces), state },
        }),
      }),
      rules,
    );
  const cases = [
    [judge([dcgmResult()]), 'pass', 'injected'],
    [judge([]), 'inconclusive', 'injection-not-proven'],
    [judge([unread]), 'inconclusive', 'injection-not-proven'],
    [judge([dcgmResult(), dcgmResult({ outcome: 'failed', code: 'injection_not_visible' })]), 'inconclusive'],
    [judge([dcgmResult(), dcgmResult({ outcome: 'refused', code: 'field_value_range' })]), 'error'],
    [judge([dcgmResult({ sustained })], 'running'), 'inconclusive', 'injection-not-proven'],
    [
      judge([dcgmResult({ sustained: { ...sustained, ended: 'failed' } })]),
      'inconclusive',
      'injection-interrupted',
    ],
    [judge([dcgmResult({ sustained })], 'interrupted'), 'inconclusive', 'injection-interrupted'],
  ] as const;
  for (const [{ verdict, explanation }, expected, code = explanation.code] of cases)
    t.strictSame([verdict, explanation.code], [expected, code], explanation.summary);
});
