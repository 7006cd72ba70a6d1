import t from 'tap';
import { recipeOf } from '../../../agent/dcgm/steps.ts';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import { planTarget, type TargetContext } from '../../../coordinator/plan/plan.ts';
import { previewPlan } from '../../../coordinator/preview/preview.ts';
import { findField } from '../../../shared/dcgm-fields/find.ts';
import { parsePci, pciToXid } from '../../../shared/pci.ts';
import type { HostEngineFacts, Inventory } from '../../../shared/schemas/inventory.ts';
import type { GpuSelector, Reach } from '../../../shared/schemas/order-members.ts';
import { engineFacts, gpuFacts, inventoryOf, knownTarget } from '../targets.ts';

type Parameters = Readonly<Record<string, unknown>>;

function plan(
  name: string,
  parameters: Parameters = {},
  context: TargetContext = knownTarget('node-1'),
  gpu?: GpuSelector,
) {
  const spec = { fault: { name, parameters }, ...(gpu === undefined ? {} : { target: { gpu } }) };
  return previewPlan({ spec, node: 'node-1', orderId: 'order-1', marker: 'abc123', context, orNone: true });
}

const readings = (planned: ReturnType<typeof plan>, write = 0) =>
  new Map(planned.writes[write]?.readers.map(({ consumer, ...reading }) => [consumer, reading]));

t.test('a GPU goes by UUID and address: the engine counts the other way round', async (t) => {
  for (const index of [0, 3, 7]) {
    const { uuid, pci } = gpuFacts(index);
    for (const gpu of [{ index }, { uuid: uuid.toLowerCase() }, { pci: pciToXid(parsePci(pci)) }]) {
      const planned = plan('xid', { xid: 31, surfaces: ['kernel-log', 'dcgm'] }, undefined, gpu);
      const [line, value] = planned.writes;
      t.match(
        line?.what,
        new RegExp(`^<3>NVRM: Xid \\(PCI:${pciToXid(parsePci(pci))}\\): 31, `),
        JSON.stringify(gpu),
      );
      t.equal(value?.what, `dcgmi test --inject --gpuid ${7 - index} -f 230 -v 31`, JSON.stringify(gpu));
      t.same(planned.refusals, []);
    }
  }
  const unknown = plan('xid', { xid: 31, surfaces: ['kernel-log', 'dcgm'] }, {});
  t.match(unknown.writes[0]?.what, /^<3>NVRM: Xid \(PCI:\(address of the GPU\)\): 31, /);
  t.match(unknown.writes[1]?.what, /--gpuid \(of the GPU\) -f 230/);
  t.same(unknown.refusals, [], 'what is unknown refuses nothing');
});

t.test('the writes follow the script: texts, times, places', async (t) => {
  const steps = [
    { xid: 48, afterSeconds: 0 },
    { xid: 94, afterSeconds: 7.5 },
  ];
  const cascade = plan('cascade', { steps, surfaces: ['kernel-log', 'dcgm'] });
  t.same(
    cascade.writes.map(({ afterSeconds, surface }) => [afterSeconds, surface]),
    [
      [0, 'kernel-log'],
      [0, 'dcgm'],
      [7.5, 'kernel-log'],
      [7.5, 'dcgm'],
    ],
  );
  t.match(cascade.writes[1]?.where, 'host engine 4.5.2 at 127.0.0.1:5555, pid 2201');
  t.match(plan('engine-loss').writes, [
    { surface: 'host-engine', what: /^SIGSTOP, and SIGCONT after 4 min$/ },
  ]);
  t.match(plan('pod-stuck-terminating').writes, [
    { surface: 'journal', where: '/dev/kmsg', what: /^<6>kubelet: / },
  ]);
  t.match(plan('ipamd-not-ready').writes, [
    { surface: 'log-file', where: '/var/log/aws-routed-eni/ipamd.log' },
  ]);
  const old = plan('xid', { xid: 79, surfaces: ['kernel-log'], driver: '535.104.05' });
  t.match(old.writes[0]?.what, /79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus\.$/);
  t.throws(() => plan('cascade', { steps: [steps[0], { xid: 94, afterSeconds: 2 }] }), {
    reason: 'alert_gap_too_short',
    message: /^fault\.parameters\.steps\.1\.afterSeconds: /,
  });
});

