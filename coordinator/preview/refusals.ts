import { fieldById } from '../../shared/dcgm-fields/find.ts';
import { explainMiss } from '../../shared/dcgm-fields/reach.ts';
import {
  assertListened,
  chooseEngine,
  gpuIdFor,
  namesOf,
  unseenEngines,
  whyUnseen,
} from '../../shared/engines/choose.ts';
import { type Reason, Refusal } from '../../shared/errors.ts';
import { addressIsGpu, type NvmlAnswer } from '../../shared/gpu-identity.ts';
import { assertArmed } from '../../shared/orders/armed.ts';
import { acceptsRisk, engineNamed, isForced } from '../../shared/orders/call.ts';
import { recordOf } from '../../shared/orders/script.ts';
import type { Inventory } from '../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { GpuSelector } from '../../shared/schemas/order-members.ts';
import type { SurfaceRow } from '../../shared/surfaces/row.ts';
import { type Part, surfaceRow } from '../../shared/surfaces/table.ts';
import { assertKernelLogRisk, mayHoldXid, xidFieldOf } from '../../shared/xid/guard.ts';
import { type Expectation, engineVias } from '../catalogue/expectation.ts';
import {
  identifyIn,
  judgingVersion,
  nvmlAnswerOf,
  type OrderPlace,
  type TargetContext,
} from '../plan/plan.ts';
import { nmaGate } from './monitor-gate.ts';
import type { PlannedRefusal } from './schema.ts';
import { withoutStandIn } from './writes.ts';

