import type { PluginName } from '../catalogue/expectation.ts';
import { isNeuronInstance } from '../catalogue/nma/conditions.ts';
import { judgingVersion, type OrderPlace, type TargetContext } from '../plan/plan.ts';
import type { Reading } from './schema.ts';

/** What is known of the node's versions and GPU. */
export type ReaderContext = OrderPlace & { readonly target: TargetContext };

/** Which consumer and which of its plugins would react, and whether it needs a host engine for that. */
export type Gate = { readonly consumer: string; readonly plugin: PluginName; readonly needsEngine: boolean };

/** `otherwise`, unless something keeps NMA from looking. */
export function gated({ consumer, ...gate }: Gate, { target }: ReaderContext, otherwise: Reading): Reading {
  const because = nmaGate(gate, target);
  return because === undefined ? otherwise : { consumer, accepted: false, because };
}

/** What keeps NMA from looking, whatever is written. */
export function nmaGate(
  { plugin, needsEngine }: Omit<Gate, 'consumer'>,
  target: TargetContext,
): string | undefined {
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

/** `NMA 1.6.4`, or which version judges in its place. */
export function nmaName({ target }: ReaderContext): string {
  const { row, exact } = judgingVersion(target);
  return exact ? `NMA ${row.version}` : `NMA, judged as ${row.version}`;
}