/** Checks that came after 4.5.2, and those that the GPU of these targets is too old for (dcgm.md §3). */
const tooNew = ['health-row-remap-limit', 'health-nvlink-lifetime'];
const onNewerGpus = ['health-nvlink-recovered', 'health-nvlink-not-recovered'];

t.test('a value is written by the recipe that the agent follows', async (t) => {
  for (const version of ['4.5.2', '4.6.1', null]) {
    for (const { name, surfaces } of faults.filter(({ channel }) => channel.kind === 'dcgm-value')) {
      const target = knownTarget('node-1');
      const engine = engineFacts(inventoryOf('node-1').gpus, { version });
      const context = { ...target, inventory: inventoryOf('node-1', { engines: [engine] }) };
      for (const parameters of [{}, { forSeconds: 60 }, { forSeconds: 60, everySeconds: 7 }]) {
        const known = faults.find((row) => row.name === name)?.parameters ?? {};
        if (Object.keys(parameters).some((key) => !Object.hasOwn(known, key))) continue;
        const planned = plan(name, parameters, context);
        const body = planned.order.body as {
          field: number;
          value: string;
          reach?: Reach;
          forSeconds?: number;
        };
        const order = {
          engine,
          gpuId: 7,
          field: findField(body.field),
          value: body.value,
          reach: body.reach,
          // A plan shows what would be written where the agent refuses, too.
          force: true,
          ...(body.forSeconds === undefined ? {} : { forMs: body.forSeconds * 1000 }),
          ...('everySeconds' in parameters ? { everyMs: parameters.everySeconds * 1000 } : {}),
        };
        const { steps, repeat, hold } = recipeOf(order, body.value, undefined);
        t.same(
          planned.writes.map(({ what, afterSeconds }) => [what, afterSeconds * 1000]),
          steps.map((step) => [
            `dcgmi test --inject --gpuid 7 -f ${step.field} -v ${step.value}${step.offsetSeconds === 1 ? '' : ` --offset ${step.offsetSeconds}`}`,
            step.afterMs,
          ]),
          `${name} on ${version} with ${JSON.stringify(parameters)}, ${surfaces}`,
        );
        t.equal(planned.writes.at(-1)?.repeat?.everySeconds, repeat && repeat.everyMs / 1000, name);
        t.equal(
          planned.writes.some((write) => write.hold !== undefined),
          hold !== undefined,
          name,
        );
        const isTooOld = (version === '4.5.2' && tooNew.includes(name)) || onNewerGpus.includes(name);
        t.equal(
          planned.refusals.some(({ reason }) => reason === 'field_value_no_effect'),
          isTooOld,
          `${name} on ${version}`,
        );
      }
    }
  }
});

t.test('what a healthy cluster shows, one after the other', async (t) => {
  const both = plan('xid', { xid: 79, surfaces: ['kernel-log', 'dcgm'] });
  t.match(both.reactions, [
    {
      surface: 'dcgm',
      appearsAs: 'condition',
      reason: 'NvidiaXID79Error',
      window: { typicalSeconds: 8, worstSeconds: 20 },
    },
    {
      surface: 'dcgm',
      appearsAs: 'condition',
      reason: 'DCGMHealthCode120',
      window: { worstSeconds: 316 },
      note: /its reason changes from NvidiaXID79Error/,
    },
    { surface: 'kernel-log', appearsAs: 'nothing', note: /no version of NMA reads Xid lines/ },
  ]);
  t.equal(
    plan('xid', { xid: 79, surfaces: ['kernel-log'] }).expectation.reason,
    'NvidiaXID79Error',
    'what it means',
  );
  t.same(
    plan('fabric-manager')
      .reactions.map(({ reason }) => reason)
      .sort(),
    ['DCGMHealthCode123'],
    '1.6.4 does not read field 170 itself',
  );
  t.same(
    plan('fabric-manager', {}, knownTarget('node-1', '1.6.7')).reactions.map(({ reason }) => reason),
    ['FabricManagerNotRunning', 'DCGMHealthCode123'],
  );
});

