import { fieldById } from '../../shared/dcgm-fields/find.ts';
import { explainMiss } from '../../shared/dcgm-fields/reach.ts';
import type { Reason } from '../../shared/errors.ts';
import type { FaultRow } from '../../shared/faults/row.ts';
import { gpuConditionType, monitors } from '../../shared/nma/conditions.ts';
import type { Part } from '../../shared/orders/script.ts';
import { type PciAddress, pciToNvml, pciToXid } from '../../shared/pci.ts';
import type { Expectation } from '../../shared/schemas/expectation.ts';
import type { AgentOrder } from '../../shared/schemas/experiment.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { EngineSelector, GpuSelector } from '../../shared/schemas/order.ts';
import { parseXidLine } from '../../shared/xid/line.ts';
import { addressOf, gpuIdIn, isNamed, judgingVersion, type KnownGpu, type TargetContext } from './context.ts';
import { nmaGate } from './gate.ts';
import type { PlannedRefusal } from './schema.ts';

/** What the agent and the preflight would look at, as far as it is known before they are asked. */
export type RefusalContext = {
  readonly node: string;
  readonly row: FaultRow;
  readonly order: Omit<AgentOrder, 'orderId'>;
  readonly parts: readonly Part[];
  readonly expectation: Expectation;
  readonly target: TargetContext;
  readonly selector: GpuSelector | undefined;
  readonly gpu: KnownGpu | undefined;
  readonly engine: HostEngineFacts | undefined;
  /** The engine's own, or that of the version of NMA. */
  readonly engineVersion: string;
};

/** Every reason why the drill would not come about on this node as it is; what is unknown refuses nothing. Pure. */
export function refusalsOf(context: RefusalContext): PlannedRefusal[] {
  return [
    ...agentRefusals(context),
    ...gpuRefusals(context),
    ...engineRefusals(context),
    ...valueRefusals(context),
    ...kernelLogRefusals(context),
    ...reactionRefusals(context),
  ];
}

function byAgent(reason: Reason, message: string, remedy: string): PlannedRefusal {
  return { by: 'agent', reason, message, remedy };
}

function agentRefusals({ node, target, parts }: RefusalContext): PlannedRefusal[] {
  const { hasAgent, inventory } = target;
  if (hasAgent === false) {
    const remedy = `give the coordinator --agent ${node}=URL, or see why the DaemonSet of the agent has no ready pod there`;
    return [byAgent('agent_unknown', `no agent is known for node ${node}`, remedy)];
  }
  if (inventory === undefined) return [];
  const disarmed = inventory.armed
    ? []
    : [byAgent('disarmed', `the agent of ${node} is disarmed and writes nothing`, 'start it with --arm')];
  const wrong =
    inventory.node === node || node === ''
      ? []
      : [byAgent('wrong_node', `the agent says that it is on ${inventory.node}`, 'correct its address')];
  const kernelLog = inventory.capabilities.find(({ name }) => name === 'kernel-log');
  const needsKernelLog = parts.some(({ surface }) => surface === 'kernel-log' || surface === 'journal');
  const blind =
    needsKernelLog && kernelLog?.available === false
      ? [
          byAgent(
            'kernel_log_unavailable',
            `the agent cannot write to the kernel log: ${kernelLog.because ?? 'not said why'}`,
            'run it privileged, with /dev/kmsg of the host',
          ),
        ]
      : [];
  return [...disarmed, ...wrong, ...blind];
}

