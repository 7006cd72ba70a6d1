import t from 'tap';
import { diagnose, explain, preflight } from '../../../coordinator/diagnosis/explain.ts';
import type { Judgement } from '../../../coordinator/diagnosis/rule.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import { links } from '../../../coordinator/drill/links.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import {
  before,
  type Change,
  condition,
  deafEngine,
  engine,
  entry,
  facts,
  inventory,
  kernelResult,
  planned,
  plannedFault,
  pod,
  receipt,
  refusedDrill,
  silent,
  silentLockup,
  staleConditions,
  withCondition,
} from './builder.ts';
import { ruleRows } from './rows.ts';

const nmaPod = 'eks-node-monitoring-agent-a';
const gpuCondition = 'AcceleratedHardwareReady';

function judge(code: string, given: Facts): Judgement {
  const rule = rules.find((one) => one.code === code);
  if (rule === undefined) throw new Error(`no rule ${code}`);
  return rule.judge(given);
}

const latched = withCondition(gpuCondition, {
  status: 'False',
  reason: 'DCGMError',
  message: 'failed to initialize DCGM: error connecting to nv-hostengine',
  lastTransitionTime: before(8 * 86_400),
});

t.test('F3: a latched state is not the present one', async (t) => {
  const given = facts({ node: { conditions: latched }, drill: planned() });
  const { blocking, checks } = preflight(given);
  t.equal(blocking, undefined, 'a drill is possible');
  t.match(
    checks.find(({ code }) => code === 'engine-lost'),
    {
      result: 'ok',
      text: /connected .*seen at 2026-11-23T03:05:00\.000Z.*False with DCGMError since .*only a restart of NMA/,
    },
  );
  const old = checks.find(({ code }) => code === 'already-false');
  t.match(old, { result: 'cause', remedy: `Clear it: kubectl -n kube-system delete pod ${nmaPod}; wait` });
  t.notMatch(old?.remedy, /dcgm-server/, 'the engine keeps nothing of its own loss');
});

/** Something that was proven once, and what was seen since. */
const withdrawn: readonly (readonly [name: string, code: string, old: Facts, fresh: Facts])[] = [
  [
    'sibling: an old line of the log, and conditions written since',
    'credentials-broken',
    facts({ node: { conditions: staleConditions(1800) }, nma: { log: [failedAt(900)] }, drill: planned() }),
    facts({ node: { conditions: staleConditions(1800) }, nma: { log: [failedAt(3600)] }, drill: planned() }),
  ],
  [
    'sibling: an event of before the injection is no sign of life',
    'nma-not-running',
    facts({
      nma: { pod: undefined, daemonSet: undefined, dcgmServer: { daemonSet: false, pod: undefined } },
      node: { conditions: staleConditions(1800) },
      drill: silentLockup({
        timeline: [entry('event', 'SoftLockup: CPU stuck for 9s', { at: before(900) })],
      }),
    }),
    facts({
      nma: { pod: undefined, daemonSet: undefined, dcgmServer: { daemonSet: false, pod: undefined } },
      node: { conditions: staleConditions(1800) },
      drill: silentLockup({ timeline: [entry('event', 'SoftLockup: CPU stuck for 9s', { at: before(9) })] }),
    }),
  ],
  [
    'sibling: a line that was sent before the injection',
    'event-combined',
    facts({ nma: { log: [sentAt(80)] }, drill: silentLockup() }),
    facts({ nma: { log: [sentAt(800)] }, drill: silentLockup() }),
  ],
  [
    'sibling: the gate of arm64, and an Xid that NMA reported on that node',
    'arm64-gate',
    facts({ node: { architecture: 'arm64' }, drill: silent() }),
    facts({
      node: { architecture: 'arm64' },
      drill: silent({ timeline: [entry('event', 'NvidiaXID31Warning: detected unknown XID-31')] }),
    }),
  ],
  [
    'sibling: a stale heartbeat, and a fresh one of another condition',
    'nma-not-writing',
    facts({ node: { conditions: staleConditions(1800) }, drill: planned() }),
    facts({
      node: {
        conditions: [
          ...staleConditions(1800).filter(({ type }) => type !== 'KernelReady'),
          condition('KernelReady'),
        ],
      },
      drill: planned(),
    }),
  ],
  [
    'sibling: DCGMError, and NMA started since',
    'engine-lost',
    facts({ node: { conditions: latched }, agent: { inventory: { unread: 'no answer' } }, drill: planned() }),
    facts({
      node: { conditions: latched },
      nma: { pod: pod(nmaPod, { startedAt: before(20) }) },
      agent: { inventory: { unread: 'no answer' } },
      drill: planned(),
    }),
  ],
];