t.test('a health check is waited for past its first tick, and as long as the cause is kept up', async (t) => {
  t.ok(plan('health-faulty-memory').expectation.withinSeconds >= 316 + 60);
  const long = plan('health-faulty-memory', { forSeconds: 1000 });
  t.ok(long.expectation.withinSeconds > 1000);
  t.equal(plan('health-faulty-memory', { forSeconds: 3600 }).expectation.withinSeconds, 3600, 'the limit');
  t.equal(plan('double-bit-error').expectation.withinSeconds, 50, 'a policy fires at once');
});

t.test('who reads each write', async (t) => {
  const xid = plan('xid', { xid: 79, surfaces: ['kernel-log', 'dcgm'] });
  const line = readings(xid, 0);
  t.match(line.get('NMA 1.6.4'), { accepted: false, because: /no version of NMA reads Xid lines/ });
  t.match(line.get('gpud'), { accepted: true });
  t.match(line.get('Meta gcm'), { accepted: true });
  t.match(line.get('DCGM’s host engine'), { accepted: true, because: /reports to no one/ });
  t.match(line.get('NVSentinel'), { accepted: false, because: /journald cuts "NVRM:"/ });
  // F13: both take Xids from NVML events.
  for (const consumer of ['NVIDIA device plugin', 'NVIDIA DRA driver'])
    t.match(line.get(consumer), { accepted: false, because: /NVML events/ }, consumer);
  t.match(line.get('node-problem-detector'), { accepted: false });
  t.match(line.get('journald'), { accepted: true, because: /SYSLOG_IDENTIFIER=NVRM/ });
  t.equal(
    readings(plan('xid', { xid: 31, surfaces: ['kernel-log'] })).get('DCGM’s host engine')?.accepted,
    false,
  );
  const value = readings(xid, 1);
  t.match(value.get('DCGM 4.5.2, policies'), { accepted: true, because: /XID policy/ });
  t.match(value.get('DCGM 4.5.2, health'), { accepted: true, because: /incident 120, FAIL/ });
  t.match(value.get('NMA 1.6.4'), {
    accepted: true,
    because: /the XID policy, at once, and by its health check/,
  });
  t.equal(value.get('gpud')?.accepted, false);
  t.match(readings(plan('xid', { xid: 109 })).get('DCGM 4.5.2, health'), {
    accepted: false,
    because: /in none of the health lists/,
  });
  const ignored = readings(plan('dcgm-field', { field: 319, value: 0, force: true }));
  t.equal(ignored.get('NMA 1.6.4')?.accepted, false);
  t.match(readings(plan('soft-lockup')).get('NMA 1.6.4'), {
    accepted: true,
    because: /^rule SoftLockup of kernel-monitor/,
  });
  t.match(readings(plan('block-device-io-error')).get('NMA 1.6.4'), {
    accepted: false,
    because: /none of its \d+ kernel log rules/,
  });
  t.match(readings(plan('block-device-io-error', {}, knownTarget('n', '1.7.0'))).get('NMA 1.7.0'), {
    accepted: true,
  });
  const journal = readings(plan('pod-stuck-terminating'));
  t.match(journal.get('NMA 1.6.4'), { accepted: true, because: /, from line 3 on$/ });
  t.match(journal.get('journald'), { because: /SYSLOG_IDENTIFIER=kubelet and strips "kubelet: "/ });
  t.match(
    readings(plan('sxid', { sxid: 20034, switch: { index: 0, pci: '0000:05:00.0' } })).get('NMA 1.6.4'),
    { accepted: false, because: /SXid/ },
  );
});