/** What the agent and the preflight would look at, as far as it is known before they are asked. */
export type RefusalContext = OrderPlace & {
  readonly node: string;
  /** Of the fault: it is for nodes with a GPU. */
  readonly needsGpu: boolean;
  readonly order: MethodCall;
  readonly parts: readonly Part[];
  readonly expectation: Expectation;
  readonly target: TargetContext;
  readonly selector: GpuSelector | undefined;
  /** false: the selector is the one of an order that names no GPU. */
  readonly isGpuNamed: boolean;
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

/** What the agent would refuse, by what it would run itself. */
function refusedBy(
  look: () => unknown,
  render: (refusal: Refusal) => string = ({ message }) => message,
): PlannedRefusal[] {
  try {
    look();
    return [];
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { remedy = 'correct what the message names' } = thrown.details;
    return [byAgent(thrown.reason, render(thrown), remedy)];
  }
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
  const disarmed = refusedBy(() => assertArmed(inventory.armed));
  const { optIn, caller } = inventory;
  const noConsent =
    optIn?.given === false
      ? [
          byAgent(
            'node_not_opted_in',
            optIn.because ?? 'this node has not opted in to injections',
            optIn.remedy ?? 'have the owner of the node place the file of --opt-in-file',
          ),
        ]
      : [];
  const unknownCaller =
    caller?.methods.length === 0
      ? [
          byAgent(
            'policy_refused',
            caller.because ?? 'the agent does not take this coordinator for its own',
            caller.remedy ?? 'start the agent with --coordinator-user and the user of the coordinator',
          ),
        ]
      : [];
  const wrong =
    inventory.node === node || node === ''
      ? []
      : [byAgent('wrong_node', `the agent says that it is on ${inventory.node}`, 'correct its address')];
  const kernelLog = inventory.capabilities.find(({ name }) => name === 'kernel-log');
  const needsKernelLog = goThrough(parts, 'kernel-log');
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
  return [
    ...disarmed,
    ...noConsent,
    ...unknownCaller,
    ...wrong,
    ...blind,
    ...placeRefusals(parts, inventory),
  ];
}

/** Whether any part is written through the kernel log, or through a host engine. */
function goThrough(parts: readonly Part[], what: SurfaceRow['through']): boolean {
  return parts.some(({ surface }) => surfaceRow(surface).through === what);
}

/** What the agent would find in place of the file or the process. */
function placeRefusals(
  parts: readonly Part[],
  { logFiles, engines, capabilities }: Inventory,
): PlannedRefusal[] {
  const paths = new Set(parts.flatMap((part) => (part.surface === 'log-file' ? [part.path] : [])));
  const files = logFiles
    .filter(({ path, state }) => state !== 'ready' && paths.has(path))
    .map(({ path, state, because = `${path} is ${state}`, remedy = 'choose another node' }) =>
      byAgent(state === 'missing' ? 'log_file_missing' : 'log_file_unusable', because, remedy),
    );
  const isPaused = engines.length > 0 && parts.some(({ surface }) => surface === 'host-engine');
  const pause = capabilities.find(({ name }) => name === 'host-engine');
  if (!isPaused || pause?.available !== false) return files;
  const remedy = 'run the agent from its chart: it needs root and the host’s process ids';
  return [...files, byAgent('agent_incapable', pause.because ?? 'no host engine can be stopped', remedy)];
}

function gpuRefusals({ node, needsGpu, target, selector, isGpuNamed }: RefusalContext): PlannedRefusal[] {
  const { inventory, hasGpu } = target;
  if (inventory === undefined || selector === undefined) return noGpuAtAll(needsGpu, node, hasGpu, inventory);
  const identify = () => identifyIn(inventory, selector);
  if (isGpuNamed) return refusedBy(identify);
  // What was not asked for is not wrong: the first one, by NVML index, cannot be found.
  return refusedBy(
    identify,
    ({ message, details }) =>
      `no GPU was named, and the first one cannot be taken: ${details.because ?? message}`,
  );
}

function noGpuAtAll(
  needsGpu: boolean,
  node: string,
  hasGpu: boolean | undefined,
  inventory: TargetContext['inventory'],
): PlannedRefusal[] {
  if (!needsGpu || inventory !== undefined || hasGpu !== false) return [];
  const message = `node ${node} shows no GPU (status.allocatable nvidia.com/…, labels, instance type)`;
  return [byAgent('gpu_unknown', message, 'choose a node with a GPU, or repair its device plugin')];
}

function engineRefusals({ target, parts, order, gpu }: RefusalContext): PlannedRefusal[] {
  const { inventory } = target;
  const isWritten = parts.some(({ surface }) => surface === 'dcgm');
  if (inventory === undefined || !goThrough(parts, 'host-engine')) return [];
  const { engines } = inventory;
  const force = isForced(order);
  return refusedBy(() => {
    const unseen = engines.length === 0 ? whyUnseen(inventory) : undefined;
    if (unseen !== undefined) throw unseenEngines(unseen);
    const engine = chooseEngine(engines, engineNamed(order), force);
    if (isWritten && gpu !== undefined) gpuIdFor(engine, namesOf(gpu));
    if (!force) assertListened(engine, engines);
  });
}

/** A value that whoever is meant does not react to, with this engine and this GPU. */
function valueRefusals({ parts, order, engine, engineVersion, gpuName }: RefusalContext): PlannedRefusal[] {
  if (isForced(order)) return [];
  return parts.flatMap((part) => {
    if (part.surface !== 'dcgm' || part.reach === undefined) return [];
    const version = engine === undefined ? engineVersion : engine.version;
    const reached = {
      field: fieldById(part.field),
      value: String(part.value),
      engineVersion: version,
      gpuName,
    };
    const missed = explainMiss(reached, part.reach);
    if (missed === undefined) return [];
    return [
      byAgent(
        'field_value_no_effect',
        missed.summary,
        'choose a node with a newer host engine or with a GPU that has the check, or force',
      ),
    ];
  });
}

function kernelLogRefusals({ parts, order, target }: RefusalContext): PlannedRefusal[] {
  const nvml: NvmlAnswer =
    target.inventory === undefined
      ? { available: false, because: 'the agent was not asked' }
      : nvmlAnswerOf(target.inventory);
  const all = parts.flatMap((part) => {
    if (part.surface !== 'kernel-log' && part.surface !== 'journal') return [];
    const { text, field } = recordOf(part);
    if (!mayHoldXid(text)) return [];
    return refusedBy(() =>
      assertKernelLogRisk(text, {
        acceptRisk: acceptsRisk(order),
        isGpu: (address) => addressIsGpu(address, nvml),
        xidField: xidFieldOf(order.method) ?? field,
      }),
    );
  });
  // An order is refused as a whole, for the first of its parts.
  return all.slice(0, 1).map((refusal) => ({ ...refusal, message: withoutStandIn(refusal.message) }));
}

/** The reaction is known to be impossible: the preflight ends the drill before anything is written. */
function reactionRefusals({ expectation, target, parts }: RefusalContext): PlannedRefusal[] {
  const { via, kind } = expectation;
  if (kind === 'ignored') return [];
  const isForEngine = goThrough(parts, 'host-engine');
  const plugin = expectation.plugin ?? (isForEngine ? 'nvidia' : undefined);
  if (plugin === undefined || plugin === 'neuron') return [];
  const needsEngine =
    plugin === 'nvidia' && (via === undefined ? isForEngine || kind === 'none' : engineVias.includes(via));
  const because = nmaGate({ plugin, needsEngine }, target);
  if (because === undefined) return [];
  const isOff = target.disabledPlugins?.includes(plugin) === true;
  // A version that is only guessed at may be one without the gate.
  if (!isOff && !judgingVersion(target).exact) return [];
  return [
    {
      by: 'preflight',
      reason: isOff ? 'monitor-disabled' : 'arm64-gate',
      message: `the monitoring agent cannot react: ${because}`,
      remedy: isOff
        ? `set monitors.${plugin}.enabled to true and restart its pods`
        : 'update the monitoring agent to a version without the gate, or choose an amd64 node',
    },
  ];
}