function failedAt(seconds: number): string {
  return `{"level":"error","ts":"${before(seconds)}","msg":"failed to report managed conditions","error":"getting credentials: exec: executable /opt/bin/chroot failed with exit code 2"}`;
}

function sentAt(seconds: number): string {
  return `{"level":"info","ts":"${before(seconds)}","msg":"sending condition to exporter","condition":{"Reason":"SoftLockup"}}`;
}

t.test('F3: what was proven is withdrawn by what was seen since', async (t) => {
  for (const [name, code, old, fresh] of withdrawn) {
    t.match(judge(code, old), { is: 'cause', certainty: 'proven' }, `${name}: by the old alone`);
    const judgement = judge(code, fresh);
    t.notOk(judgement.is === 'cause' && judgement.certainty === 'proven', `${name}: not after it`);
  }
});

t.test('F3: an engine that was out of reach, and is back', async (t) => {
  const found = explain(
    facts({ drill: refusedDrill('engine_unreachable', 'unable to establish a connection') }),
  );
  t.equal(found.code, 'engine-lost');
  t.match(found.summary, /That was at .*answers now, and NMA is connected/);
  t.equal(found.remedy, 'Drill again: the engine is there.');
});

t.test('F3: every proven cause names when it was seen', async (t) => {
  for (const [code, name, , given] of ruleRows) {
    const judgement = judge(code, given);
    if (judgement.is !== 'cause' || judgement.certainty !== 'proven') continue;
    t.ok(
      judgement.evidence.some(({ at }) => !Number.isNaN(Date.parse(at))),
      `${code}, ${name}`,
    );
  }
});

/** A proven cause that does not block, and a later one that does. */
const overtaken: readonly (readonly [name: string, change: Change, first: string, later: string])[] = [
  [
    'sibling: nobody listens, and the version sends an event',
    {
      agent: { inventory: inventory({ engines: [deafEngine] }) },
      drill: planned({ parameters: { xid: 31 }, expectation: conditionOf('NvidiaXID31Error') }),
    },
    'nobody-listens',
    'event-instead-of-condition',
  ],
  [
    'sibling: the agent does not answer, and a role breaks the conditions',
    {
      agent: { inventory: { unread: 'no answer' } },
      node: { conditions: staleConditions(1800) },
      nma: { log: [failedAt(60)] },
      drill: planned(),
    },
    'agent-unreachable',
    'credentials-broken',
  ],
  [
    'sibling: a field that is another quantity, and the gate of arm64',
    {
      node: { architecture: 'arm64' },
      drill: planned({ fault: 'dcgm-field', parameters: { field: 150, value: 48 } }),
    },
    'field-is-another-quantity',
    'arm64-gate',
  ],
];

function conditionOf(reason: string) {
  return { kind: 'condition', type: gpuCondition, reason, withinSeconds: 50 } as const;
}

t.test('F6: the chain decides which cause is named first, whether it blocks or not', async (t) => {
  const line = 'NVRM: Xid (PCI:0000:00:00): 31, pid=1234, name=python, Ch 00000001';
  const asked = [
    ['kernel-message', planned({ parameters: { text: line }, expectation: conditionOf('NvidiaXID31Error') })],
    [
      'xid',
      planned({
        parameters: { xid: 31, surfaces: ['kernel-log'] },
        expectation: conditionOf('NvidiaXID31Error'),
      }),
    ],
  ] as const;
  for (const [name, drill] of asked) {
    t.equal(
      (preflight(facts({ drill })).blocking?.explanation ?? explain(facts({ drill }))).code,
      'kernel-log-not-read',
      name,
    );
    const done = silent({ ...drill, receipt: receipt([kernelResult(line)], { text: line }) });
    const { explanation } = diagnose(facts({ drill: done }));
    t.equal(explanation.code, 'kernel-log-not-read', `${name}, written`);
    t.match(explanation.remedy, /"surfaces": \["dcgm"\]/);
  }
  for (const [name, change, first, later] of overtaken) {
    const { blocking } = preflight(facts(change));
    t.equal(blocking?.explanation.code, first, name);
    t.ok(
      blocking?.explanation.alsoFound.some(({ code }) => code === later),
      `${name}: the other besides`,
    );
  }
  const order = ['order', 'detection', ...links.map(({ name }) => name), 'taint'];
  const places = rules.map(({ link }) => order.indexOf(link));
  t.strictSame(
    places,
    places.toSorted((left, right) => left - right),
    'the rules stand in the order of the links',
  );
});