/** A GPU is named by UUID and address: its index in NVML and its number in DCGM are only positions. */
function gpuRefusals({ node, row, target, selector, gpu, engine, parts }: RefusalContext): PlannedRefusal[] {
  const { inventory, allocatableGpus } = target;
  if (inventory === undefined || selector === undefined)
    return noGpuAtAll(row, node, allocatableGpus, inventory);
  const nvml = inventory.capabilities.find(({ name }) => name === 'nvml');
  if (gpu === undefined) {
    const [key = 'gpu', value] = Object.entries(selector)[0] ?? [];
    if (nvml?.available === false && selector.pci !== undefined) return [];
    const known = inventory.gpus.map(({ index, uuid, pci }) => `${index} ${uuid} ${pci}`);
    const why =
      nvml?.available === false
        ? `NVML does not answer (${nvml.because ?? 'not said why'})`
        : `node ${node} has ${known.join(', ') || 'no GPU'}`;
    const remedy =
      known.length === 0 ? 'choose a node with a GPU' : 'name one of these by its UUID or PCI address';
    return [byAgent('gpu_unknown', `gpu.${key}: no GPU ${String(value)}; ${why}`, remedy)];
  }
  if (engine === undefined || !parts.some(({ surface }) => surface === 'dcgm')) return [];
  if (gpuIdIn(engine, gpu) !== undefined) return [];
  const listed =
    engine.gpus.map(({ id, uuid, pci }) => `${id}: ${uuid} ${pci}`).join('; ') || 'no GPU at all';
  return [
    byAgent(
      'gpu_not_in_engine',
      `the host engine with pid ${engine.pid} does not know GPU ${gpu.uuid} at ${pciToNvml(gpu.pci)}; it has ${listed}`,
      'see why the GPU is not in its container (NVIDIA_VISIBLE_DEVICES), or whether it was lost; a missing GPU is a finding itself',
    ),
  ];
}

function noGpuAtAll(
  row: FaultRow,
  node: string,
  allocatable: number | undefined,
  inventory: TargetContext['inventory'],
): PlannedRefusal[] {
  if (!row.needsGpu || inventory !== undefined || allocatable !== 0) return [];
  const message = `node ${node} offers no GPU (status.allocatable nvidia.com/gpu)`;
  return [byAgent('gpu_unknown', message, 'choose a node with a GPU, or repair its device plugin')];
}

function engineRefusals({ target, parts, order, engine }: RefusalContext): PlannedRefusal[] {
  const { inventory } = target;
  const isMeant = parts.some(({ surface }) => surface === 'dcgm' || surface === 'host-engine');
  if (inventory === undefined || !isMeant) return [];
  const { engines } = inventory;
  const asked = order.body.engine as EngineSelector | undefined;
  const isForced = order.body.force === true;
  if (engines.length === 0) {
    const remedy = 'start the DCGM server of the monitoring agent';
    return [byAgent('engine_not_found', 'no process on this node is a DCGM host engine', remedy)];
  }
  const seen = engines
    .map(({ pid, address, nma }) => `pid ${pid} at ${address} (${nma.evidence})`)
    .join('; ');
  if (asked !== undefined && !engines.some((candidate) => isNamed(candidate, asked))) {
    const message = `no host engine is ${JSON.stringify(asked)}; seen: ${seen}`;
    return [byAgent('engine_not_found', message, 'leave the engine out, or name one of these')];
  }
  if (engine === undefined) return [noOneEngine(engines, isForced, seen)];
  if (engine.nma.listening || isForced) return [];
  const message = `nobody listens on the host engine with pid ${engine.pid}; seen: ${seen}`;
  return [byAgent('nobody_listens', message, 'leave the engine out, or force')];
}

function noOneEngine(engines: readonly HostEngineFacts[], isForced: boolean, seen: string): PlannedRefusal {
  const isSeveral = isForced || engines.some(({ nma }) => nma.listening);
  if (isSeveral) {
    const message = `several host engines fit; seen: ${seen}`;
    return byAgent('engine_ambiguous', message, 'name one by its pid or address');
  }
  const isUnasked = engines.every(({ gpus, version }) => gpus.length === 0 && version === null);
  if (isUnasked) {
    const hasClient = engines.some(({ dcgmi }) => dcgmi !== null);
    const message = `no host engine of this node could be asked who listens on it; seen: ${seen}`;
    return hasClient
      ? byAgent('engine_unreachable', message, 'see why it does not answer its own dcgmi')
      : byAgent('dcgmi_not_found', message, 'give the agent --dcgmi PATH with a dcgmi of the same version');
  }
  return byAgent(
    'nobody_listens',
    `the monitoring agent listens on no host engine of this node; seen: ${seen}`,
    'see whether the pod of the monitoring agent runs and has connected; or force',
  );
}