t.test('what keeps the monitoring agent from looking', async (t) => {
  const arm = { ...knownTarget('node-1'), architecture: 'arm64' };
  t.match(readings(plan('xid', { xid: 79 }, arm)).get('NMA 1.6.4'), { accepted: false, because: /arm64/ });
  t.match(plan('xid', { xid: 79 }, arm).refusals, [{ by: 'preflight', reason: 'arm64-gate' }]);
  for (const [name, context] of [
    ['EKS Auto', { ...arm, isAuto: true }],
    ['a version without the gate', { ...arm, nma: knownTarget('n', '1.7.2').nma }],
  ] as const) {
    t.same(plan('xid', { xid: 79 }, context as TargetContext).refusals, [], name);
  }
  t.same(plan('nccl-error', {}, arm).refusals, [], 'this rule reads the kernel log');
  const off = { ...knownTarget('node-1'), disabledPlugins: ['kernel-monitor'] };
  t.match(plan('soft-lockup', {}, off).refusals, [{ by: 'preflight', reason: 'monitor-disabled' }]);
  t.equal(readings(plan('soft-lockup', {}, off)).get('NMA 1.6.4')?.accepted, false);
  t.same(plan('xid', { xid: 79 }, off).refusals, [], 'another monitor');
});

const gpus = [gpuFacts(0)];
const deaf = engineFacts(gpus, {
  pid: 9,
  address: '127.0.0.1:5556',
  nma: { listening: false, evidence: 'nobody on 856' },
});

/** A node, and why the agent would refuse the order; undefined: it would not. */
const nodes: readonly (readonly [string, Partial<Inventory>, Parameters, string | undefined])[] = [
  ['all is well', {}, {}, undefined],
  ['no engine', { engines: [] }, {}, 'engine_not_found'],
  ['nobody listens', { engines: [deaf] }, {}, 'nobody_listens'],
  ['nobody listens, forced', { gpus, engines: [deaf] }, { force: true }, undefined],
  [
    'nobody listens on two, forced',
    { engines: [deaf, { ...deaf, pid: 10 }] },
    { force: true },
    'engine_ambiguous',
  ],
  [
    'two are listened on',
    { engines: [engineFacts(gpus), { ...engineFacts(gpus), pid: 10 }] },
    {},
    'engine_ambiguous',
  ],
  [
    'the deaf one is named',
    { gpus, engines: [engineFacts(gpus), deaf] },
    { engine: { pid: 9 } },
    'nobody_listens',
  ],
  ['none has that address', { engines: [deaf] }, { engine: { address: 'unix:///x' } }, 'engine_not_found'],
  [
    'two have that address',
    { engines: [deaf, { ...deaf, pid: 10 }] },
    { engine: { address: deaf.address } },
    'engine_ambiguous',
  ],
  ['no engine answers', { engines: [{ ...deaf, gpus: [], version: null }] }, {}, 'engine_unreachable'],
  [
    'no client for it',
    { engines: [{ ...deaf, gpus: [], version: null, dcgmi: null }] },
    {},
    'dcgmi_not_found',
  ],
  ['the engine has another GPU', { engines: [engineFacts([gpuFacts(5)])] }, {}, 'gpu_not_in_engine'],
  [
    'the engine has the UUID at another address',
    { engines: [engineFacts([{ ...gpuFacts(0), pci: gpuFacts(1).pci }])] },
    {},
    'gpu_not_in_engine',
  ],
  ['disarmed', { armed: false }, {}, 'disarmed'],
];

