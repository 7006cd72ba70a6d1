import { hasNoEngine } from '../../shared/engines/choose.ts';
import { isNeuronInstance } from '../catalogue/nma/conditions.ts';
import type { NmaGate, ReadingContext } from '../catalogue/readers/reading.ts';
import { judgingVersion, type OrderPlace, type TargetContext } from '../plan/plan.ts';

/** What is known of the node's versions and GPU. */
export type ReaderContext = OrderPlace & { readonly target: TargetContext };

/** What keeps NMA from looking, whatever is written. */
export function nmaGate({ plugin, needsEngine }: NmaGate, target: TargetContext): string | undefined {
  if (target.disabledPlugins?.includes(plugin)) return `its configuration switches ${plugin} off`;
  if (plugin === 'neuron') {
    return isNeuronInstance(target.instanceType) ? undefined : 'this monitor runs on Neuron nodes only';
  }
  if (!needsEngine || !isGatedOnArm(target)) return undefined;
  return `NMA ${judgingVersion(target).row.version} switches GPU detection off on arm64`;
}

/** monitors/nvidia/monitor.go, outside EKS Auto; a version that is not known exactly may have no gate. */
function isGatedOnArm(target: TargetContext): boolean {
  return target.architecture === 'arm64' && target.isAuto !== true && judgingVersion(target).row.arm64Gate;
}

/** What a node is judged by when it is asked who reads a write. */
export function readingContextOf(context: ReaderContext): ReadingContext {
  const { target, engine, engineVersion, gpuId, gpuName } = context;
  return {
    nma: judgingVersion(target),
    blockedBy: (gate) => nmaGate(gate, target),
    engine,
    hasNoEngine: target.inventory !== undefined && hasNoEngine(target.inventory),
    engineVersion,
    gpuId,
    gpuName,
  };
}