t.test('F9: what is seen counts, not what is configured', async (t) => {
  const environment = { DCGM_ADDRESS: 'nvidia-dcgm.gpu-operator.svc:5555' };
  const dcgmServer = { daemonSet: false, pod: undefined };
  const nma = { pod: pod(nmaPod, { environment }), dcgmServer };
  const given = facts({ nma, agent: { inventory: inventory({ engines: [] }) } });
  const { checks } = preflight(given);
  t.match(
    checks.find(({ code }) => code === 'engine-elsewhere'),
    {
      result: 'cause',
      text: /nothing on node n1 to inject into: NMA’s host engine is at nvidia-dcgm\.gpu-operator\.svc:5555/,
      remedy: /kubectl -n gpu-operator get endpointslices -l kubernetes\.io\/service-name=nvidia-dcgm/,
    },
  );
  for (const fault of ['cascade', 'double-bit-error', 'health-inforom', 'engine-loss'])
    t.equal(
      preflight({ ...given, drill: plannedFault(fault) }).blocking?.explanation.code,
      'engine-elsewhere',
      `${fault} has nothing to be injected into`,
    );
  t.equal(preflight({ ...given, drill: plannedFault('soft-lockup') }).blocking, undefined);
});

t.test('F9: with dcgmAgent.enabled=false nothing absent is to be restarted', async (t) => {
  const nma = { dcgmServer: { daemonSet: false, pod: undefined } };
  const unread = { unread: 'no answer' };
  const lost = explain(
    facts({ nma, node: { conditions: latched }, agent: { inventory: unread }, drill: silent() }),
  );
  for (const { remedy } of [lost, ...lost.alsoFound]) t.notMatch(remedy, /(restart|delete).*dcgm-server/);
  const hosted = engine({ podUid: null, problems: ['no answer'] });
  const onHost = judge(
    'engine-lost',
    facts({
      nma,
      node: { conditions: latched },
      agent: { inventory: inventory({ engines: [hosted] }) },
      drill: silent(),
    }),
  );
  t.match(onHost, { remedy: /service of the host engine on n1 \(process 4242\)/ });
});

/** Names that a remedy's commands act on, by their kind; a word in capitals stands for something to fill in. */
function namedIn(remedy: string): readonly (readonly [kind: string, name: string])[] {
  const pattern =
    /\b(daemonset|pod|deployment|serviceaccount|nodepool|node|--nodegroup-name|exec|logs)[ /]((?!-)[A-Za-z0-9][\w.-]*)/g;
  return remedy
    .split(/[;,:(]|\. | then /)
    .filter((part) => part.includes('kubectl') || part.includes('aws eks'))
    .flatMap((part) =>
      [...part.matchAll(pattern)].map(
        ([, kind = '', name = '']) => [kind, name.replace(/[.-]+$/, '')] as const,
      ),
    )
    .filter(([, name]) => !/^[A-Z][A-Z-]*$/.test(name));
}

function known({ node, nma, repair }: Facts): ReadonlySet<string> {
  const names = [
    node.name,
    ...Object.values(node.labels),
    nma.pod?.name,
    nma.pod?.serviceAccount,
    nma.daemonSet?.name,
    nma.serviceAccount?.name,
    nma.dcgmServer.pod?.name,
    repair.karpenter?.deployment.split('/')[1],
  ];
  return new Set(names.filter((name) => name !== undefined));
}

t.test('F9: a remedy names only objects that exist', async (t) => {
  let count = 0;
  for (const [code, name, , given] of ruleRows) {
    const judgement = judge(code, given);
    if (judgement.is !== 'cause') continue;
    for (const [kind, object] of namedIn(judgement.remedy)) {
      count += 1;
      t.ok(known(given).has(object), `${code}, ${name}: ${kind} ${object} in "${judgement.remedy}"`);
    }
  }
  t.ok(count > 60, `${count} names were looked at`);
});