t.test('files and processes that the agent would not write to', async (t) => {
  const path = '/var/log/aws-routed-eni/ipamd.log';
  const rows: readonly (readonly [string, Partial<Inventory>, object | undefined])[] = [
    ['ipamd-not-ready', {}, undefined],
    [
      'ipamd-not-ready',
      { logFiles: [{ path, state: 'missing', because: 'no such file', remedy: 'touch it' }] },
      { by: 'agent', reason: 'log_file_missing', message: 'no such file', remedy: 'touch it' },
    ],
    [
      'ipamd-not-ready',
      { logFiles: [{ path, state: 'unusable', because: 'a link' }] },
      { by: 'agent', reason: 'log_file_unusable', message: 'a link' },
    ],
    ['ipamd-not-ready', { logFiles: [{ path: '/var/log/cron.log', state: 'missing' }] }, undefined],
    [
      'engine-loss',
      { capabilities: [{ name: 'host-engine', available: false, because: 'EPERM' }] },
      { by: 'agent', reason: 'agent_incapable', message: 'EPERM' },
    ],
    [
      'engine-loss',
      { engines: [], capabilities: [{ name: 'host-engine', available: false, because: 'none' }] },
      { by: 'agent', reason: 'engine_not_found' },
    ],
  ];
  for (const [name, change, refusal] of rows) {
    const { refusals } = plan(name, {}, knownTarget('node-1', '1.6.4', change));
    t.match(refusals, refusal === undefined ? [] : [refusal], `${name} with ${JSON.stringify(change)}`);
    t.equal(refusals.length, refusal === undefined ? 0 : 1);
  }
});

t.test('the plan refuses what the agent refuses, in its words', async (t) => {
  for (const [name, change, parameters, reason] of nodes) {
    const inventory = inventoryOf('node-1', change);
    const context = { ...knownTarget('node-1'), inventory };
    const [first] = plan('xid', { xid: 109, ...parameters }, context).refusals;
    t.equal(first?.reason, reason, name);
    if (reason !== undefined) t.match(first, { by: 'agent', message: /./, remedy: /./ }, name);
  }
  const risks = [
    [119, true, 'xid_wedges_engine'],
    [79, false, 'risk_not_accepted'],
    [79, true, undefined],
    [120, false, 'risk_not_accepted'],
    [31, false, undefined],
  ] as const;
  for (const [xid, acceptRisk, reason] of risks) {
    const known = plan('xid', { xid, surfaces: ['kernel-log'], acceptRisk });
    t.equal(known.refusals[0]?.reason, reason, `Xid ${xid}, risk ${acceptRisk}`);
    const unknown = plan('xid', { xid, surfaces: ['kernel-log'], acceptRisk }, {});
    t.equal(unknown.refusals[0]?.reason, reason, `Xid ${xid}, risk ${acceptRisk}, on an unknown GPU`);
    t.notMatch(JSON.stringify(unknown), /fffe/, 'no made-up address is shown');
  }
});

t.test('a text of one’s own is read as the agent reads it', async (t) => {
  const text = 'NVRM: Xid (PCI:0000:ee:00): 119, pid=1, name=x, a slot that no GPU is in';
  t.same(plan('kernel-message', { text }).refusals, [], 'no GPU of this node');
  const wedges = [{ reason: 'xid_wedges_engine' }];
  t.match(plan('kernel-message', { text: text.replace('ee', '10') }).refusals, wedges);
  const behind = 'NVRM: Xid (PCI:0000:10:00): 31, x): 119, y';
  t.match(plan('kernel-message', { text: behind }).refusals, wedges, 'behind another number');
  t.match(
    plan(
      'kernel-message',
      { text: `x;${text}` },
      knownTarget('node-1', '1.6.4', {
        capabilities: [{ name: 'nvml', available: false, because: 'no driver' }],
      }),
    ).refusals,
    wedges,
    'without NVML, any address may be a GPU',
  );
});

t.test('without NVML the GPU is taken from a host engine, as the agent does', async (t) => {
  const context = knownTarget('node-1', '1.6.4', {
    gpus: [],
    capabilities: [{ name: 'nvml', available: false, because: 'no driver' }],
  });
  const { uuid, pci } = gpuFacts(2);
  const found = plan('xid', { xid: 31, surfaces: ['kernel-log', 'dcgm'] }, context, { uuid });
  t.same(found.refusals, []);
  t.match(found.writes, [{ what: new RegExp(pciToXid(parsePci(pci))) }, { what: /--gpuid 5 -f 230/ }]);
  const unnamed = plan('xid', { xid: 31 }, context);
  t.same(unnamed.refusals, [], 'R8: a drill that names no GPU is not refused');
  t.match(unnamed.writes, [{ what: /--gpuid 0 -f 230/ }]);
  t.match(unnamed.confidence, { level: 'medium', because: [/from the list of the host engine.*no driver/] });
  t.match(plan('xid', { xid: 31 }, context, { index: 2 }).refusals, [
    { reason: 'gpu_unknown', message: /no driver.*the host engines list/, remedy: /PCI address/ },
  ]);
});

