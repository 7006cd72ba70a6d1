import type { PluginName } from '../expectation.ts';
import type { NmaVersion } from './versions.ts';

/** The conditions that NMA writes on Nodes; the kubelet's own are not among them. */
export type ConditionType =
  | 'KernelReady'
  | 'StorageReady'
  | 'ContainerRuntimeReady'
  | 'NetworkingReady'
  | 'AcceleratedHardwareReady';

/** A monitor of NMA, with the condition that it owns while nothing is wrong. */
export type MonitorRow = {
  readonly plugin: PluginName;
  /** The name in log lines (key `source` or `monitor`). */
  readonly monitor: string;
  readonly conditionType: ConditionType;
  /** The reason of status True. */
  readonly readyReason: string;
  /** The message of status True. */
  readonly readyMessage: string;
};

/** nma.md §1.0: cmd/eks-node-monitoring-agent/main.go, pkg/conditions/conditions.go, pkg/config/monitor.go. */
export const monitors: readonly MonitorRow[] = [
  {
    plugin: 'kernel-monitor',
    monitor: 'kernel',
    conditionType: 'KernelReady',
    readyReason: 'KernelIsReady',
    readyMessage: 'Monitoring for the Kernel system is active',
  },
  {
    plugin: 'storage-monitor',
    monitor: 'storage',
    conditionType: 'StorageReady',
    readyReason: 'DiskIsReady',
    readyMessage: 'Monitoring for the Disk system is active',
  },
  {
    plugin: 'runtime',
    monitor: 'container-runtime',
    conditionType: 'ContainerRuntimeReady',
    readyReason: 'ContainerRuntimeIsReady',
    readyMessage: 'Monitoring for the ContainerRuntime system is active',
  },
  {
    plugin: 'networking',
    monitor: 'networking',
    conditionType: 'NetworkingReady',
    readyReason: 'NetworkingIsReady',
    readyMessage: 'Monitoring for the Networking system is active',
  },
  {
    plugin: 'nvidia',
    monitor: 'nvidia',
    conditionType: 'AcceleratedHardwareReady',
    readyReason: 'NvidiaGPUIsReady',
    readyMessage: 'Monitoring for the Nvidia GPU system is active',
  },
  {
    plugin: 'neuron',
    monitor: 'neuron',
    conditionType: 'AcceleratedHardwareReady',
    readyReason: 'NeuronAcceleratedHardwareIsReady',
    readyMessage: 'Monitoring for the Neuron AcceleratedHardware system is active',
  },
];

/** The only monitor plugin that writes a condition of this type; undefined: none does, or two do (GPU and Neuron). */
export function onlyPluginOf(type: string): PluginName | undefined {
  const [plugin, ...others] = monitors.filter(({ conditionType }) => conditionType === type);
  return others.length === 0 ? plugin?.plugin : undefined;
}

/** AWS Inferentia and Trainium; SageMaker writes `ml.` before the type of its own nodes (`ml.trn1.32xlarge`, HyperPod). */
export function isNeuronInstance(instanceType: string | undefined): boolean {
  return /^(?:ml\.)?(?:inf|trn)\d/.test(instanceType ?? '');
}

/** The condition that every GPU fault of an NVIDIA node ends in. */
export const gpuConditionType = 'AcceleratedHardwareReady' satisfies ConditionType;

/**
 * The monitor as this version shows it. The NVIDIA reason was another one before 1.6; its message is built from the
 * reason's words, as it is for every other monitor.
 */
export function monitorOf(row: NmaVersion, plugin: PluginName): MonitorRow {
  const found = monitors.find((monitor) => monitor.plugin === plugin);
  if (found === undefined) throw new RangeError(`no NMA plugin ${plugin}`);
  if (plugin !== 'nvidia') return found;
  return { ...found, readyReason: row.nvidiaReadyReason, readyMessage: row.nvidiaReadyMessage };
}

/** NMA's events are looked up by these; `reason` of an event is the condition type (nma.md §1.0). */
export const eventSource = 'eks-node-monitoring-agent';
/** NMA writes events of a Node into this namespace, as all events of cluster-wide objects. */
export const eventNamespace = 'default';

/** What client-go puts before a message that stands for ten or more different ones. */
export const combinedPrefix = '(combined from similar events): ';
