import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import type { Facts, Unread } from '../view/facts.ts';
import { present } from './evidence.ts';
import { nmaNamespace, restartPod } from './names.ts';
import { type Judgement, unknown } from './rule.ts';

/** What a rule says that cannot decide without the inventory. */
export function withoutInventory({ unread }: Unread): Judgement {
  return unknown(`the agent’s inventory could not be read: ${unread}`);
}

/** The host engine that the monitoring agent uses, or the first one where it listens on none. */
export function engineOfNma({ engines }: Inventory): HostEngineFacts | undefined {
  return engines.find(({ nma }) => nma.listening) ?? engines[0];
}

/** Which GPUs the engine cannot read, and DCGM's own answer for each. */
export function unreadText({ pid, unreadableGpus = [] }: HostEngineFacts): string {
  const list = unreadableGpus.map(({ id, because }) => `GPU ${id}: ${because}`).join('; ');
  return `The host engine with pid ${pid} cannot read ${list}.`;
}

/** A lost GPU stays lost for every process of the node (NVML_ERROR_GPU_IS_LOST, nvml.h); others the engine may find again. */
export function unreadRemedy(facts: Facts, { unreadableGpus = [] }: HostEngineFacts): string {
  const lost = unreadableGpus.filter((gpu) => gpu.lost);
  const others = unreadableGpus.filter((gpu) => !gpu.lost);
  const restart = `kubectl -n ${nmaNamespace(facts)} rollout restart daemonset dcgm-server`;
  return present(
    lost.length === 0
      ? undefined
      : `A lost GPU does not come back with the engine: read the kernel log (TailKernelLog, match NVRM), then reboot or replace ${facts.node.name}.`,
    others.length === 0
      ? undefined
      : `Restart the engine, which then reads its GPUs anew: ${restartPod(facts.nma.dcgmServer.pod, restart)}.`,
  ).join(' ');
}