t.test('a GPU that is missing is named', async (t) => {
  const seven = gpuFacts(7);
  const lost = knownTarget('node-1', '1.6.4', {
    engines: [engineFacts([0, 1, 2, 3, 4, 5, 6].map(gpuFacts))],
  });
  t.match(plan('xid', { xid: 31 }, lost, { index: 7 }).refusals, [
    {
      reason: 'gpu_not_in_engine',
      message: new RegExp(`${seven.uuid} at ${seven.pci}`),
      remedy: /a missing GPU is a finding/,
    },
  ]);
  t.same(plan('xid', { xid: 31 }, lost, { index: 6 }).refusals, []);
  t.match(plan('xid', { xid: 31 }, undefined, { index: 8 }).refusals, [
    { reason: 'gpu_unknown', message: /^gpu\.index: no GPU 8/ },
  ]);
  t.match(plan('xid', { xid: 31 }, { hasAgent: false, hasGpu: false }).refusals, [
    { reason: 'agent_unknown' },
    { reason: 'gpu_unknown', message: /shows no GPU/ },
  ]);
});

t.test('what stays, and in which order it is taken back', async (t) => {
  const until = (planned: ReturnType<typeof plan>) =>
    planned.latched.map(({ what, until }) => `${what}: ${until}`);
  t.match(until(plan('xid', { xid: 79, surfaces: ['kernel-log', 'dcgm'], acceptRisk: true })), [
    /^the records in the ring of the kernel log: the next reboot$/,
    /^Xid 79 in field 230 of the host engine, read again at each of its starts: /,
    /^Xid 79 in the health system of the host engine, .*: the host engine restarts$/,
    /^condition AcceleratedHardwareReady False: .*restart the host engine first/,
  ]);
  t.match(until(plan('xid', { xid: 109 })), [
    /^condition AcceleratedHardwareReady False: the monitoring agent restarts on the node$/,
  ]);
  t.same(until(plan('xid', { xid: 45 })), [], 'an event leaves nothing');
  t.match(until(plan('ipamd-not-ready')), [/^the lines in the file/, /^condition NetworkingReady False/]);
});

t.test('how sure it is, and why not', async (t) => {
  const engines = (change: Partial<HostEngineFacts>) => ({
    engines: [engineFacts(inventoryOf('n').gpus, change)],
  });
  const rows: readonly (readonly [string, TargetContext, 'high' | 'medium' | 'low', RegExp])[] = [
    ['everything is known', knownTarget('n'), 'high', /version 1\.6\.4 of the monitoring agent does so/],
    ['an older version', knownTarget('n', '1.2.0'), 'low', /1\.2\.0 is not known; judged as 1\.4\.3/],
    [
      'a newer version',
      knownTarget('n', '1.9.0'),
      'low',
      /1\.9\.0 is not known; judged as .*, the newest known/,
    ],
    ['a digest', knownTarget('n', 'r/eks-node-monitoring-agent@sha256:0a'), 'low', /names no version/],
    ['release notes', knownTarget('n', '1.7.1'), 'medium', /release notes, not from its source/],
    ['no version', { hasAgent: true }, 'low', /was not found on the node/],
    [
      'unread',
      { ...without(knownTarget('n')), inventoryUnread: 'timed out' },
      'medium',
      /could not be read: timed out/,
    ],
    [
      'no engine version',
      knownTarget('n', '1.6.4', engines({ version: null })),
      'medium',
      /judged as 4\.5\.2, which the chart/,
    ],
    [
      'an engine of tomorrow',
      knownTarget('n', '1.6.4', engines({ version: '4.9.0' })),
      'low',
      /4\.9\.0 is none of those known/,
    ],
    [
      'no driver',
      knownTarget('n', '1.6.4', { driverVersion: null }),
      'medium',
      /driver version is not known/,
    ],
  ];
  for (const [name, context, level, because] of rows) {
    const { confidence } = plan('xid', { xid: 31, surfaces: ['kernel-log', 'dcgm'] }, context);
    t.equal(confidence.level, level, `${name}: ${confidence.because.join('; ')}`);
    t.match(confidence.because.join('; '), because, name);
  }
  t.equal(
    plan('task-blocked', {}, { nma: knownTarget('n').nma } as TargetContext).confidence.level,
    'high',
    'no GPU, no engine',
  );
  const mig = { mig: { gpuInstance: 5 }, surfaces: ['kernel-log'], xid: 94 };
  t.match(plan('xid', mig).confidence, { level: 'medium', because: [/MIG is off/] });
});

