import type { LinkCause } from '../../../coordinator/store/experiment.ts';
import type { TimelineEntry } from '../../../coordinator/store/timeline.ts';
import type { DrillFacts, Facts, KarpenterFacts } from '../../../coordinator/view/facts.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import type { Inventory } from '../../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../../shared/schemas/order.ts';
import type { EngineSelector } from '../../../shared/schemas/order-members.ts';
import type { JournalReadBack } from '../../../shared/schemas/read-back.ts';
import type { SurfaceResult, Sustained } from '../../../shared/schemas/receipt.ts';
import {
  before,
  condition,
  dcgmResult,
  deafEngine,
  engine,
  entry,
  facts,
  healthyConditions,
  inventory,
  kernelResult,
  nmaImage,
  now,
  peers,
  planned,
  plannedFault,
  pod,
  reacted,
  receipt,
  refusedDrill,
  silent,
  silentLockup,
  staleConditions,
  version,
  withCondition,
} from './builder.ts';

const nmaPod = 'eks-node-monitoring-agent-a';

/** The GPU condition as NMA left it when it lost its engine that long ago. */
function lostFor(seconds: number, lastHeartbeatTime = before(40)) {
  return withCondition('AcceleratedHardwareReady', {
    status: 'False',
    reason: 'DCGMError',
    message: 'failed to initialize DCGM: error connecting to nv-hostengine',
    lastTransitionTime: before(seconds),
    lastHeartbeatTime,
  });
}

const behindService = {
  nma: {
    pod: pod(nmaPod, { environment: { DCGM_ADDRESS: 'nvidia-dcgm.gpu-operator.svc:5555' } }),
    dcgmServer: { daemonSet: false, pod: undefined },
  },
  agent: { inventory: inventory({ engines: [] }) },
} as const;

function turned79(over: Partial<TimelineEntry> = {}): TimelineEntry {
  const condition = {
    type: 'AcceleratedHardwareReady',
    status: 'False',
    reason: 'NvidiaXID79Error',
    message: 'detected XID-79 on the instance, review kernel logs for additional information.',
  };
  return entry('condition', 'AcceleratedHardwareReady=False NvidiaXID79Error', { condition, ...over });
}

const kernelEvent = entry('event', 'SoftLockup: CPU stuck for 23s', {
  event: {
    uid: 'e-1',
    type: 'Warning',
    reason: 'KernelReady',
    message: 'SoftLockup: CPU stuck for 23s',
    count: 1,
    component: 'eks-node-monitoring-agent',
  },
});

/** What a rule has to say: `proven!` blocks; `incidental` is broken but does not explain this drill. */
export type Said =
  | 'proven!'
  | 'proven'
  | 'proven incidental'
  | 'likely'
  | 'likely incidental'
  | 'refuted'
  | 'unknown'
  | 'irrelevant';

export type RuleRow = readonly [code: string, name: string, said: Said, facts: Facts, text?: RegExp];

const [gpuFacts] = inventory().gpus as [Inventory['gpus'][number]];
const journalNotRead: JournalReadBack = {
  state: 'unread',
  cause: 'agent-lacks',
  because: 'the agent has no nsenter',
};
const notInJournal: JournalReadBack = {
  state: 'missing',
  cause: 'read-kmsg-off',
  because: 'journald does not read the kernel log: ReadKMsg=no',
};
const inJournal: JournalReadBack = {
  state: 'seen',
  directory: '/var/log/journal',
  cursor: 's=1',
  identifier: 'kubelet',
  message: 'fork failed',
};

/** Silent until now, with what the agent found in the journal. */
function journalDrill(journal: JournalReadBack, outcome: 'injected' | 'failed' = 'injected'): DrillFacts {
  const { readBack, ...result } = kernelResult('kubelet: fork failed', { surface: 'journal', outcome });
  const failed = outcome === 'failed' ? { code: 'journal_record_missing', message: 'not there' } : {};
  const seen = readBack === undefined || !('sequence' in readBack) ? readBack : { ...readBack, journal };
  return {
    ...plannedFault('fork-failed'),
    receipt: receipt([{ ...result, ...failed, ...(seen === undefined ? {} : { readBack: seen }) }]),
    waitedUntil: now,
  };
}

const blindInventory = inventory({
  engines: [],
  agentLacks: [
    {
      means: 'host-pid',
      because: 'the agent sees only the processes of its own container',
      remedy: 'run the agent from its chart, which sets hostPID: true on its pod',
    },
  ],
});

const noKernelLog = {
  means: 'kernel-log' as const,
  because: '/dev/kmsg cannot be opened: EACCES',
  remedy: 'set agent.kernelLog to the character device of the kernel log',
};

const unaskedEngine = engine({
  gpus: [],
  version: null,
  nma: { listening: false, evidence: 'not known: the engine could not be asked', answered: false },
  problems: ['GPUs: agent_incapable: the agent has no nsenter'],
  agentLacks: 'the agent has no nsenter',
});

const noJournal = {
  name: 'journal' as const,
  available: false,
  because: 'no journald runs on this node: ENOENT: no such file or directory',
};
const spotOnly = { key: 'spot', operator: 'Equal', value: 'true', effect: 'NoSchedule' };
const annotated = {
  namespace: 'kube-system',
  name: 'eks-node-monitoring-agent',
  annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/nma' },
};
const irsaPod = pod(nmaPod, {
  environment: {
    HOST_ROOT: '/host',
    AWS_ROLE_ARN: 'arn:aws:iam::1:role/nma',
    AWS_WEB_IDENTITY_TOKEN_FILE: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
  },
  volumes: ['host-root', 'aws-iam-token'],
});
const podIdentityPod = pod(nmaPod, {
  environment: {
    HOST_ROOT: '/host',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials',
  },
  volumes: ['eks-pod-identity-token'],
});
const credentialLog = [
  "[Errno 2] No such file or directory: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token'",
  'panic: exit status 255',
  '{"msg":"failed to report managed conditions","error":"getting credentials: exec: executable /opt/amazon/bin/chroot failed with exit code 2"}',
];
const stale = staleConditions(1953);
/** Both by a clock that is ahead: heartbeats that many seconds before now. */
const kubeletAhead = (kubelet: number, nma: number) =>
  staleConditions(nma).map((row) =>
    ['Ready', 'MemoryPressure'].includes(row.type) ? { ...row, lastHeartbeatTime: before(kubelet) } : row,
  );
const allOld = healthyConditions.map((row) => ({ ...row, lastHeartbeatTime: before(4000) }));
const noNmaConditions = healthyConditions.filter(({ type }) => ['Ready', 'MemoryPressure'].includes(type));
const eventXid31 = {
  kind: 'event',
  type: 'AcceleratedHardwareReady',
  reason: 'NvidiaXID31Warning',
  message: 'detected unknown XID-31 on the instance, review kernel logs for additional information.',
  withinSeconds: 36,
} as const;
const conditionXid31 = { ...eventXid31, kind: 'condition', reason: 'NvidiaXID31Error' } as const;
const storyLine = 'NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory';
const twoGpus = [
  { id: 0, name: 'NVIDIA H100', pci: '00000000:3B:00.0', uuid: 'GPU-1' },
  { id: 1, name: 'NVIDIA H100', pci: '00000000:5E:00.0', uuid: 'GPU-2' },
];
const kernelOnly = receipt([kernelResult(storyLine)], { text: storyLine });
const unread = { unread: 'connect ECONNREFUSED' };
const invalid = {
  unread: 'the answer of the agent of n1 to GetInventory is not a JSON object',
  reason: 'agent_answer_invalid',
} as const;
const gone = { nma: { pod: undefined, daemonSet: undefined, version: undefined } };
const crashing = pod(nmaPod, { phase: 'Pending', ready: false, reason: 'CrashLoopBackOff', restarts: 12 });
const fieldDrill = (field: number, value: number, over = {}) =>
  planned({ fault: 'dcgm-field', parameters: { field, value }, ...over });
const falseCondition = (reason: string, message: string) =>
  condition('AcceleratedHardwareReady', {
    status: 'False',
    reason,
    message,
    lastTransitionTime: before(5000),
  });
const message79 = 'detected XID-79 on the instance, review kernel logs for additional information.';
const karpenterOff = (nodeRepairGate: boolean | undefined) => ({
  deployment: 'kube-system/karpenter',
  image: 'karpenter:1.14.1',
  nodeRepairGate,
  evidence: 'neither --feature-gates nor FEATURE_GATES is set',
});
const karpenterImage = 'public.ecr.aws/karpenter/controller';
const karpenterWith = (over: Partial<KarpenterFacts>): KarpenterFacts => ({
  deployment: 'kube-system/karpenter',
  image: `${karpenterImage}:1.14.3`,
  nodeRepairGate: true,
  evidence: 'feature gates "NodeRepair=true"',
  ...over,
});
const lasted = (ended: NonNullable<Sustained['ended']>) =>
  dcgmResult({
    sustained: {
      everySeconds: 20,
      until: before(-300),
      beats: 4,
      failures: 0,
      lastAt: before(20),
      ended,
    },
  });
const managed = { nodeGroup: 'gpu-group', nodePool: undefined, karpenter: undefined };
const pausedResult: SurfaceResult = {
  surface: 'host-engine',
  outcome: 'injected',
  written: 'SIGSTOP',
  at: before(60),
  undo: '',
  notes: [],
};
const withEngine = (drill: DrillFacts, asked: EngineSelector): DrillFacts => ({
  ...drill,
  order: parseCall(drill.order.method, { ...drill.order.body, engine: asked }) as MethodCall,
});
const skippedNvidia =
  '{"msg":"skipping monitor registration: no nvidia hardware detected","monitor":"nvidia"}';
