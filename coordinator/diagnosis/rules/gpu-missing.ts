import type { GpuIdentities, HostEngineFacts, Inventory } from '../../../shared/schemas/inventory.ts';
import { type Advice, advice, run, together } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import { dcgmiCommand, restartEngine, unreadAdvice } from '../commands.ts';
import { isAboutGpus } from '../drill.ts';
import { engineOfNma, present, seen, unreadText, withoutInventory } from '../evidence.ts';
import { irrelevant, proven, type Rule, refuted, unknown } from '../rule.ts';

/**
 * NVML and NMA's host engine do not have the same GPUs: one has fallen off the bus, the engine cannot read it or counts
 * it as not active, or the engine was started before the driver knew it. What is injected for such a GPU has nowhere to
 * go; for another one it is a finding besides.
 */
export const gpuMissing: Rule = {
  code: 'gpu-missing',
  title: 'NVML and the host engine do not list the same GPUs',
  link: 'detection',
  verdict: 'fail',
  mayBeIncidental: true,
  judge(facts) {
    if (!isAboutGpus(facts)) return irrelevant;
    const { inventory } = facts.agent;
    if (isUnread(inventory)) return withoutInventory(inventory);
    const engine = engineOfNma(inventory);
    // An engine without any GPU is a cause of its own.
    if (engine === undefined || engine.gpus.length === 0) return irrelevant;
    const nvml = inventory.capabilities.find(({ name }) => name === 'nvml');
    const isNvmlThere = nvml?.available !== false;
    const missing = isNvmlThere ? inventory.identities.filter((gpu) => isMissing(gpu, engine)) : [];
    const { unreadableGpus: unread = [], inactiveGpus: inactive, gpuListIncomplete: incomplete } = engine;
    const counts = `NVML lists ${inventory.gpus.length}, the host engine with pid ${engine.pid} ${engine.gpus.length}`;
    const short = isNvmlThere && incomplete === undefined ? shortOf(facts, inventory, engine) : undefined;
    if (missing.length === 0 && unread.length === 0 && inactive === undefined && short === undefined) {
      if (!isNvmlThere) return unknown(`NVML does not answer: ${nvml?.because ?? 'no reason given'}`);
      if (incomplete !== undefined)
        return unknown(`the list of the host engine with pid ${engine.pid} may lack some: ${incomplete}`);
      return refuted(`${counts} GPUs, and they are the same`);
    }
    const source = `agent ${facts.node.name} GetInventory`;
    const engineSource = `${source} engines[pid ${engine.pid}]`;
    return proven({
      summary: present(
        unread.length === 0 ? undefined : unreadText(engine),
        inactive === undefined
          ? undefined
          : `The host engine with pid ${engine.pid} lists ${engine.gpus.length} active GPUs and knows others that are not active.`,
        missing.length === 0
          ? undefined
          : `${counts} GPUs, and not the same: ${missing.map(describe).join('. ')}.`,
        short?.text,
      ).join(' '),
      evidence: present<Evidence>(
        isNvmlThere ? seen(facts, `${source} gpus`, listOf(inventory)) : undefined,
        seen(facts, `${engineSource}.gpus`, engine.gpus.map(({ uuid, pci }) => uuid || pci).join(', ')),
        ...unread.map(({ id, because }) =>
          seen(facts, `${engineSource}.unreadableGpus`, `GPU ${id}: ${because}`),
        ),
        inactive === undefined ? undefined : seen(facts, `${engineSource}.inactiveGpus`, inactive),
        ...missing.map((gpu) => seen(facts, `${source} identities`, describe(gpu))),
        short?.evidence,
      ),
      ...remedyFor(facts, engine, missing, short !== undefined),
      incidental: !isRefusedForIt(facts.drill?.refusal?.reason),
    });
  },
};

/** Both agree and have fewer than the node was bought with: what neither lists has no identity to compare. */
function shortOf(
  facts: Facts,
  { gpus }: Inventory,
  engine: HostEngineFacts,
): { readonly text: string; readonly evidence: Evidence } | undefined {
  const { expectedGpus: expected, labels, name } = facts.node;
  const listed = Math.max(gpus.length, engine.gpus.length + (engine.unreadableGpus?.length ?? 0));
  if (expected === undefined || listed >= expected.count) return undefined;
  const lacks = expected.count - listed;
  const text = `${lacks} of the ${expected.count} GPUs that the node should have ${lacks === 1 ? 'is' : 'are'} missing from both NVML and the host engine.`;
  const observed = `${labels[expected.source] ?? facts.node.instanceType ?? 'absent'}: ${expected.count} GPUs`;
  return { text, evidence: seen(facts, `nodes/${name} metadata.labels[${expected.source}]`, observed) };
}

/** A list that was cut off lacks nothing for certain. */
function isMissing({ uuid, pci, nvmlIndex, dcgm }: GpuIdentities, engine: HostEngineFacts): boolean {
  const isLost = uuid === '' && pci === '';
  const isListed = dcgm.some(({ enginePid }) => enginePid === engine.pid);
  if (isLost) return true;
  return isListed ? nvmlIndex === null : nvmlIndex !== null && engine.gpuListIncomplete === undefined;
}

function remedyFor(
  facts: Facts,
  engine: HostEngineFacts,
  missing: readonly GpuIdentities[],
  isShort: boolean,
): Advice {
  const { unreadableGpus: unread = [], inactiveGpus: inactive } = engine;
  const lacked = missing.some(({ nvmlIndex }) => nvmlIndex === null);
  const lacking = missing.some(({ nvmlIndex }) => nvmlIndex !== null);
  const parts = present(
    unread.length === 0 ? undefined : unreadAdvice(facts, engine),
    inactive === undefined
      ? undefined
      : advice`See which GPUs are not active, and in what state they are: ${run(dcgmiCommand(facts, 'discovery -l -a'))}.`,
    lacked || isShort
      ? advice`A GPU that NVML lacks has fallen off the bus or is bound to another driver: read the kernel log (TailKernelLog, match NVRM), then replace the node.`
      : undefined,
    lacking && unread.length === 0 && inactive === undefined
      ? advice`A GPU that the engine lacks comes back when the engine starts again: ${run(restartEngine(facts) ?? 'restart it')}.`
      : undefined,
  );
  return together(parts);
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
