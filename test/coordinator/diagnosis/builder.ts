import { joinGpus } from '../../../agent/inventory/gpu-join.ts';
import { detectionOf } from '../../../coordinator/catalogue/nma/known-reasons.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { planTarget } from '../../../coordinator/plan/plan.ts';
import type { TimelineEntry } from '../../../coordinator/store/timeline.ts';
import type { DrillFacts, Facts, PodFacts } from '../../../coordinator/view/facts.ts';
import type { NodeCondition } from '../../../coordinator/view/node.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import type { HostEngineFacts, Inventory } from '../../../shared/schemas/inventory.ts';
import type { Receipt, SurfaceResult } from '../../../shared/schemas/receipt.ts';
import { logFiles } from '../../../shared/surfaces/log-file.ts';

/** When the facts are read; the injection was 90 s before, and the wait has just ended. */
export const now = '2026-11-23T03:05:00.000Z';
export const injectedTime = '2026-11-23T03:03:30.000Z';

export function before(seconds: number): string {
  return `${new Date(Date.parse(now) - seconds * 1000).toISOString().slice(0, 19)}Z`;
}

export function condition(type: string, over: Partial<NodeCondition> = {}): NodeCondition {
  return {
    type,
    status: 'True',
    reason: `${type}IsFine`,
    message: `Monitoring for ${type} is active`,
    lastHeartbeatTime: before(40),
    lastTransitionTime: before(86_400),
    ...over,
  };
}

export function pod(name: string, over: Partial<PodFacts> = {}): PodFacts {
  return {
    namespace: 'kube-system',
    name,
    uid: `uid-of-${name}`,
    phase: 'Running',
    ready: true,
    startedAt: before(86_400),
    restarts: 0,
    reason: undefined,
    image: nmaImage('v1.6.5-eksbuild.1'),
    serviceAccount: 'eks-node-monitoring-agent',
    environment: { HOST_ROOT: '/host', MY_NODE_NAME: '' },
    volumes: ['host-root'],
    ...over,
  };
}

export function nmaImage(tag: string): string {
  return `602401143452.dkr.ecr.ap-northeast-2.amazonaws.com/eks/eks-node-monitoring-agent:${tag}`;
}

export function engine(over: Partial<HostEngineFacts> = {}): HostEngineFacts {
  return {
    pid: 4242,
    commandLine: ['nv-hostengine', '-n'],
    executable: '/usr/bin/nv-hostengine',
    container: 'c0ffee',
    podUid: 'uid-of-dcgm-server-a',
    address: '127.0.0.1:5555',
    listening: true,
    version: '4.5.2',
    dcgmi: '/usr/bin/dcgmi',
    gpus: [{ id: 0, name: 'NVIDIA H100', pci: '00000000:3B:00.0', uuid: 'GPU-1' }],
    nma: {
      listening: true,
      evidence: 'field group "watch" (112, 856, 857, 170, 174); watchers: 1 on field 856 of GPU 0',
    },
    problems: [],
    ...over,
  };
}

export const deafEngine = engine({
  pid: 777,
  podUid: 'uid-of-dcgm-exporter-x',
  address: '127.0.0.1:5556',
  nma: {
    listening: false,
    evidence: 'no field group "watch" of the node monitoring agent; watchers: field 856 has no watcher',
  },
});

/** The identities follow from GPUs and engines, as in the agent. */
export function inventory(over: Partial<Inventory> = {}): Inventory {
  const whole = inventoryOf(over);
  const nvml = whole.capabilities.some(({ name, available }) => name === 'nvml' && !available)
    ? ({ available: false, because: 'no driver' } as const)
    : ({ available: true, gpus: whole.gpus } as const);
  return { ...whole, identities: joinGpus(nvml, whole.engines), ...over };
}