function without({ inventory: _, ...context }: TargetContext): TargetContext {
  return context;
}

t.test('every Xid of every version: a condition where it is fatal there, else an event', async (t) => {
  for (const { version, fatalXids } of nmaVersions) {
    const wrong = Array.from({ length: 176 }, (_, index) => index + 1).filter((xid) => {
      const { kind, reason } = plan('xid', { xid }, knownTarget('n', version)).expectation;
      return fatalXids.includes(xid)
        ? kind !== 'condition' || reason !== `NvidiaXID${xid}Error`
        : kind !== 'event' || reason !== `NvidiaXID${xid}Warning`;
    });
    t.same(wrong, [], version);
  }
});

t.test('a check that only some generations of GPU have', async (t) => {
  const onGpu = (name: string): TargetContext => {
    const gpus = inventoryOf('node-1').gpus.map((gpu) => ({ ...gpu, name }));
    const engines = [engineFacts(gpus, { version: '4.6.0' })];
    return { ...knownTarget('node-1'), inventory: inventoryOf('node-1', { gpus, engines }) };
  };
  const rows: readonly (readonly [fault: string, gpu: string, level: string, refused: RegExp | undefined])[] =
    [
      ['health-nvlink-recovered', 'NVIDIA B200', 'high', undefined],
      ['health-nvlink-recovered', 'NVIDIA A10G', 'high', /on Blackwell GPUs and later, .* an NVIDIA A10G$/],
      ['health-nvlink-recovered', 'NVIDIA Z9', 'medium', undefined],
      ['health-nvlink-lifetime', 'NVIDIA B200', 'high', /on GPUs before Blackwell, .* an NVIDIA B200$/],
      ['health-row-remap-limit', 'Tesla T4', 'high', /on Ampere GPUs and later, .* a Tesla T4$/],
      ['health-row-remap-limit', 'NVIDIA A10G', 'high', undefined],
    ];
  for (const [fault, gpu, level, refused] of rows) {
    const planned = plan(fault, {}, onGpu(gpu));
    const name = `${fault} on ${gpu}: ${planned.confidence.because.join('; ')}`;
    t.equal(planned.confidence.level, level, name);
    t.match(planned.refusals, refused === undefined ? { length: 0 } : [{ message: refused }], name);
    t.equal(planned.expectation.kind === 'none', refused !== undefined, name);
    t.equal(readings(planned).get('DCGM 4.6.0, health')?.accepted, refused === undefined, name);
  }
  const spec = { fault: { name: 'health-nvlink-recovered' } };
  const context = onGpu('NVIDIA A10G');
  t.throws(() => planTarget({ spec, node: 'node-1', orderId: 'order-1', marker: 'abc123', context }), {
    reason: 'expectation_invalid',
    message:
      /on host engine 4\.6\.0 with GPU NVIDIA A10G shows nothing .* \(with a GPU of another generation it does: /,
  });
  const latched = (gpu: string) => JSON.stringify(plan('xid', { xid: 93 }, onGpu(gpu)).latched);
  t.match(latched('Tesla V100-SXM2-16GB'), /Xid 93 in the health system/);
  t.notMatch(latched('NVIDIA A10G'), /Xid 93 in the health system/);
});