const withoutGpuCondition = healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady');
const turned = withCondition('AcceleratedHardwareReady', {
  status: 'False',
  reason: 'NvidiaXID79Error',
  message: message79,
  lastTransitionTime: before(60),
});

export const ruleRows: readonly RuleRow[] = [
  [
    'wrong-engine',
    'planned for a deaf one',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [deafEngine, engine()] }) },
      drill: planned({ parameters: { xid: 79, surfaces: ['dcgm'], engine: { pid: 777 } } }),
    }),
    /pid 777/,
  ],
  [
    'nobody-listens',
    'could not be asked',
    'unknown',
    facts({
      agent: { inventory: inventory({ engines: [engine({ ...deafEngine, problems: ['no dcgmi'] })] }) },
      drill: planned(),
    }),
    /no dcgmi/,
  ],
  [
    'observation-gap',
    'late, but nothing lost',
    'refuted',
    facts({
      drill: silent({ timeline: [entry('note', 'not watching until x; everything came, but late')] }),
    }),
  ],
  [
    'agent-unreachable',
    'refused for another reason',
    'irrelevant',
    facts({ agent: { inventory: unread }, drill: refusedDrill('nobody_listens', 'no listener') }),
  ],
  [
    'nma-not-running',
    'a record unanswered, with a gap in the watch',
    'likely',
    facts({
      node: { conditions: noNmaConditions },
      ...gone,
      drill: silentLockup({ timeline: [entry('gap', 'what came is lost')] }),
    }),
  ],
  [
    'nma-not-running',
    'a record unanswered, for too short a time',
    'likely',
    facts({
      node: { conditions: noNmaConditions },
      ...gone,
      drill: silentLockup({ waitedUntil: before(88) }),
    }),
  ],
  [
    'agent-unknown',
    'no address',
    'proven!',
    facts({ agent: { url: undefined, inventory: unread }, drill: planned() }),
    /No Xidrill agent/,
  ],
  ['agent-unknown', 'refused', 'proven!', facts({ drill: refusedDrill('agent_unknown', 'no agent for n1') })],
  ['agent-unknown', 'found', 'refuted', facts(), /10\.0\.0\.1/],
  [
    'agent-unreachable',
    'refused',
    'proven',
    facts({ drill: refusedDrill('agent_unreachable', 'connect ETIMEDOUT') }),
    /is unreachable: connect ETIMEDOUT/,
  ],
  ['agent-unreachable', 'no inventory', 'proven', facts({ agent: { inventory: unread } })],
  [
    'agent-unreachable',
    'no inventory after a receipt',
    'irrelevant',
    facts({ agent: { inventory: unread }, drill: silent() }),
  ],
  ['agent-unreachable', 'answered', 'refuted', facts({ drill: silent() })],
  ['agent-unreachable', 'answered with something else', 'refuted', facts({ agent: { inventory: invalid } })],
  [
    'agent-answer-invalid',
    'an inventory that is none, before a drill',
    'proven!',
    facts({ agent: { inventory: invalid }, drill: planned() }),
    /^The answer of the agent of n1 to GetInventory is not a JSON object\. Nothing was sent to it\.$/,
  ],
  [
    'agent-answer-invalid',
    'a receipt that is none',
    'proven!',
    facts({ drill: refusedDrill('agent_answer_invalid', 'the answer … lacks /orderId') }),
    /lacks \/orderId\. Whether anything was injected cannot be known from here/,
  ],
  [
    'agent-answer-invalid',
    'an inventory that is none after a receipt',
    'irrelevant',
    facts({ agent: { inventory: invalid }, drill: silent() }),
  ],
  ['agent-answer-invalid', 'no answer', 'unknown', facts({ agent: { inventory: unread } })],
  ['agent-answer-invalid', 'documented', 'refuted', facts()],
  [
    'kill-switch',
    'refused',
    'proven',
    facts({ drill: refusedDrill('kill_switch_engaged', 'the kill switch is engaged: incident 42') }),
    /incident 42/,
  ],
  ['kill-switch', 'carried out', 'refuted', facts({ drill: silent() })],
  ['kill-switch', 'nothing ordered', 'irrelevant', facts()],
  [
    'agent-disarmed',
    'refused',
    'proven!',
    facts({ drill: refusedDrill('disarmed', 'this agent is disarmed') }),
    /disarmed/,
  ],
  [
    'agent-disarmed',
    'by its inventory',
    'proven!',
    facts({ agent: { inventory: inventory({ armed: false }) }, drill: planned() }),
  ],
  ['agent-disarmed', 'armed', 'refuted', facts()],
  ['agent-disarmed', 'no inventory', 'unknown', facts({ agent: { inventory: unread } })],
  [
    'node-not-opted-in',
    'refused',
    'proven!',
    facts({ drill: refusedDrill('node_not_opted_in', 'this node has not opted in to injections: ENOENT') }),
    /has not opted in to injections: ENOENT/,
  ],
  [
    'node-not-opted-in',
    'by its inventory',
    'proven!',
    facts({
      agent: {
        inventory: inventory({
          optIn: {
            given: false,
            because: 'this node has not opted in to injections: ENOENT',
            remedy: 'as root on the node: install -D -m 0644 /etc/hostname /etc/xidrill/armed',
          },
        }),
      },
      drill: planned(),
    }),
    /ENOENT/,
  ],
  [
    'node-not-opted-in',
    'before a drill it blocks nothing',
    'proven',
    facts({ agent: { inventory: inventory({ optIn: { given: false } }) } }),
  ],
  [
    'node-not-opted-in',
    'opted in',
    'refuted',
    facts({ agent: { inventory: inventory({ optIn: { given: true } }) } }),
  ],
  ['node-not-opted-in', 'no consent is asked for, or an older agent', 'irrelevant', facts()],
  [
    'node-not-opted-in',
    'taken away after the order',
    'irrelevant',
    facts({ agent: { inventory: inventory({ optIn: { given: false } }) }, drill: silent() }),
  ],
  ['node-not-opted-in', 'no inventory', 'unknown', facts({ agent: { inventory: unread } })],
  [
    'policy-refused',
    'refused',
    'proven',
    facts({
      drill: refusedDrill('policy_refused', 'user "x" may not call InjectXid on this agent directly'),
    }),
    /may not call InjectXid.*no user as its coordinator/s,
  ],
  ['policy-refused', 'carried out', 'refuted', facts({ drill: silent() })],
  ['policy-refused', 'nothing ordered, no policy, or an older agent', 'irrelevant', facts()],
  [
    'policy-refused',
    'by its inventory',
    'proven!',
    facts({
      agent: {
        inventory: inventory({
          caller: { user: 'b', coordinator: 'a', methods: [], because: 'user "b" may not call' },
        }),
      },
      drill: planned(),
    }),
    /user "b" may not call.*takes a for the coordinator, and was called by b/s,
  ],
  [
    'policy-refused',
    'before a drill it blocks nothing',
    'proven',
    facts({ agent: { inventory: inventory({ caller: { user: 'b', coordinator: null, methods: [] } }) } }),
    /no user as its coordinator/,
  ],
  [
    'policy-refused',
    'its policy allows something',
    'refuted',
    facts({
      agent: { inventory: inventory({ caller: { user: 'a', coordinator: 'a', methods: ['InjectXid'] } }) },
    }),
  ],
  [
    'policy-refused',
    'taken away after the order',
    'refuted',
    facts({
      agent: { inventory: inventory({ caller: { user: 'b', coordinator: 'a', methods: [] } }) },
      drill: silent(),
    }),
  ],
  ['policy-refused', 'no inventory', 'unknown', facts({ agent: { inventory: unread } })],

  [
    'field-is-another-quantity',
    'temperature',
    'proven',
    facts({ drill: fieldDrill(150, 48) }),
    /temperature.*°C|temperature/,
  ],
  [
    'field-is-another-quantity',
    'forced clock',
    'proven',
    facts({ drill: fieldDrill(111, 999, { receipt: receipt([dcgmResult()]), waitedUntil: before(0) }) }),
    /clock/,
  ],
  [
    'field-is-another-quantity',
    'refused',
    'proven',
    facts({
      drill: refusedDrill('field_value_no_effect', 'field 150 is the GPU temperature', { didYouMean: [] }),
    }),
  ],
  ['field-is-another-quantity', 'the Xid field', 'refuted', facts({ drill: fieldDrill(230, 48) })],
  ['field-is-another-quantity', 'an unknown field', 'irrelevant', facts({ drill: fieldDrill(99_999, 1) })],
  ['field-is-another-quantity', 'no field', 'irrelevant', facts({ drill: planned() })],

  [
    'wrong-engine',
    'refused',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [deafEngine, engine()] }) },
      drill: refusedDrill(
        'nobody_listens',
        'the host engine with pid 777 has no listener',
        {},
        { parameters: { xid: 79, engine: { pid: 777 }, surfaces: ['dcgm'] } },
      ),
    }),
    /pid 4242 in pod kube-system\/dcgm-server-a/,
  ],
  [
    'wrong-engine',
    'forced',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [deafEngine, engine()] }) },
      drill: silent({
        receipt: receipt([
          dcgmResult(
            {
              engine: {
                pid: 777,
                podUid: 'uid-of-dcgm-exporter-x',
                container: null,
                version: null,
                address: '127.0.0.1:5556',
                listeners: 'nobody',
              },
            },
            0,
          ),
        ]),
      }),
    }),
    /pid 777/,
  ],
  ['wrong-engine', 'the right one', 'refuted', facts({ drill: silent() })],
  ['wrong-engine', 'unread', 'unknown', facts({ agent: { inventory: unread }, drill: silent() })],
  ['wrong-engine', 'kernel log', 'irrelevant', facts({ drill: silentLockup() })],
  [
    'nobody-listens',
    'refused',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [deafEngine] }) },
      drill: refusedDrill('nobody_listens', 'NMA listens on no host engine'),
    }),
    /no host engine/,
  ],
  [
    'nobody-listens',
    'before the injection',
    'proven',
    facts({ agent: { inventory: inventory({ engines: [deafEngine] }) }, drill: planned() }),
  ],
  ['nobody-listens', 'the right one', 'refuted', facts({ drill: planned() })],
  ['nobody-listens', 'unread', 'unknown', facts({ agent: { inventory: unread }, drill: planned() })],

  [
    'injection-not-proven',
    'not read back',
    'proven',
    facts({ drill: refusedDrill('read_back_failed', 'the record did not come back') }),
    /not proven/,
  ],
  [
    'injection-not-proven',
    'failed surface',
    'proven',
    facts({
      drill: silent({
        receipt: receipt([
          dcgmResult({
            outcome: 'failed',
            code: 'injection_not_visible',
            message: 'the sample is not there',
          }),
        ]),
      }),
    }),
  ],
  ['injection-not-proven', 'read back', 'refuted', facts({ drill: silent() })],
  [
    'injection-refused',
    'a value of the wrong type',
    'proven',
    facts({
      drill: refusedDrill('field_value_type', 'value: wants a whole number', { allowed: 'a whole number' }),
    }),
    /field_value_type/,
  ],
  [
    'injection-refused',
    'one surface',
    'proven',
    facts({
      drill: silent({
        receipt: receipt([
          dcgmResult({ outcome: 'refused', code: 'gpu_not_in_engine', message: 'no such GPU' }),
          kernelResult(storyLine),
        ]),
      }),
    }),
    /surface dcgm/,
  ],
  ['injection-refused', 'injected', 'refuted', facts({ drill: silent() })],
  ['injection-refused', 'nothing asked', 'irrelevant', facts()],

  [
    'injection-interrupted',
    'the agent was started again',
    'proven',
    facts({ drill: silent({ receipt: { ...receipt([lasted('agent-restarted')]), state: 'interrupted' } }) }),
    /started again while it lasted/,
  ],
  [
    'injection-interrupted',
    'the beats failed',
    'proven',
    facts({ drill: silent({ receipt: receipt([lasted('failed')]) }) }),
    /could not be kept up/,
  ],
  [
    'injection-interrupted',
    'until it was stopped',
    'refuted',
    facts({ drill: silent({ receipt: receipt([lasted('stopped')]) }) }),
    /dcgm stopped, 4 beats, 0 failed/,
  ],
  ['injection-interrupted', 'written once', 'irrelevant', facts({ drill: silent() })],
  ['injection-interrupted', 'nothing written', 'irrelevant', facts({ drill: planned() })],

  [
    'injection-interrupted',
    'stopped between two parts',
    'proven',
    facts({
      drill: silent({
        receipt: receipt([
          kernelResult(storyLine),
          { surface: 'kernel-log', outcome: 'failed', code: 'order_stopped', undo: '', notes: [] },
        ]),
      }),
    }),
    /stopped before all of it was written/,
  ],
  [
    'log-file-missing',
    'refused',
    'proven!',
    facts({
      drill: {
        ...plannedFault('ipamd-not-ready'),
        refusal: {
          reason: 'log_file_missing',
          message: 'this node has no /var/log/aws-routed-eni',
          details: { value: '/var/log/aws-routed-eni/ipamd.log', remedy: 'create it on the node' },
        },
      },
    }),
    /no \/var\/log\/aws-routed-eni\/ipamd\.log/,
  ],
  [
    'log-file-missing',
    'by the inventory',
    'proven!',
    facts({
      agent: {
        inventory: inventory({ logFiles: [{ path: '/var/log/aws-routed-eni/ipamd.log', state: 'missing' }] }),
      },
      drill: plannedFault('ipamd-not-ready'),
    }),
  ],
  ['log-file-missing', 'there', 'refuted', facts({ drill: plannedFault('ipamd-not-ready') })],
  [
    'log-file-missing',
    'unread',
    'unknown',
    facts({ agent: { inventory: unread }, drill: plannedFault('ipamd-not-ready') }),
  ],
  ['log-file-missing', 'another fault', 'irrelevant', facts({ drill: silent() })],

  [
    'kernel-log-not-read',
    'written there only',
    'proven',
    facts({ drill: silent({ parameters: {}, expectation: conditionXid31, receipt: kernelOnly }) }),
    /gpud \(its pattern does not match/,
  ],
  [
    'kernel-log-not-read',
    'planned there only',
    'proven',
    facts({ drill: planned({ parameters: { xid: 79, surfaces: ['kernel-log'] } }) }),
  ],
  [
    'kernel-log-not-read',
    'both surfaces',
    'refuted',
    facts({ drill: silent({ receipt: receipt([kernelResult(storyLine), dcgmResult()]) }) }),
  ],
  ['kernel-log-not-read', 'a soft lockup', 'refuted', facts({ drill: silentLockup() })],
  ['kernel-log-not-read', 'the engine', 'irrelevant', facts({ drill: planned() })],

  [
    'observation-gap',
    'a gap',
    'likely',
    facts({ drill: silent({ timeline: [entry('gap', 'the watch was closed for 20 s')] }) }),
    /inconclusive/,
  ],
  ['observation-gap', 'none', 'refuted', facts({ drill: silent() })],
  ['observation-gap', 'not waited', 'irrelevant', facts({ drill: planned() })],
  [
    'node-replaced',
    'another uid',
    'proven',
    facts({ drill: silent({ nodeUid: 'node-uid-0' }) }),
    /not the node/,
  ],
  ['node-replaced', 'created since', 'proven', facts({ node: { createdAt: before(10) }, drill: silent() })],
  ['node-replaced', 'the same', 'refuted', facts({ drill: silent({ nodeUid: 'node-uid-1' }) })],
  ['node-replaced', 'unreadable time', 'unknown', facts({ node: { createdAt: '' }, drill: silent() })],
  [
    'reason-replaced',
    'health code',
    'proven',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', {
          status: 'False',
          reason: 'DCGMHealthCode120',
          message: `${message79}; DCGM detected issues in health check system with error code 120`,
        }),
      },
      drill: silent(),
    }),
    /DCGMHealthCode120/,
  ],
  [
    'reason-replaced',
    'another fault',
    'refuted',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', {
          status: 'False',
          reason: 'DCGMError',
          message: 'failed',
        }),
      },
      drill: silent(),
    }),
  ],
  ['reason-replaced', 'still True', 'refuted', facts({ drill: silent() })],
  [
    'event-instead-of-condition',
    'by version',
    'proven!',
    facts({ drill: planned({ parameters: { xid: 31 }, expectation: conditionXid31 }) }),
    /Xid 31 with an event/,
  ],
  [
    'event-instead-of-condition',
    'it came',
    'proven',
    facts({
      drill: silent({
        parameters: { xid: 31 },
        expectation: conditionXid31,
        timeline: [entry('event', 'NvidiaXID31Warning: detected unknown XID-31')],
      }),
    }),
  ],
  [
    'event-instead-of-condition',
    'version guessed',
    'likely',
    facts({
      nma: { version: version('v1.6.9-custom') },
      drill: planned({ parameters: { xid: 31 }, expectation: conditionXid31 }),
    }),
  ],
  ['event-instead-of-condition', 'a condition', 'refuted', facts({ drill: planned() })],
  [
    'event-instead-of-condition',
    'no version',
    'unknown',
    facts({ nma: { version: undefined }, drill: planned() }),
  ],
  [
    'condition-instead-of-event',
    'by version',
    'proven!',
    facts({
      nma: { version: version('v1.6.3') },
      drill: planned({ parameters: { xid: 31 }, expectation: eventXid31 }),
    }),
    /with a condition/,
  ],
  [
    'condition-instead-of-event',
    'an event',
    'refuted',
    facts({ drill: planned({ parameters: { xid: 31 }, expectation: eventXid31 }) }),
  ],
  [
    'event-combined',
    'prefix',
    'likely',
    facts({
      drill: silent({
        parameters: { xid: 31 },
        expectation: eventXid31,
        timeline: [entry('event', '(combined from similar events): NvidiaPowerError: detected power usage')],
      }),
    }),
  ],
  [
    'event-combined',
    'ours within',
    'proven',
    facts({
      drill: silent({
        parameters: { xid: 31 },
        expectation: eventXid31,
        timeline: [entry('event', '(combined from similar events): NvidiaXID31Warning: detected')],
      }),
    }),
  ],
  [
    'event-combined',
    'sent and dropped',
    'proven',
    facts({
      nma: { log: ['{"msg":"sending condition to exporter","condition":{"Reason":"NvidiaXID31Warning"}}'] },
      drill: silent({ parameters: { xid: 31 }, expectation: eventXid31 }),
    }),
    /bucket/,
  ],
  [
    'event-combined',
    'neither',
    'refuted',
    facts({ drill: silent({ parameters: { xid: 31 }, expectation: eventXid31 }) }),
  ],
  ['event-combined', 'a condition', 'irrelevant', facts({ drill: silent() })],
  [
    'late-reaction',
    'after the wait',
    'proven',
    facts({ drill: silent({ timeline: [turned79({ at: before(-20) })] }) }),
    /1 min 50 s after the injection/,
  ],
  ['late-reaction', 'not at all', 'refuted', facts({ drill: silent() })],
  ['late-reaction', 'before the injection', 'irrelevant', facts({ drill: planned() })],
  [
    'other-reaction',
    'what the version gives',
    'proven',
    facts({
      drill: silent({
        expectation: { ...conditionXid31, reason: 'NvidiaXidError' },
        timeline: [turned79()],
      }),
    }),
    /nearest that one has is NvidiaXID79Error/,
  ],
  [
    'other-reaction',
    'of another fault',
    'likely',
    facts({
      drill: silent({ timeline: [entry('event', 'NvidiaPowerError: detected power usage')] }),
    }),
    /does not have NvidiaPowerError for this fault/,
  ],
  [
    'other-reaction',
    'of another monitor',
    'likely incidental',
    facts({ drill: silent({ timeline: [kernelEvent] }) }),
  ],
  ['other-reaction', 'none', 'refuted', facts({ drill: silent() })],
  ['other-reaction', 'nothing injected', 'irrelevant', facts({ drill: planned() })],
  [
    'reason-not-given',
    'of no version',
    'proven',
    facts({ drill: planned({ expectation: { ...conditionXid31, reason: 'NvidiaXidError' } }) }),
  ],
  [
    'reason-not-given',
    'of another fault',
    'likely',
    facts({ drill: planned({ expectation: { ...conditionXid31, reason: 'NvidiaXID48Error' } }) }),
  ],
  [
    'reason-not-given',
    'version guessed',
    'unknown',
    facts({
      nma: { version: version('v1.6.9-custom') },
      drill: planned({ expectation: { ...conditionXid31, reason: 'NvidiaXID48Error' } }),
    }),
  ],
  [
    'reason-not-given',
    'nothing came of it',
    'proven incidental',
    facts({ drill: silent({ expectation: { ...conditionXid31, reason: 'NvidiaXidError' } }) }),
  ],
  ['reason-not-given', 'given', 'refuted', facts({ drill: planned() })],
  [
    'earlier-reaction',
    'before the injection',
    'likely',
    facts({
      drill: silentLockup({
        timeline: [{ ...kernelEvent, at: before(300) }],
      }),
    }),
    /3 min 30 s before the injection/,
  ],
  ['earlier-reaction', 'none', 'refuted', facts({ drill: silentLockup() })],

  [
    'credentials-broken',
    'IRSA, stale',
    'proven!',
    facts({
      node: { conditions: stale },
      nma: { serviceAccount: annotated, pod: irsaPod },
      drill: planned(),
    }),
    /32 min 33 s.*events still work/,
  ],
  [
    'credentials-broken',
    'Pod Identity, stale',
    'proven!',
    facts({ node: { conditions: stale }, nma: { pod: podIdentityPod }, drill: planned() }),
    /Pod Identity/,
  ],
  [
    'credentials-broken',
    'only the log, none written',
    'proven!',
    facts({ node: { conditions: noNmaConditions }, nma: { log: credentialLog }, drill: planned() }),
    /ClusterRole is not the cause/,
  ],
  [
    'credentials-broken',
    'not written since the start',
    'proven!',
    facts({
      nma: { serviceAccount: annotated, pod: { ...irsaPod, startedAt: before(30) } },
      drill: planned(),
    }),
  ],
  [
    'credentials-broken',
    'an event is expected',
    'proven incidental',
    facts({
      node: { conditions: stale },
      nma: { serviceAccount: annotated, pod: irsaPod },
      drill: planned({ expectation: eventXid31 }),
    }),
  ],
  [
    'credentials-broken',
    'the pod is older than the annotation',
    'likely',
    facts({ node: { conditions: stale }, nma: { serviceAccount: annotated } }),
  ],
  [
    'credentials-broken',
    'conditions are written',
    'refuted',
    facts({ nma: { serviceAccount: annotated, pod: irsaPod } }),
    /40 s ago/,
  ],
  ['credentials-broken', 'no role', 'refuted', facts({ node: { conditions: stale } })],
  [
    'credentials-broken',
    'an account that may not be read',
    'unknown',
    facts({
      node: { conditions: stale },
      nma: {
        serviceAccount: undefined,
        kept: { serviceAccount: { unread: 'serviceaccounts is forbidden' } },
      },
    }),
    /could not be read: serviceaccounts is forbidden/,
  ],
  [
    'credentials-broken',
    'the whole node is old',
    'unknown',
    facts({ node: { conditions: allOld }, nma: { pod: irsaPod } }),
  ],
  ['credentials-broken', 'no NMA', 'irrelevant', facts({ nma: { ...gone.nma, serviceAccount: undefined } })],

  [
    'nma-not-running',
    'a record unanswered, no pod anywhere',
    'proven',
    facts({ node: { conditions: noNmaConditions }, ...gone, drill: silentLockup() }),
    /NMA is not running on that node/,
  ],
  [
    'nma-not-running',
    'last heartbeat from before the injection',
    'likely',
    facts({ node: { conditions: staleConditions(120) }, ...gone, drill: silentLockup() }),
  ],
  [
    'nma-not-running',
    'no pod on this node, old heartbeats',
    'proven',
    facts({ node: { conditions: stale }, nma: { pod: undefined } }),
  ],
  [
    'nma-not-running',
    'crash loop',
    'proven',
    facts({ node: { conditions: stale }, nma: { pod: crashing } }),
    /CrashLoopBackOff/,
  ],
  [
    'nma-not-running',
    'not Ready',
    'likely',
    facts({ node: { conditions: stale }, nma: { pod: pod(nmaPod, { ready: false }) } }),
  ],
  [
    'nma-not-running',
    'EKS Auto, record unanswered',
    'proven',
    facts({
      node: { conditions: stale },
      nma: { ...gone.nma, mayBeHostProcess: true },
      drill: silentLockup(),
    }),
    /host process/,
  ],
  [
    'nma-not-running',
    'a heartbeat since the injection',
    'refuted',
    facts({ ...gone, drill: silentLockup() }),
    /after the injection/,
  ],
  [
    'nma-not-running',
    'an event of it',
    'refuted',
    facts({
      node: { conditions: noNmaConditions },
      ...gone,
      drill: silentLockup({
        timeline: [entry('event', 'AppBlocked: Process', { source: 'eks-node-monitoring-agent' })],
      }),
    }),
  ],
  ['nma-not-running', 'Running', 'refuted', facts()],
  [
    'nma-not-running',
    'EKS Auto, nothing known',
    'unknown',
    facts({ node: { conditions: noNmaConditions }, nma: { ...gone.nma, mayBeHostProcess: true } }),
  ],
  [
    'nma-not-running',
    'nothing installed, nothing injected',
    'irrelevant',
    facts({ node: { conditions: noNmaConditions }, ...gone, drill: planned() }),
  ],
  ['nma-not-installed', 'nothing', 'likely', facts({ node: { conditions: noNmaConditions }, ...gone })],
  ['nma-not-installed', 'it lives all the same', 'refuted', facts(gone), /NMA lives/],
  ['nma-not-installed', 'installed', 'refuted', facts()],
  ['nma-not-installed', 'EKS Auto', 'irrelevant', facts({ nma: { ...gone.nma, mayBeHostProcess: true } })],
  [
    'arm64-gate',
    '1.4.3',
    'proven!',
    facts({
      node: { architecture: 'arm64' },
      nma: {
        version: version('v1.4.3-eksbuild.1'),
        pod: pod(nmaPod, { image: nmaImage('v1.4.3-eksbuild.1') }),
      },
      drill: planned(),
    }),
    /no GPU fault can ever be seen/,
  ],
  [
    'arm64-gate',
    'by its log',
    'proven!',
    facts({
      node: { architecture: 'arm64' },
      nma: {
        version: undefined,
        log: ['NVIDIA-based monitoring is disabled for the arm64 architecture in this version of the agent'],
      },
      drill: planned(),
    }),
  ],
  [
    'arm64-gate',
    'a build of one’s own',
    'likely',
    facts({ node: { architecture: 'arm64' }, nma: { version: version('1.6.4-ours') } }),
  ],
  [
    'arm64-gate',
    'fixed',
    'refuted',
    facts({ node: { architecture: 'arm64' }, nma: { version: version('v1.7.2') } }),
  ],
  [
    'arm64-gate',
    'EKS Auto',
    'refuted',
    facts({ node: { architecture: 'arm64' }, repair: { computeType: 'auto' } }),
  ],
  ['arm64-gate', 'amd64', 'refuted', facts({ drill: planned() })],
  [
    'arm64-gate',
    'no version',
    'unknown',
    facts({ node: { architecture: 'arm64' }, nma: { version: undefined } }),
  ],
  [
    'arm64-gate',
    'no number',
    'unknown',
    facts({ node: { architecture: 'arm64' }, nma: { version: version('latest') } }),
  ],
  [
    'arm64-gate',
    'a kernel rule',
    'irrelevant',
    facts({ node: { architecture: 'arm64' }, nma: { version: version('v1.6.4') }, drill: silentLockup() }),
  ],
  [
    'arm64-gate',
    'NCCL is read from the kernel log',
    'irrelevant',
    facts({
      node: { architecture: 'arm64' },
      drill: planned({ expectation: { ...eventXid31, reason: 'NvidiaNCCLError' } }),
    }),
  ],
  [
    'arm64-gate',
    'a reason of no version, by the kernel log',
    'unknown',
    facts({
      node: { architecture: 'arm64' },
      drill: planned({ parameters: { text: 'x' }, expectation: { ...eventXid31, reason: 'NvidiaXidError' } }),
    }),
    /how NMA would get to know of NvidiaXidError is not known/,
  ],
  [
    'arm64-gate',
    'a reason of no version, by the engine',
    'proven!',
    facts({
      node: { architecture: 'arm64' },
      nma: { version: version('v1.6.4') },
      drill: planned({ expectation: { ...eventXid31, reason: 'NvidiaXidError' } }),
    }),
  ],
  [
    'monitor-disabled',
    'absent',
    'proven!',
    facts({
      node: { conditions: healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady') },
      nma: { disabledPlugins: ['nvidia'] },
      drill: planned(),
    }),
    /nvidia monitor off/,
  ],
  [
    'monitor-disabled',
    'kernel monitor',
    'proven!',
    facts({
      node: { conditions: withCondition('KernelReady', { lastHeartbeatTime: before(9000) }) },
      nma: { disabledPlugins: ['kernel-monitor'] },
      drill: silentLockup(),
    }),
  ],
  [
    'monitor-disabled',
    'everything is old',
    'likely',
    facts({ node: { conditions: stale }, nma: { disabledPlugins: ['nvidia'] } }),
  ],
  [
    'monitor-disabled',
    'not restarted yet',
    'refuted',
    facts({ nma: { disabledPlugins: ['nvidia'] } }),
    /running NMA writes/,
  ],
  [
    'monitor-disabled',
    'a configuration that may not be read',
    'unknown',
    facts({
      node: { conditions: stale },
      nma: { kept: { configuration: { unread: 'configmaps is forbidden' } } },
    }),
    /could not be read: configmaps is forbidden/,
  ],
  [
    'monitor-disabled',
    'the same, but it is at work',
    'refuted',
    facts({ nma: { kept: { configuration: { unread: 'configmaps is forbidden' } } } }),
    /the running NMA writes/,
  ],
  ['monitor-disabled', 'another one', 'refuted', facts({ nma: { disabledPlugins: ['networking'] } })],
  [
    'monitor-disabled',
    'no monitor of NMA',
    'irrelevant',
    facts({
      drill: planned({
        expectation: { kind: 'event', type: 'Ready', reason: 'SoftLockup', withinSeconds: 60 },
      }),
    }),
  ],
  [
    'monitor-not-registered',
    'driver loaded later',
    'proven!',
    facts({
      node: { conditions: healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady') },
      nma: {
        log: ['{"msg":"skipping monitor registration: no nvidia hardware detected","monitor":"nvidia"}'],
      },
      drill: planned(),
    }),
    /looks once/,
  ],
  [
    'monitor-not-registered',
    'without the log line',
    'likely',
    facts({
      node: { conditions: healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady') },
    }),
  ],
  [
    'monitor-not-registered',
    'no GPU at all',
    'likely',
    facts({
      node: {
        offeredGpus: 0,
        conditions: healthyConditions.filter(({ type }) => type !== 'AcceleratedHardwareReady'),
      },
      agent: { inventory: inventory({ gpus: [], engines: [] }) },
    }),
    /nothing shows a GPU/,
  ],
  [
    'monitor-not-registered',
    'nothing is written',
    'unknown',
    facts({ node: { conditions: noNmaConditions } }),
  ],
  ['monitor-not-registered', 'there', 'refuted', facts()],
  ['monitor-not-registered', 'another type', 'irrelevant', facts({ drill: silentLockup() })],
  [
    'monitor-not-registered',
    'a Neuron line on a node with a GPU',
    'proven!',
    facts({ drill: plannedFault('neuron-error') }),
    /of another monitor \(NvidiaGPUIsReady\), and nothing shows a Neuron device/,
  ],
  [
    'monitor-not-registered',
    'a Neuron line where there is neither',
    'proven!',
    facts({
      node: { offeredGpus: 0, conditions: withoutGpuCondition, instanceType: 'm5.large' },
      nma: { log: [skippedNvidia, skippedNvidia.replaceAll('nvidia', 'neuron')] },
      drill: plannedFault('neuron-error'),
    }),
    /has no AcceleratedHardwareReady, and nothing shows a Neuron device/,
  ],
  [
    'monitor-not-registered',
    'a Neuron line, and the log is silent on Neuron',
    'likely',
    facts({
      node: { conditions: withoutGpuCondition, instanceType: 'm5.large' },
      nma: { log: [skippedNvidia] },
      drill: plannedFault('neuron-error'),
    }),
  ],
  [
    'monitor-not-registered',
    'a Neuron driver loaded later',
    'proven!',
    facts({
      node: { conditions: withoutGpuCondition, instanceType: 'trn1.2xlarge' },
      nma: { log: [skippedNvidia.replaceAll('nvidia', 'neuron')] },
      drill: plannedFault('neuron-error'),
    }),
    /no Neuron hardware when it started/,
  ],
  [
    'monitor-not-registered',
    'the same on a node of SageMaker',
    'proven!',
    facts({
      node: { conditions: withoutGpuCondition, instanceType: 'ml.trn1.32xlarge' },
      nma: { log: [skippedNvidia.replaceAll('nvidia', 'neuron')] },
      drill: plannedFault('neuron-error'),
    }),
    /no Neuron hardware when it started/,
  ],
  [
    'monitor-not-registered',
    'a Neuron line on a Neuron node',
    'refuted',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', { reason: 'NeuronAcceleratedHardwareIsReady' }),
      },
      nma: { log: [skippedNvidia] },
      drill: plannedFault('neuron-error'),
    }),
  ],
  [
    'monitor-not-registered',
    'a GPU fault on a Neuron node',
    'proven!',
    facts({
      node: {
        offeredGpus: 0,
        conditions: withCondition('AcceleratedHardwareReady', { reason: 'NeuronAcceleratedHardwareIsReady' }),
      },
      agent: { inventory: inventory({ gpus: [], engines: [] }) },
      drill: plannedFault('nccl-error'),
    }),
    /nothing shows a GPU/,
  ],
  [
    'monitor-not-registered',
    'a GPU fault, and Neuron was skipped',
    'refuted',
    facts({ nma: { log: [skippedNvidia.replaceAll('nvidia', 'neuron')] }, drill: planned() }),
  ],
  [
    'nma-not-writing',
    'old',
    'proven!',
    facts({ node: { conditions: stale }, drill: planned() }),
    /32 min 33 s old/,
  ],
  [
    'nma-not-writing',
    'an event is missing',
    'likely',
    facts({ node: { conditions: stale }, drill: silentLockup() }),
  ],
  [
    'nma-not-writing',
    'just within 5 min 15 s',
    'refuted',
    facts({ node: { conditions: staleConditions(314) } }),
  ],
  [
    'nma-not-writing',
    'the role says it better',
    'irrelevant',
    facts({ node: { conditions: stale }, nma: { pod: irsaPod } }),
  ],
  [
    'nma-not-writing',
    'not running',
    'irrelevant',
    facts({ node: { conditions: stale }, nma: { pod: undefined } }),
  ],
  ['nma-not-writing', 'the whole node is old', 'unknown', facts({ node: { conditions: allOld } })],
  // F3: a clock that is ahead makes nothing fresh.
  [
    'nma-not-writing',
    'heartbeats from the future',
    'unknown',
    facts({ node: { conditions: staleConditions(-600) } }),
  ],
  [
    'nma-not-writing',
    'the kubelet’s from the future, NMA’s as fresh',
    'unknown',
    facts({ node: { conditions: kubeletAhead(-3600, -3590) } }),
  ],
  [
    'nma-not-writing',
    'the kubelet’s from the future, NMA’s far behind it',
    'proven',
    facts({ node: { conditions: kubeletAhead(-3600, -3000) } }),
    /newest heartbeat of its conditions is 10 min old/,
  ],
  [
    'nma-not-writing',
    'clocks half a minute apart',
    'refuted',
    facts({ node: { conditions: staleConditions(-30) } }),
  ],
  [
    'credentials-broken',
    'a role, and heartbeats from the future',
    'unknown',
    facts({ node: { conditions: staleConditions(-600) }, nma: { pod: irsaPod } }),
  ],
  ['nma-not-writing', 'nothing written', 'unknown', facts({ node: { conditions: noNmaConditions } })],
  [
    'dcgm-server-missing',
    'DCGMError',
    'proven',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', { status: 'False', reason: 'DCGMError' }),
        taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }],
      },
      agent: { inventory: unread },
      nma: { dcgmServer: { daemonSet: true, pod: undefined } },
    }),
    /by default it does not tolerate the taint nvidia\.com\/gpu of the node/,
  ],
  [
    'dcgm-server-missing',
    'F14: its DaemonSet tolerates another taint only',
    'proven',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', { status: 'False', reason: 'DCGMError' }),
        taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }],
      },
      agent: { inventory: unread },
      nma: { dcgmServer: { daemonSet: true, tolerations: [spotOnly], pod: undefined } },
    }),
    /it does not tolerate the taint nvidia\.com\/gpu/,
  ],
  [
    'dcgm-server-missing',
    'F14: its DaemonSet tolerates all taints',
    'proven',
    facts({
      node: {
        conditions: withCondition('AcceleratedHardwareReady', { status: 'False', reason: 'DCGMError' }),
        taints: [{ key: 'nvidia.com/gpu', effect: 'NoSchedule' }],
      },
      agent: { inventory: unread },
      nma: {
        dcgmServer: {
          daemonSet: true,
          tolerations: [{ key: '', operator: 'Exists', value: '', effect: '' }],
          pod: undefined,
        },
      },
    }),
    /Why it may be left out: its affinity/,
  ],
  [
    'dcgm-server-missing',
    'no engine process',
    'proven!',
    facts({
      agent: { inventory: inventory({ engines: [] }) },
      nma: { dcgmServer: { daemonSet: false, pod: undefined } },
      drill: planned(),
    }),
  ],
  [
    'dcgm-server-missing',
    'Pending',
    'likely',
    facts({
      agent: { inventory: unread },
      nma: { dcgmServer: { daemonSet: true, pod: pod('dcgm-server-a', { phase: 'Pending', ready: false }) } },
    }),
  ],
  [
    'dcgm-server-missing',
    'another engine',
    'refuted',
    facts({ nma: { dcgmServer: { daemonSet: false, pod: undefined } } }),
    /another engine/,
  ],
  [
    'dcgm-server-missing',
    'DCGM_ADDRESS',
    'refuted',
    facts({
      nma: {
        pod: pod(nmaPod, { environment: { DCGM_ADDRESS: 'dcgm:5555' } }),
        dcgmServer: { daemonSet: false, pod: undefined },
      },
    }),
  ],
  ['dcgm-server-missing', 'Running', 'refuted', facts()],
  [
    'dcgm-server-missing',
    'its loss was the drill',
    'irrelevant',
    facts({
      nma: { dcgmServer: { daemonSet: false, pod: undefined } },
      drill: { ...plannedFault('engine-loss'), receipt: receipt([pausedResult]), waitedUntil: now },
    }),
  ],
  ...['engine-loss', 'double-bit-error', 'health-faulty-memory', 'cascade'].flatMap(
    (name): readonly RuleRow[] => [
      [
        'dcgm-server-missing',
        `${name} with no engine to write to`,
        'proven!',
        facts({
          agent: { inventory: inventory({ engines: [] }) },
          nma: { dcgmServer: { daemonSet: false, pod: undefined } },
          drill: plannedFault(name),
        }),
      ],
      [
        'nobody-listens',
        `${name} before the injection`,
        'proven',
        facts({ agent: { inventory: inventory({ engines: [deafEngine] }) }, drill: plannedFault(name) }),
      ],
      ['nobody-listens', `${name} on the right one`, 'refuted', facts({ drill: plannedFault(name) })],
      [
        'wrong-engine',
        `${name} for a deaf one`,
        'proven',
        facts({
          agent: { inventory: inventory({ engines: [deafEngine, engine()] }) },
          drill: withEngine(plannedFault(name), { pid: 777 }),
        }),
      ],
      [
        'arm64-gate',
        name,
        'proven!',
        facts({
          node: { architecture: 'arm64' },
          nma: { version: version('v1.6.4') },
          drill: plannedFault(name),
        }),
      ],
      [
        'monitor-disabled',
        name,
        'proven!',
        facts({
          node: { conditions: withoutGpuCondition },
          nma: { disabledPlugins: ['nvidia'] },
          drill: plannedFault(name),
        }),
      ],
    ],
  ),
  [
    'nobody-listens',
    'a paused engine says nothing',
    'irrelevant',
    facts({
      agent: { inventory: inventory({ engines: [engine({ ...deafEngine, problems: ['stopped'] })] }) },
      drill: { ...plannedFault('engine-loss'), receipt: receipt([pausedResult]), waitedUntil: now },
    }),
  ],
  ...['pod-stuck-terminating', 'ipamd-not-ready', 'soft-lockup', 'nccl-error'].flatMap(
    (name): readonly RuleRow[] => [
      [
        'nobody-listens',
        `${name} needs no engine`,
        'irrelevant',
        facts({ agent: { inventory: inventory({ engines: [deafEngine] }) }, drill: plannedFault(name) }),
      ],
      [
        'dcgm-server-missing',
        `${name} needs none`,
        'irrelevant',
        facts({
          agent: { inventory: inventory({ engines: [] }) },
          nma: { dcgmServer: { daemonSet: false, pod: undefined } },
          drill: plannedFault(name),
        }),
      ],
    ],
  ),
  [
    'engine-lost',
    'DCGMError',
    'proven',
    facts({
      agent: { inventory: unread },
      node: {
        conditions: withCondition('AcceleratedHardwareReady', { status: 'False', reason: 'DCGMError' }),
      },
      drill: planned(),
    }),
    /reports DCGMError/,
  ],
  [
    'engine-lost',
    'restarted',
    'proven',
    facts({
      nma: {
        dcgmServer: { daemonSet: true, pod: pod('dcgm-server-a', { startedAt: before(20), restarts: 1 }) },
      },
      drill: silent(),
    }),
    /restarted after the injection/,
  ],
  [
    'engine-lost',
    'unreachable',
    'proven',
    facts({ drill: refusedDrill('engine_unreachable', 'unable to establish a connection') }),
  ],
  [
    'engine-lost',
    'a line in the log',
    'likely',
    facts({ agent: { inventory: unread }, nma: { log: ['{"msg":"failed to health check DCGM"}'] } }),
  ],
  [
    'engine-lost',
    'F3: DCGMError for 8 days, connected now',
    'refuted',
    facts({ node: { conditions: lostFor(8 * 86_400) }, drill: planned() }),
    /connected to the engine with pid 4242.*an old state, which only a restart of NMA clears/,
  ],
  [
    'engine-lost',
    'F3: an old line, connected now',
    'refuted',
    facts({ nma: { log: ['{"msg":"failed to health check DCGM"}'] } }),
  ],
  [
    'engine-lost',
    'F3: DCGMError of before NMA’s start',
    'unknown',
    facts({
      agent: { inventory: unread },
      node: { conditions: lostFor(86_400, before(200)) },
      nma: { pod: pod(nmaPod, { startedAt: before(100) }) },
      drill: planned(),
    }),
    /before NMA started/,
  ],
  [
    'engine-lost',
    'F3: a listening engine that has trouble is not connected',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [engine({ problems: ['no answer within 5 s'] })] }) },
      node: { conditions: lostFor(600) },
      drill: planned(),
    }),
    /reports DCGMError \(since /,
  ],
  ['engine-lost', 'there', 'refuted', facts()],
  [
    'engine-lost',
    'nothing to read',
    'unknown',
    facts({
      agent: { inventory: unread },
      nma: { log: unread, dcgmServer: { daemonSet: false, pod: undefined } },
    }),
  ],
  [
    'engine-elsewhere',
    'F9: a Service, and no engine here',
    'proven!',
    facts({ ...behindService, drill: planned() }),
    /nothing on node n1 to inject into.*nvidia-dcgm\.gpu-operator\.svc:5555/,
  ],
  ['engine-elsewhere', 'F9: without a drill', 'proven', facts(behindService)],
  [
    'engine-elsewhere',
    'F9: an IP address, with an engine here that was asked',
    'likely',
    facts({
      ...behindService,
      nma: { ...behindService.nma, pod: pod(nmaPod, { environment: { DCGM_ADDRESS: '10.0.0.9:5555' } }) },
      agent: { inventory: inventory({ engines: [deafEngine] }) },
      drill: planned(),
    }),
  ],
  [
    'engine-elsewhere',
    'F9: seen beats configured',
    'refuted',
    facts({ nma: behindService.nma, drill: planned() }),
    /whatever DCGM_ADDRESS says/,
  ],
  [
    'engine-elsewhere',
    'F9: not read',
    'unknown',
    facts({ nma: behindService.nma, agent: { inventory: unread }, drill: planned() }),
  ],
  [
    'engine-elsewhere',
    'the chart’s own address',
    'irrelevant',
    facts({
      nma: { pod: pod(nmaPod, { environment: { DCGM_ADDRESS: 'localhost:5555' } }) },
      drill: planned(),
    }),
  ],
  [
    'engine-elsewhere',
    'a kernel rule needs none',
    'irrelevant',
    facts({ ...behindService, drill: silentLockup() }),
  ],
  [
    'dcgm-server-missing',
    'F9: configured on the node, and not there',
    'proven!',
    facts({
      nma: {
        pod: pod(nmaPod, { environment: { DCGM_ADDRESS: 'localhost:5555' } }),
        dcgmServer: { daemonSet: false, pod: undefined },
      },
      agent: { inventory: inventory({ engines: [] }) },
      drill: planned(),
    }),
  ],
  [
    'dcgm-server-missing',
    'F9: its pod runs, and no engine in it',
    'likely',
    facts({ agent: { inventory: inventory({ engines: [] }) }, drill: planned() }),
    /no host engine process is on the node/,
  ],
  [
    'dcgm-server-missing',
    'F9: a Service, and nothing read',
    'unknown',
    facts({ nma: behindService.nma, agent: { inventory: unread }, drill: planned() }),
  ],
  [
    'engine-without-gpus',
    'none',
    'likely',
    facts({ agent: { inventory: inventory({ engines: [engine({ gpus: [] })] }) } }),
    /NVML sees 1/,
  ],
  [
    'engine-without-gpus',
    'not listed',
    'unknown',
    facts({
      agent: { inventory: inventory({ engines: [engine({ gpus: [], problems: ['dcgmi timed out'] })] }) },
    }),
  ],
  [
    'gpu-missing',
    'NVML lacks one that the engine has',
    'proven incidental',
    facts({ agent: { inventory: inventory({ engines: [engine({ gpus: twoGpus })] }) } }),
    /NVML lists 1, the host engine with pid 4242 2 GPUs.*GPU-2 at 00000000:5E:00\.0: NVML does not list it/,
  ],
  [
    'gpu-missing',
    'the engine lacks one, and the drill was refused for it',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [engine({ gpus: [...twoGpus].slice(1) })] }) },
      drill: refusedDrill('gpu_not_in_engine', 'the engine does not know GPU-1'),
    }),
    /GPU-1 at 00000000:3B:00\.0: host engine 4242 does not list it/,
  ],
  [
    'gpu-missing',
    'F8: one is missing from both',
    'proven incidental',
    facts({ node: { expectedGpus: { count: 2, source: 'karpenter.k8s.aws/instance-gpu-count' } } }),
    /1 of the 2 GPUs that the node should have is missing from both/,
  ],
  ['gpu-missing', 'the same', 'refuted', facts(), /NVML lists 1, .* 1 GPUs, and they are the same/],
  [
    'gpu-missing',
    'an engine without any',
    'irrelevant',
    facts({ agent: { inventory: inventory({ engines: [engine({ gpus: [] })] }) } }),
  ],
  [
    'gpu-missing',
    'NVML does not answer',
    'unknown',
    facts({
      agent: {
        inventory: inventory({
          gpus: [],
          capabilities: [{ name: 'nvml', available: false, because: 'no library' }],
        }),
      },
    }),
    /no library/,
  ],
  // R5 of field-cases.md: the read-back of a journal fault is the kernel's.
  [
    'journal-missing',
    'R5: a node without journald',
    'proven',
    facts({
      agent: { inventory: inventory({ capabilities: [noJournal] }) },
      drill: {
        ...plannedFault('fork-failed'),
        receipt: receipt([kernelResult('kubelet: fork failed')]),
        waitedUntil: now,
      },
    }),
    /no journald runs on this node.* stands in the kernel log only/,
  ],
  [
    'journal-missing',
    'R5: before the injection',
    'proven!',
    facts({
      agent: { inventory: inventory({ capabilities: [noJournal] }) },
      drill: plannedFault('fork-failed'),
    }),
    /Nothing reaches the journal of node n1/,
  ],
  ['journal-missing', 'journald is there', 'refuted', facts({ drill: plannedFault('fork-failed') })],
  [
    'journal-missing',
    'no inventory',
    'unknown',
    facts({ agent: { inventory: unread }, drill: plannedFault('fork-failed') }),
  ],
  ['journal-missing', 'another fault', 'irrelevant', facts({ drill: planned() })],
  [
    'journal-missing',
    'R5: journald does not read the kernel log',
    'proven',
    facts({ drill: journalDrill(notInJournal, 'failed') }),
    /in the kernel log of node n1 and not in the journal.*ReadKMsg=no/,
  ],
  [
    'journal-missing',
    'seen there',
    'refuted',
    facts({ drill: journalDrill(inJournal) }),
    /in the journal, \/var\/log\/journal, under kubelet/,
  ],
  ['journal-missing', 'not looked for', 'irrelevant', facts({ drill: journalDrill(journalNotRead) })],
  [
    'journal-unread',
    'R8: the agent could not look, and nothing came',
    'likely',
    facts({ drill: journalDrill(journalNotRead) }),
    /could not be checked \(the agent lacks what it takes\): the agent has no nsenter/,
  ],
  ['journal-unread', 'seen there', 'refuted', facts({ drill: journalDrill(inJournal) })],
  ['journal-unread', 'another fault', 'irrelevant', facts({ drill: planned() })],
  [
    'agent-incapable',
    'R8: an agent without nsenter',
    'proven',
    facts({
      drill: refusedDrill('agent_incapable', 'the agent has no nsenter', { remedy: 'install util-linux' }),
    }),
    /cannot carry the order out: the agent has no nsenter.*says nothing about NMA/,
  ],
  [
    'agent-incapable',
    'R8: before the injection',
    'proven!',
    facts({ agent: { inventory: inventory({ engines: [unaskedEngine] }) }, drill: planned() }),
    /cannot ask host engine 4242: the agent has no nsenter/,
  ],
  [
    'engine-lost',
    'R8: what the agent lacks is not the engine’s loss',
    'refuted',
    facts({ drill: refusedDrill('agent_incapable', 'the agent has no nsenter') }),
  ],
  [
    'nobody-listens',
    'R8: an engine that the agent cannot ask may be NMA’s',
    'unknown',
    facts({ agent: { inventory: inventory({ engines: [unaskedEngine] }) }, drill: planned() }),
  ],
  ['agent-incapable', 'the agent can ask', 'refuted', facts({ drill: planned() })],
  [
    'agent-incapable',
    'R8: without hostPID, before the injection',
    'proven!',
    facts({ agent: { inventory: blindInventory }, drill: planned() }),
    /lacks the processes of the host \(hostPID\).*says nothing about NMA/,
  ],
  [
    'agent-incapable',
    'R8: without hostPID, no fault asked for',
    'proven',
    facts({ agent: { inventory: blindInventory } }),
    /lacks the processes of the host/,
  ],
  [
    'agent-incapable',
    'R8: without hostPID, a fault of the kernel log',
    'irrelevant',
    facts({ agent: { inventory: blindInventory }, drill: plannedFault('task-blocked') }),
  ],
  [
    'agent-incapable',
    'R8: no kernel log, a fault of the kernel log',
    'proven!',
    facts({
      agent: { inventory: inventory({ agentLacks: [noKernelLog] }) },
      drill: plannedFault('task-blocked'),
    }),
    /lacks the kernel log: .*EACCES/,
  ],
  [
    'agent-incapable',
    'R8: no kernel log, a fault of the host engine',
    'refuted',
    facts({ agent: { inventory: inventory({ agentLacks: [noKernelLog] }) }, drill: planned() }),
  ],
  [
    'dcgm-server-missing',
    'R8: without hostPID no engine is seen, which says nothing',
    'refuted',
    facts({ agent: { inventory: blindInventory }, drill: planned() }),
  ],
  [
    'engine-elsewhere',
    'R8: without hostPID no engine is seen, which says nothing',
    'unknown',
    facts({ ...behindService, agent: { inventory: blindInventory }, drill: planned() }),
  ],
  [
    'nobody-listens',
    'R8: without hostPID no engine is seen, which says nothing',
    'irrelevant',
    facts({ agent: { inventory: blindInventory }, drill: planned() }),
  ],
  [
    'engine-lost',
    'R8: without hostPID no engine is seen, which says nothing',
    'refuted',
    facts({ agent: { inventory: blindInventory }, drill: planned() }),
  ],
  // F5 of field-cases.md: what dcgmi prints in place of a GPU, and that its list may be a part only.
  [
    'gpu-missing',
    'F5 (c): the engine cannot read a GPU',
    'proven incidental',
    facts({
      agent: {
        inventory: inventory({
          engines: [engine({ unreadableGpus: [{ id: 1, because: 'GPU is lost', lost: true }] })],
        }),
      },
    }),
    /cannot read GPU 1: GPU is lost\./,
  ],
  [
    'gpu-missing',
    'F5 (d): more GPUs than the active ones',
    'proven incidental',
    facts({ agent: { inventory: inventory({ engines: [engine({ inactiveGpus: 'Use -a flag' })] }) } }),
    /lists 1 active GPUs and knows others that are not active/,
  ],
  [
    'gpu-missing',
    'F5: a list that was cut off lacks nothing for certain',
    'unknown',
    facts({
      agent: {
        inventory: inventory({
          gpus: [0, 1].map((index) => ({
            ...gpuFacts,
            index,
            uuid: `GPU-${index + 1}`,
            pci: `00000000:3${index}:00.0`,
          })),
          engines: [
            engine({
              gpus: [{ id: 0, name: '', pci: '00000000:30:00.0', uuid: 'GPU-1' }],
              gpuListIncomplete: 'the engine counts 2 GPUs and lists 1',
            }),
          ],
        }),
      },
    }),
    /may lack some: the engine counts 2 GPUs and lists 1/,
  ],
  [
    'engine-without-gpus',
    'F5: it can read none of its GPUs',
    'proven',
    facts({
      agent: {
        inventory: inventory({
          engines: [engine({ gpus: [], unreadableGpus: [{ id: 0, because: 'GPU is lost', lost: true }] })],
        }),
      },
    }),
    /cannot read GPU 0: GPU is lost\./,
  ],
  [
    'engine-without-gpus',
    'F5: none is active',
    'proven',
    facts({
      agent: { inventory: inventory({ engines: [engine({ gpus: [], inactiveGpus: 'Use -a flag' })] }) },
    }),
    /has no active GPU/,
  ],
  [
    'nobody-listens',
    'F5: an engine that has trouble with a GPU was asked all the same',
    'proven',
    facts({
      agent: {
        inventory: inventory({
          engines: [
            engine({
              nma: { listening: false, evidence: 'no field group "watch"', answered: true },
              problems: ['the list ended with DCGM_ST_MODULE_NOT_LOADED (-33)'],
            }),
          ],
        }),
      },
    }),
  ],
  ['gpu-missing', 'no inventory', 'unknown', facts({ agent: { inventory: unread } })],
  ['gpu-missing', 'a drill without GPU', 'irrelevant', facts({ drill: silentLockup() })],
  ['engine-without-gpus', 'has them', 'refuted', facts()],
  ['engine-without-gpus', 'no inventory', 'unknown', facts({ agent: { inventory: unread } })],
  [
    'already-false',
    'the same fault',
    'proven!',
    facts({ drill: silent({ conditionBefore: falseCondition('NvidiaXID79Error', message79) }) }),
    /nothing but the heartbeat/,
  ],
  [
    'already-false',
    'another fault',
    'likely',
    facts({ drill: silent({ conditionBefore: falseCondition('DCGMHealthCode101', 'code 101') }) }),
    /does not move the transition/,
  ],
  [
    'already-false',
    'before the injection',
    'likely',
    facts({ node: { conditions: withCondition('AcceleratedHardwareReady', { status: 'False' }) } }),
  ],
  ['already-false', 'True', 'refuted', facts({ drill: silent() })],
  ['already-false', 'not kept', 'unknown', facts({ drill: silent({ conditionBefore: undefined }) })],
  ['already-false', 'an event', 'irrelevant', facts({ drill: silentLockup() })],
  [
    'nma-just-started',
    'just before',
    'likely',
    facts({ nma: { pod: pod(nmaPod, { startedAt: before(110) }) }, drill: silent() }),
    /20 s before/,
  ],
  [
    'nma-just-started',
    'since',
    'likely',
    facts({ nma: { pod: pod(nmaPod, { startedAt: before(30), restarts: 1 }) }, drill: silent() }),
    /1 min after/,
  ],
  ['nma-just-started', 'long before', 'refuted', facts({ drill: silent() })],
  [
    'nma-just-started',
    'not known',
    'unknown',
    facts({ nma: { pod: pod(nmaPod, { startedAt: null }) }, drill: silent() }),
  ],
  ['nma-just-started', 'nothing injected', 'irrelevant', facts({ drill: planned() })],
  [
    'wait-too-short',
    'health check',
    'likely',
    facts({ drill: silent({ expectation: { ...conditionXid31, reason: 'DCGMHealthCode101' } }) }),
    /up to 5 min 16 s/,
  ],
  [
    'wait-too-short',
    'a reason of no version',
    'unknown',
    facts({ drill: silent({ expectation: { ...conditionXid31, reason: 'NvidiaXidError' } }) }),
  ],
  ['wait-too-short', 'long enough', 'refuted', facts({ drill: silent() })],
  ['wait-too-short', 'not waited', 'irrelevant', facts({ drill: planned() })],

  [
    'karpenter-gate-off',
    'default',
    'proven',
    facts({ repair: { karpenter: karpenterOff(undefined) } }),
    /default is off/,
  ],
  [
    'karpenter-gate-off',
    'switched off',
    'proven',
    facts({ repair: { karpenter: karpenterOff(false) }, drill: reacted() }),
    /switched off/,
  ],
  ['karpenter-gate-off', 'on', 'refuted', facts()],
  ['karpenter-gate-off', 'a managed group', 'irrelevant', facts({ repair: managed })],
  [
    'karpenter-too-old',
    '1.0',
    'proven',
    facts({ repair: { karpenter: karpenterWith({ image: `${karpenterImage}:1.0.6` }) } }),
    /Karpenter 1\.0\.6 has no node repair; 1\.1\.0 is the first/,
  ],
  ['karpenter-too-old', '1.14', 'refuted', facts()],
  ['karpenter-too-old', 'a managed group', 'irrelevant', facts({ repair: managed })],
  [
    'karpenter-not-running',
    'no pod is ready',
    'proven',
    facts({ repair: { karpenter: karpenterWith({ readyReplicas: 0 }) } }),
    /no pod of kube-system\/karpenter is ready/,
  ],
  [
    'karpenter-not-running',
    'two pods',
    'refuted',
    facts({ repair: { karpenter: karpenterWith({ readyReplicas: 2 }) } }),
  ],
  ['karpenter-not-running', 'a managed group', 'irrelevant', facts({ repair: managed })],
  [
    'repair-vetoed',
    'F1: annotation, Karpenter 1.15',
    'proven',
    facts({
      node: { annotations: { 'karpenter.sh/do-not-repair': 'true' } },
      repair: { karpenter: karpenterWith({ image: `${karpenterImage}:1.15.0` }) },
      drill: planned(),
    }),
    /do-not-repair: "true" on node n1/,
  ],
  [
    'repair-vetoed',
    'annotation, Karpenter 1.14 ignores it',
    'refuted',
    facts({ node: { annotations: { 'karpenter.sh/do-not-repair': 'true' } } }),
  ],
  ['repair-vetoed', 'a managed group', 'irrelevant', facts({ repair: managed })],
  [
    'repair-budget',
    'none for reason Unhealthy, Karpenter 1.15',
    'proven',
    facts({
      repair: {
        karpenter: karpenterWith({ image: `${karpenterImage}:1.15.0` }),
        budgets: [{ nodes: '0', reasons: ['Unhealthy'] }],
      },
    }),
    /budgets of NodePool gpu allow 0 nodes/,
  ],
  ['repair-budget', 'Karpenter 1.14 ignores it', 'refuted', facts({ repair: { budgets: [{ nodes: '0' }] } })],
  ['repair-budget', 'a managed group', 'irrelevant', facts({ repair: managed })],
  [
    'repair-no-action',
    'DCGMError',
    'proven',
    facts({
      repair: managed,
      drill: planned({
        order: { method: 'PauseHostEngine', body: { forSeconds: 300 } },
        expectation: { ...conditionXid31, reason: 'DCGMError' },
      }),
    }),
    /action for AcceleratedHardwareReady=False with reason DCGMError is none/,
  ],
  [
    'repair-no-action',
    'Karpenter asks for no reason',
    'refuted',
    facts({ drill: planned({ expectation: { ...conditionXid31, reason: 'DCGMError' } }) }),
  ],
  ['repair-no-action', 'an event is enough', 'irrelevant', facts({ drill: silentLockup() })],
  [
    'repair-threshold',
    'Karpenter, 2 of 5',
    'proven',
    facts({ repair: { peers: peers(5, 1) } }),
    /2 of 5.*allows 1/,
  ],
  ['repair-threshold', 'Karpenter, 2 of 6', 'refuted', facts({ repair: { peers: peers(6, 1) } })],
  [
    'repair-threshold',
    'EKS, 2 of 6',
    'proven',
    facts({ repair: { ...managed, peers: peers(6, 1) } }),
    /33 %/,
  ],
  ['repair-threshold', 'EKS, 5 of 5', 'refuted', facts({ repair: { ...managed, peers: peers(5, 4) } })],
  ['repair-threshold', 'nobody', 'irrelevant', facts({ repair: { nodePool: undefined } })],
  [
    'repair-not-due',
    'a minute old',
    'proven',
    facts({ node: { conditions: turned }, drill: reacted() }),
    /will replace the node in 9 min \(2026-11-23T03:14:00.000Z\)/,
  ],
  [
    'repair-not-due',
    'over',
    'refuted',
    facts({
      node: { conditions: turned.map((row) => ({ ...row, lastTransitionTime: before(700) })) },
      drill: reacted(),
    }),
  ],
  ['repair-not-due', 'no reaction', 'irrelevant', facts({ drill: silent() })],
  [
    'repair-not-enabled',
    'nobody owns the node',
    'proven',
    facts({ repair: { nodePool: undefined } }),
    /Nothing repairs this node/,
  ],
  ['repair-not-enabled', 'a managed group', 'likely', facts({ repair: managed }), /does not show it/],
  ['repair-not-enabled', 'no Karpenter found', 'likely', facts({ repair: { karpenter: undefined } })],
  [
    'repair-not-enabled',
    'EKS says that the group has it off',
    'proven',
    facts({ repair: { ...managed, settings: { nodeGroup: { enabled: false } } } }),
    /auto repair of node group .* is off/,
  ],
  [
    'repair-not-enabled',
    'F10: HyperPod',
    'unknown',
    facts({
      node: { labels: { 'sagemaker.amazonaws.com/compute-type': 'hyperpod' } },
    }),
    /HyperPod is responsible/,
  ],
  [
    'repair-not-enabled',
    'self-managed',
    'proven',
    facts({ node: { labels: { 'alpha.eksctl.io/nodegroup-name': 'own' } } }),
    /self-managed node group of eksctl own, which has no repair/,
  ],
  ['repair-not-enabled', 'Karpenter', 'refuted', facts()],
  [
    'repair-not-enabled',
    'the gate says it better',
    'irrelevant',
    facts({ repair: { karpenter: karpenterOff(false) } }),
  ],
  ...missedRows([
    ['taint', ['condition-recovered', 'rebooted-instead', 'removed-by-other']],
    ['drain', ['pods-held', 'pods-terminating']],
    ['reboot', ['replaced-instead', 'not-rebooted', 'not-ready-again']],
    ['termination', ['repair-undone', 'termination-held', 'instance-not-terminated']],
    [
      'replacement',
      ['no-nodeclaim', 'no-capacity', 'not-registered', 'not-initialized', 'new-node-not-ready'],
    ],
  ]),
];

/** Of each link: the cause that it was missed by, another one, and none. */
function missedRows(
  links: readonly (readonly [link: string, causes: readonly LinkCause[]])[],
): readonly RuleRow[] {
  return links.flatMap(([link, causes]) =>
    causes.flatMap((code): RuleRow[] => {
      const by = (cause: LinkCause, missed = link) =>
        facts({ drill: { ...reacted(), missed: { link: missed, cause, because: 'seen so' } } });
      const [other = code] = causes.filter((one) => one !== code);
      return [
        [code, 'it shows', 'proven', by(code), /: seen so\.$/],
        [code, 'another cause shows', 'refuted', by(other)],
        [code, 'another link', 'irrelevant', by(code, 'order')],
      ];
    }),
  );
}