function inventoryOf(over: Partial<Inventory>): Inventory {
  return {
    node: 'n1',
    agentVersion: '0.1.0',
    armed: true,
    bootId: 'b0',
    architecture: 'amd64',
    driverVersion: '580.105.08',
    capabilities: [{ name: 'dcgm', available: true }],
    gpus: [
      {
        index: 0,
        uuid: 'GPU-1',
        pci: '00000000:3B:00.0',
        minor: 0,
        name: 'NVIDIA H100',
        driverVersion: '580.105.08',
        temperatureCelsius: 40,
        powerWatts: 100,
        smClockMhz: 1000,
        memoryClockMhz: 1000,
        ecc: null,
        remappedRows: null,
        migEnabled: false,
        notes: [],
      },
    ],
    engines: [engine()],
    identities: [],
    logFiles: Object.values(logFiles).map((path) => ({ path, state: 'ready' })),
    ...over,
  };
}

export type Change = {
  readonly node?: Partial<Facts['node']>;
  readonly nma?: Partial<Facts['nma']>;
  readonly agent?: Partial<Facts['agent']>;
  /** Owners are labels of the node; undefined takes one away. */
  readonly repair?: Partial<Facts['repair']> & {
    readonly nodePool?: string | undefined;
    readonly nodeGroup?: string | undefined;
    readonly computeType?: string | undefined;
  };
  readonly drill?: DrillFacts;
};

/** A healthy amd64 GPU node of Karpenter's, with everything in its place; `change` breaks one thing. */
export function facts(change: Change = {}): Facts {
  const { drill } = change;
  const { nodePool, nodeGroup, computeType, ...repair } = { nodePool: 'gpu', ...change.repair };
  return {
    at: now,
    view: [],
    node: {
      name: 'n1',
      uid: 'node-uid-1',
      createdAt: before(86_400),
      labels: {
        ...(nodePool === undefined ? {} : { 'karpenter.sh/nodepool': nodePool }),
        ...(nodeGroup === undefined ? {} : { 'eks.amazonaws.com/nodegroup': nodeGroup }),
        ...(computeType === undefined ? {} : { 'eks.amazonaws.com/compute-type': computeType }),
      },
      annotations: {},
      architecture: 'amd64',
      instanceType: 'p5.4xlarge',
      hasGpu: true,
      offeredGpus: 1,
      expectedGpus: { count: 1, source: 'node.kubernetes.io/instance-type' },
      conditions: healthyConditions,
      taints: [],
      ...change.node,
    },
    nma: {
      daemonSet: {
        namespace: 'kube-system',
        name: 'eks-node-monitoring-agent',
        image: nmaImage('v1.6.5-eksbuild.1'),
        nodeSelector: {},
      },
      pod: pod('eks-node-monitoring-agent-a'),
      serviceAccount: { namespace: 'kube-system', name: 'eks-node-monitoring-agent', annotations: {} },
      mayBeHostProcess: false,
      version: version('v1.6.5-eksbuild.1'),
      log: ['{"level":"info","msg":"reported node conditions"}'],
      disabledPlugins: [],
      dcgmServer: { daemonSet: true, pod: pod('dcgm-server-a') },
      ...change.nma,
    },
    agent: { url: 'http://10.0.0.1:9475', inventory: inventory(), ...change.agent },
    repair: {
      peers: peers(6, 0),
      karpenter: {
        deployment: 'kube-system/karpenter',
        image: 'public.ecr.aws/karpenter/controller:1.14.1',
        nodeRepairGate: true,
        evidence: 'feature gates "NodeRepair=true"',
      },
      doNotDisruptPods: [],
      displacedPods: ['default/job-0'],
      budgets: { unread: 'NodePools were not read' },
      ...repair,
    },
    ...(drill === undefined ? {} : { drill }),
  };
}

/** Nodes judged together, and how many of the others have a GPU condition that is False. */
export function peers(total: number, unhealthyOthers: number): Facts['repair']['peers'] {
  return {
    total,
    unhealthyOthers: unhealthyOthers === 0 ? {} : { 'AcceleratedHardwareReady=False': unhealthyOthers },
  };
}