/** A value that whoever is meant does not react to, on an engine of this version. */
function valueRefusals({ parts, order, engine, engineVersion }: RefusalContext): PlannedRefusal[] {
  if (order.body.force === true) return [];
  return parts.flatMap((part) => {
    if (part.surface !== 'dcgm' || part.reach === undefined) return [];
    const version = engine === undefined ? engineVersion : engine.version;
    const reached = { field: fieldById(part.field), value: String(part.value), engineVersion: version };
    const missed = explainMiss(reached, part.reach);
    if (missed === undefined) return [];
    return [
      byAgent('field_value_no_effect', missed.summary, 'choose a node with a newer host engine, or force'),
    ];
  });
}

/** The host engine reads these from the kernel log itself (dcgm-measured.md §6): 119 blinds it for all GPUs. */
const wedging: readonly number[] = [119];
const readByEngine: readonly number[] = [79, 120];

function kernelLogRefusals({ parts, order, target, gpu }: RefusalContext): PlannedRefusal[] {
  const xids = parts.flatMap((part) => {
    if (part.surface !== 'kernel-log') return [];
    const line = parseXidLine(part.text);
    if (line === undefined || !mayBeGpu(addressOf(line.address), target, gpu)) return [];
    return [line.xid];
  });
  const wedge = xids.find((xid) => wedging.includes(xid));
  if (wedge !== undefined) {
    const message = `an Xid ${wedge} line for a GPU of this node stops the host engine from reading any GPU, and again after each of its restarts until the line has left the ring`;
    return [byAgent('xid_wedges_engine', message, 'use the dcgm surface: there this Xid has no such effect')];
  }
  const risk = xids.find((xid) => readByEngine.includes(xid));
  if (risk === undefined || order.body.acceptRisk === true) return [];
  const message = `host engines read Xid ${risk} from the kernel log into field 230, now and at each of their restarts`;
  return [byAgent('risk_not_accepted', message, 'send acceptRisk: true, or use the dcgm surface')];
}

/** Only NVML's own list can say that an address is no GPU. */
function mayBeGpu(
  address: PciAddress | undefined,
  { inventory }: TargetContext,
  gpu: KnownGpu | undefined,
): boolean {
  if (address === undefined || gpu !== undefined || inventory === undefined) return true;
  const nvml = inventory.capabilities.find(({ name }) => name === 'nvml');
  if (nvml?.available !== true) return true;
  const text = pciToXid(address);
  return inventory.gpus.some(({ pci }) => {
    const known = addressOf(pci);
    return known === undefined || pciToXid(known) === text;
  });
}

/** The reaction is known to be impossible: the preflight ends the drill before anything is written. */
function reactionRefusals({ expectation, target }: RefusalContext): PlannedRefusal[] {
  const { type, reason } = expectation;
  const isNeuron = reason.startsWith('Neuron');
  const monitor = monitors.find(
    ({ conditionType, plugin }) => conditionType === type && (plugin === 'neuron') === isNeuron,
  );
  if (monitor === undefined) return [];
  const needsEngine = type === gpuConditionType && !/^(Neuron|NvidiaNCCL)/.test(reason);
  const because = nmaGate({ plugin: monitor.plugin, needsEngine }, target);
  if (because === undefined || monitor.plugin === 'neuron') return [];
  const isOff = target.disabledPlugins?.includes(monitor.plugin) === true;
  // A version that is only guessed at may be one without the gate.
  if (!isOff && !judgingVersion(target).exact) return [];
  return [
    {
      by: 'preflight',
      reason: isOff ? 'monitor-disabled' : 'arm64-gate',
      message: `the monitoring agent cannot react: ${because}`,
      remedy: isOff
        ? `set monitors.${monitor.plugin}.enabled to true and restart its pods`
        : 'update the monitoring agent to a version without the gate, or choose an amd64 node',
    },
  ];
}
