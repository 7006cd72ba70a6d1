import t from 'tap';
import { matchKernelRules } from '../../../coordinator/catalogue/nma/kernel-rules.ts';
import { findNmaVersion, nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { controlsFor, controlXids } from '../../../coordinator/plan/negative.ts';
import { type PlanInput, planTarget } from '../../../coordinator/plan/plan.ts';
import type { ExpectationInput, ExperimentSpec } from '../../../coordinator/store/experiment.ts';
import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { xidsNamed } from '../../../shared/orders/call.ts';
import type { MethodCall } from '../../../shared/schemas/order.ts';
import { refusal } from '../rig.ts';

function plan(fault: ExperimentSpec['fault'], expectation: ExpectationInput = {}, version = '1.7.2') {
  const input: PlanInput = {
    spec: { fault, expectation: { none: true, ...expectation } },
    node: 'node-1',
    orderId: 'order-1',
    marker: 'abc123',
    context: { nma: findNmaVersion(version) },
  };
  return planTarget(input);
}

t.test('a silence lasts longer than what could break it', (t) => {
  const refused: readonly (readonly [object, object, RegExp])[] = [
    [
      { name: 'xid', parameters: { xid: 79 } },
      { for: '90s' },
      /from 5 min 16 s to 1 h: condition DCGMHealthCode120/,
    ],
    [
      { name: 'xid', parameters: { xid: 109 } },
      { for: '19s' },
      /from 20 s to 1 h: condition NvidiaXID109Error/,
    ],
    [
      { name: 'xid', parameters: { xid: 43 } },
      { for: '5s', event: 'forbidden' },
      /from 6 s to 1 h: event Nvidia/,
    ],
    [{ name: 'health-volatile-dbe' }, { for: '90s' }, /condition DCGMHealthCode4 may come as late as/],
    [{ name: 'pod-stuck-terminating' }, { for: '15s' }, /from 16 s to 1 h: condition PodStuckTerminating/],
    [{ name: 'task-blocked' }, { for: '61m' }, /from 1 s to 1 h$/],
  ];
  for (const [fault, expectation, message] of refused) {
    t.throws(() => plan(fault as never, expectation), {
      name: 'Refusal',
      reason: 'expectation_invalid',
      message,
      details: { field: 'expectation.for' },
    });
  }
  const taken = (fault: object, expectation: object) =>
    plan(fault as never, expectation).expectation.withinSeconds;
  t.equal(
    taken({ name: 'xid', parameters: { xid: 43 } }, { for: '1s' }),
    1,
    'only an event, and it may come',
  );
  t.ok(taken({ name: 'xid', parameters: { xid: 79 } }, {}) >= 346, 'by itself as long as is needed');
  t.end();
});

t.test('what a negative drill expects', async (t) => {
  t.strictSame(
    plan({ name: 'xid', parameters: { xid: 43 } }, { for: '90s', event: 'required' }).expectation,
    {
      kind: 'none',
      type: 'AcceleratedHardwareReady',
      reason: 'NvidiaXID43Warning',
      message: 'detected unknown XID-43 on the instance, review kernel logs for additional information.',
      via: 'policy',
      plugin: 'nvidia',
      event: 'required',
      withinSeconds: 90,
    },
  );
  t.strictSame(plan({ name: 'kernel-message', parameters: { text: 'nothing' } }).expectation, {
    kind: 'none',
    type: 'KernelReady',
    reason: '',
    plugin: 'kernel-monitor',
    event: 'allowed',
    withinSeconds: 60,
  });
  t.match(plan({ name: 'xid', parameters: { xid: 79 } }, {}, '1.6.0').expectation, {
    reason: 'NvidiaXID79Error',
  });
  t.strictSame(
    planTarget({
      spec: { fault: { name: 'task-blocked' } },
      node: 'n',
      orderId: 'o',
      marker: 'abc123',
      context: { nma: findNmaVersion('1.7.2') },
    }).chain.filter(({ role }) => role === 'control'),
    [],
    'others have no controls',
  );
});

t.test('controls go the way of the fault', async (t) => {
  const ways = (fault: ExperimentSpec['fault']) =>
    plan(fault).chain.flatMap(({ role, when, order }) =>
      role === 'control' && order !== undefined
        ? [[when, order.orderId, xidsNamed(order)[0] ?? textOf(order)]]
        : [],
    );
  t.strictSame(ways({ name: 'xid', parameters: { xid: 31 } }), [
    ['before', 'order-1-before-dcgm', 45],
    ['after', 'order-1-after-dcgm', 45],
  ]);
  const record = (letter: string) =>
    `INFO: task xidrill-abc123${letter}:4321 blocked for more than 120 seconds.`;
  t.strictSame(ways({ name: 'task-blocked' }), [
    ['before', 'order-1-before-kernel-log', record('b')],
    ['after', 'order-1-after-kernel-log', record('a')],
  ]);
  t.strictSame(
    ways({ name: 'xid', parameters: { xid: 45, surfaces: ['kernel-log', 'dcgm'] } }).map(([, id, what]) => [
      id,
      what,
    ]),
    [
      ['order-1-before-kernel-log', record('b')],
      ['order-1-before-dcgm', 92],
      ['order-1-after-kernel-log', record('a')],
      ['order-1-after-dcgm', 92],
    ],
  );
  const [newest] = nmaVersions.slice(-1);
  if (newest === undefined) throw new Error('no version');
  const first = (given: MethodCall) => controlsFor({ orderId: 'o', ...given }, newest, 'abc123')[0];
  const cascade = (...xids: number[]): MethodCall => ({
    method: 'InjectCascade',
    body: { gpu: { index: 0 }, surfaces: ['dcgm'], steps: xids.map((xid) => ({ xid, afterSeconds: 0 })) },
  });
  t.match(first(cascade(48, 45, 92))?.order?.body, { xid: 149 });
  t.throws(() => first(cascade(...controlXids)), refusal({ details: { field: 'expectation.none' } }));
  t.match(
    first({ method: 'InjectDcgmField', body: { gpu: { index: 1 }, field: 230, value: 45 } })?.order?.body,
    {
      gpu: { index: 1 },
      xid: 92,
    },
  );
  t.match(first({ method: 'PauseHostEngine', body: { forSeconds: 60, engine: { pid: 7 } } }), {
    path: 'dcgm',
    order: { body: { engine: { pid: 7 }, gpu: { index: 0 } } },
  });
  t.match(
    first({ method: 'WriteJournalMessage', body: { identifier: 'kubelet', text: 'x' } })?.path,
    'kernel-log',
  );
});

t.test('a control is harmless in every version', async (t) => {
  for (const nma of nmaVersions) {
    for (const xid of controlXids) {
      t.notOk(nma.fatalXids.includes(xid), `Xid ${xid} is a warning for NMA ${nma.version}`);
      t.equal(
        xidHealthIncident(nma.engineVersion, xid),
        undefined,
        `engine ${nma.engineVersion} keeps no Xid ${xid}`,
      );
    }
    const [sent, control] = controlsFor(
      { orderId: 'o', method: 'WriteKernelMessage', body: { text: 'x' } },
      nma,
      'abc123',
    );
    const text = sent?.order === undefined ? '' : String(textOf(sent.order));
    t.ok((/task (.*?):/.exec(text)?.[1]?.length ?? 99) <= 15, 'a process name');
    const reactions = matchKernelRules(nma, `11,1,1,-;${text}`).map(({ reaction }) => reaction);
    t.match(reactions, [
      { appearsAs: 'event', reason: control?.expectation?.reason, message: control?.expectation?.message },
    ]);
  }
});

function textOf({ body }: MethodCall): string | undefined {
  return 'text' in body ? body.text : undefined;
}