export function version(tag: string): NonNullable<Facts['nma']['version']> {
  const text = nmaImage(tag);
  return { text, ...findNmaVersion(text) };
}

export const healthyConditions: readonly NodeCondition[] = [
  condition('Ready', { reason: 'KubeletReady', lastHeartbeatTime: before(1) }),
  condition('MemoryPressure', { status: 'False', lastHeartbeatTime: before(1) }),
  condition('KernelReady'),
  condition('StorageReady'),
  condition('NetworkingReady'),
  condition('ContainerRuntimeReady'),
  condition('AcceleratedHardwareReady', { reason: 'NvidiaGPUIsReady' }),
];

/** All of NMA's conditions as old as that, the kubelet's fresh. */
export function staleConditions(
  seconds: number,
  over: Partial<NodeCondition> = {},
): readonly NodeCondition[] {
  return healthyConditions.map((row) =>
    ['Ready', 'MemoryPressure'].includes(row.type)
      ? row
      : {
          ...row,
          lastHeartbeatTime: before(seconds),
          ...(row.type === 'AcceleratedHardwareReady' ? over : {}),
        },
  );
}

export function withCondition(type: string, over: Partial<NodeCondition>): readonly NodeCondition[] {
  return healthyConditions.map((row) => (row.type === type ? { ...row, ...over } : row));
}

const expectXid79 = {
  kind: 'condition',
  type: 'AcceleratedHardwareReady',
  reason: 'NvidiaXID79Error',
  message: 'detected XID-79 on the instance, review kernel logs for additional information.',
  withinSeconds: 50,
} as const;

/** Something of a drill is another; with parameters, the order is the one that they make. */
type DrillChange = Partial<DrillFacts> & { readonly parameters?: Readonly<Record<string, unknown>> };

/** Xid 79 on the engine, before anything is injected. */
export function planned({ parameters, expectation = expectXid79, ...over }: DrillChange = {}): DrillFacts {
  return {
    fault: 'xid',
    order: orderOf(parameters ?? { xid: 79, surfaces: ['dcgm'] }),
    // As a plan resolves it.
    expectation: { ...detectionOf(expectation), ...expectation },
    receipt: undefined,
    refusal: undefined,
    conditionBefore: undefined,
    timeline: [],
    waitedUntil: undefined,
    ...over,
  };
}

/** Xid 79 on the engine, injected and read back; 90 s later nothing has come. */
export function silent(over: DrillChange = {}): DrillFacts {
  return planned({
    receipt: receipt([dcgmResult()]),
    conditionBefore: condition('AcceleratedHardwareReady'),
    waitedUntil: now,
    ...over,
  });
}

/** What `fault` says by the parameters alone: a number and surfaces, a field, or else a text. */
function orderOf(parameters: Readonly<Record<string, unknown>>): DrillFacts['order'] {
  const gpu = { index: 0 };
  if ('field' in parameters) return parseCall('InjectDcgmField', { gpu, ...parameters });
  if ('xid' in parameters) return parseCall('InjectXid', { gpu, surfaces: ['dcgm'], ...parameters });
  return parseCall('WriteKernelMessage', { text: 'x', ...parameters });
}

/** A fault of the catalogue before anything is injected, as a plan has it. */
export function plannedFault(name: string, parameters: Readonly<Record<string, unknown>> = {}): DrillFacts {
  const { order, expectation } = planTarget({
    spec: { fault: { name, parameters } },
    node: 'n1',
    orderId: 'o-1',
    marker: 'abc123',
    context: { nma: findNmaVersion('1.6.5') },
  });
  return planned({ fault: name, order, expectation });
}

export function refusedDrill(
  reason: string,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
  over: DrillChange = {},
): DrillFacts {
  return planned({ refusal: { reason, message, details }, waitedUntil: now, ...over });
}

