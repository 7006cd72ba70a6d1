import type { GpuIdentities, HostEngineFacts, Inventory } from '../../../shared/schemas/inventory.ts';
import { isUnread } from '../../view/facts.ts';
import { isAboutGpus } from '../drill.ts';
import { seen } from '../evidence.ts';
import { engineOfNma, withoutInventory } from '../inventory.ts';
import { irrelevant, proven, type Rule, refuted, unknown } from '../rule.ts';

/**
 * NVML and NMA's host engine list different GPUs: one has fallen off the bus, or the engine was started before the
 * driver knew it. What is injected for such a GPU has nowhere to go; for another one it is a finding besides.
 */
export const gpuMissing: Rule = {
  code: 'gpu-missing',
  title: 'NVML and the host engine do not list the same GPUs',
  link: 'detection',
  verdict: 'fail',
  judge(facts) {
    if (!isAboutGpus(facts)) return irrelevant;
    const { inventory } = facts.agent;
    if (isUnread(inventory)) return withoutInventory(inventory);
    const engine = engineOfNma(inventory);
    // An engine without any GPU is a cause of its own.
    if (engine === undefined || engine.gpus.length === 0) return irrelevant;
    const nvml = inventory.capabilities.find(({ name }) => name === 'nvml');
    if (nvml?.available === false)
      return unknown(`NVML does not answer: ${nvml.because ?? 'it does not say why'}`);
    const missing = inventory.identities.filter((gpu) => isMissing(gpu, engine));
    const counts = `NVML lists ${inventory.gpus.length}, the host engine with pid ${engine.pid} ${engine.gpus.length}`;
    if (missing.length === 0) return refuted(`${counts} GPUs, and they are the same`);
    const source = `agent ${facts.node.name} GetInventory`;
    return proven({
      summary: `${counts} GPUs, and not the same: ${missing.map(describe).join('. ')}.`,
      evidence: [
        seen(facts, `${source} gpus`, listOf(inventory)),
        seen(
          facts,
          `${source} engines[pid ${engine.pid}].gpus`,
          engine.gpus.map(({ uuid }) => uuid).join(', '),
        ),
        ...missing.map((gpu) => seen(facts, `${source} identities`, describe(gpu))),
      ],
      remedy:
        'A GPU that NVML lacks has fallen off the bus or is bound to another driver: read the kernel log (TailKernelLog, ' +
        'match NVRM), then replace the node. One that the engine lacks comes back when its pod is started again.',
      aside: !isRefusedForIt(facts.drill?.refusal?.reason),
    });
  },
};

function isMissing({ uuid, pci, nvmlIndex, dcgm }: GpuIdentities, engine: HostEngineFacts): boolean {
  const isLost = uuid === '' && pci === '';
  const isListed = dcgm.some(({ enginePid }) => enginePid === engine.pid);
  return isLost || isListed !== (nvmlIndex !== null);
}

function describe({ uuid, pci, problem }: GpuIdentities): string {
  const name = [uuid, pci].filter((part) => part !== '').join(' at ') || 'a GPU without identity';
  return `${name}: ${problem ?? 'listed by one of them only'}`;
}

function listOf({ gpus }: Inventory): string {
  return gpus.map(({ index, uuid }) => uuid || `GPU ${index}, which cannot be opened`).join(', ') || 'none';
}

/** Only then it is known that the drill was meant for such a GPU. */
function isRefusedForIt(reason: string | undefined): boolean {
  return reason === 'gpu_not_in_engine' || reason === 'gpu_unknown';
}