export function receipt(surfaces: readonly SurfaceResult[], asked: Record<string, unknown> = {}): Receipt {
  return {
    orderId: 'o-1',
    node: 'n1',
    method: 'InjectXid',
    asked,
    state: 'ended',
    acceptedAt: injectedTime,
    endedAt: injectedTime,
    replayed: false,
    surfaces: [...surfaces],
  };
}

export function dcgmResult(over: Partial<SurfaceResult> = {}, watchers = 2): SurfaceResult {
  const after = {
    fieldTag: 'xid_errors',
    watched: true,
    samples: 2,
    newest: '2026-11-23T03:03:31.000Z',
    oldest: null,
    watchers,
    monitorIntervalMs: 10_000,
    maxAgeSeconds: 3600,
    lastStatus: 0,
  };
  return {
    surface: 'dcgm',
    outcome: 'injected',
    written: 'dcgmi test --inject --gpuid 0 -f 230 -v 79',
    readBack: { before: { ...after, samples: 1 }, after },
    engine: {
      pid: 4242,
      podUid: 'uid-of-dcgm-server-a',
      container: 'c0ffee',
      version: '4.5.2',
      address: '127.0.0.1:5555',
      listeners: 'field group "watch"',
    },
    at: injectedTime,
    undo: 'restart the host engine, then NMA',
    notes: [],
    ...over,
  };
}

export function kernelResult(text: string, over: Partial<SurfaceResult> = {}): SurfaceResult {
  return {
    surface: 'kernel-log',
    outcome: 'injected',
    written: text,
    readBack: {
      sequence: 4711,
      record: `11,4711,831384313,-;${text}`,
      priority: 11,
      microseconds: 831_384_313,
    },
    at: injectedTime,
    undo: 'none before reboot',
    notes: [],
    ...over,
  };
}

export const lockupText = 'watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [xidrill:4321]';

/** A soft lockup in the kernel log: every version of NMA answers it with an event. */
export function silentLockup(over: DrillChange = {}): DrillFacts {
  return planned({
    fault: 'soft-lockup',
    parameters: { text: lockupText },
    expectation: {
      kind: 'event',
      type: 'KernelReady',
      reason: 'SoftLockup',
      message: 'CPU stuck for 23s',
      withinSeconds: 35,
    },
    receipt: { ...receipt([kernelResult(lockupText)], { text: lockupText }), method: 'WriteKernelMessage' },
    waitedUntil: now,
    ...over,
  });
}

export function entry(
  kind: TimelineEntry['kind'],
  text: string,
  over: Partial<TimelineEntry> = {},
): TimelineEntry {
  const fact: Partial<TimelineEntry> =
    kind === 'event'
      ? {
          event: {
            uid: text,
            type: 'Warning',
            reason: 'AcceleratedHardwareReady',
            message: text,
            count: 1,
            component: 'eks-node-monitoring-agent',
          },
        }
      : kind === 'condition'
        ? { condition: { type: 'AcceleratedHardwareReady', status: 'False', reason: '', message: text } }
        : {};
  return {
    at: before(60),
    clock: 'node',
    kind,
    source: 'events/default/n1.1',
    text,
    match: false,
    ...fact,
    ...over,
  };
}

/** The condition turned as expected; what follows is the repair. */
export function reacted(over: DrillChange = {}): DrillFacts {
  return silent({
    timeline: [
      entry('condition', 'AcceleratedHardwareReady False NvidiaXID79Error', {
        match: true,
        source: 'nodes/n1 status.conditions[AcceleratedHardwareReady]',
        condition: {
          type: 'AcceleratedHardwareReady',
          status: 'False',
          reason: 'NvidiaXID79Error',
          message: 'detected XID-79 on the instance, review kernel logs for additional information.',
        },
      }),
    ],
    ...over,
  });
}
