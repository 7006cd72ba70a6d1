import type { NvmlAnswer } from '../../shared/gpu-identity.ts';
import { isSamePci, type PciAddress, parsePci, pciToNvml } from '../../shared/pci.ts';
import type { GpuFacts, GpuIdentities, HostEngineFacts } from '../../shared/schemas/inventory.ts';

type Engine = Pick<
  HostEngineFacts,
  'pid' | 'gpus' | 'unreadableGpus' | 'inactiveGpus' | 'gpuListIncomplete' | 'problems'
>;
type EngineGpu = HostEngineFacts['gpus'][number];
type NvmlGpu = Pick<GpuFacts, 'index' | 'uuid' | 'pci' | 'minor' | 'notes'>;

/** What is known of one GPU while the lists are put together. */
type Draft = Omit<GpuIdentities, 'problem'> & { readonly problems: string[] };

/**
 * Every GPU that NVML or a host engine lists, under all its numbers. NVML index, DCGM id and minor are positions in
 * three lists, so that only UUID and PCI address join them; a list in which a GPU is missing is evidence by itself.
 */
export function joinGpus(
  nvml: NvmlAnswer | { readonly available: true; readonly gpus: readonly NvmlGpu[] },
  engines: readonly Engine[],
): GpuIdentities[] {
  const drafts: Draft[] = nvml.available ? nvml.gpus.map(draftOf) : [];
  for (const engine of engines) {
    for (const gpu of engine.gpus) addToDrafts(drafts, gpu, engine.pid, nvml.available);
    if (!couldNotSay(engine)) noteMissing(drafts, engine);
  }
  return drafts.map(({ problems, ...identity }) => ({
    ...identity,
    ...(problems.length === 0 ? {} : { problem: problems.join('; ') }),
  }));
}

function draftOf({ index, uuid, pci, minor, notes }: NvmlGpu): Draft {
  const isLost = uuid === '' && pci === '';
  const problems = isLost ? [`NVML counts it as GPU ${index} and knows no more: ${notes.join('; ')}`] : [];
  return { uuid, pci, nvmlIndex: index, minor, dcgm: [], problems };
}

function addToDrafts(drafts: Draft[], gpu: EngineGpu, enginePid: number, isNvmlThere: boolean): void {
  const known =
    drafts.find((draft) => isSameUuid(draft, gpu)) ?? drafts.find((draft) => isSamePlace(draft, gpu));
  const entry = { enginePid, gpuId: gpu.id };
  if (known !== undefined) {
    known.dcgm.push(entry);
    const contradiction = contradictionOf(known, gpu);
    if (contradiction !== undefined) known.problems.push(`host engine ${enginePid} ${contradiction}`);
    return;
  }
  const pci = addressOf(gpu.pci);
  const uuid = isUuid(gpu.uuid) ? gpu.uuid : '';
  drafts.push({
    uuid,
    pci: pci === undefined ? '' : pciToNvml(pci),
    nvmlIndex: null,
    minor: null,
    dcgm: [entry],
    problems: problemsOfUnmatched(enginePid, gpu, uuid === '' && pci === undefined, isNvmlThere),
  });
}

function problemsOfUnmatched(
  enginePid: number,
  gpu: EngineGpu,
  isNameless: boolean,
  isNvmlThere: boolean,
): string[] {
  const its = `host engine ${enginePid} has it as GPU ${gpu.id}`;
  if (isNameless) return [`${its}, with neither UUID nor PCI address to join it by`];
  return isNvmlThere ? [`NVML does not list it; ${its}`] : [];
}

/** An engine that lists no GPU and says that it could not be asked lacks none; nor does one whose list was cut off. */
function couldNotSay({ gpus, unreadableGpus, problems, gpuListIncomplete }: Engine): boolean {
  if (gpuListIncomplete !== undefined) return true;
  return gpus.length === 0 && unreadableGpus === undefined && problems.length > 0;
}

function noteMissing(drafts: readonly Draft[], engine: Engine): void {
  for (const draft of drafts) {
    const isNamed = draft.uuid !== '' || draft.pci !== '';
    if (isNamed && !draft.dcgm.some((entry) => entry.enginePid === engine.pid))
      draft.problems.push(`host engine ${engine.pid} ${howItIsMissing(engine)}`);
  }
}

/** Which of the unreadable ones it is cannot be known: a DCGM id is a position. */
function howItIsMissing({ unreadableGpus = [], inactiveGpus }: Engine): string {
  const unread = unreadableGpus.map(({ id, because }) => `GPU ${id} (${because})`);
  if (unread.length > 0) return `does not list it, but cannot read ${unread.join(', ')}`;
  if (inactiveGpus !== undefined) return `does not list it among its active GPUs: ${inactiveGpus}`;
  return 'does not list it';
}

function contradictionOf(draft: Draft, gpu: EngineGpu): string | undefined {
  const pci = addressOf(gpu.pci);
  const known = addressOf(draft.pci);
  if (pci !== undefined && known !== undefined && !isSamePci(pci, known))
    return `has it at ${pciToNvml(pci)}`;
  if (isUuid(gpu.uuid) && draft.uuid !== '' && !isSameUuid(draft, gpu)) return `calls it ${gpu.uuid}`;
  return undefined;
}

function isSameUuid(draft: Draft, gpu: EngineGpu): boolean {
  return draft.uuid !== '' && draft.uuid.toLowerCase() === gpu.uuid.toLowerCase();
}

function isSamePlace(draft: Draft, gpu: EngineGpu): boolean {
  const [left, right] = [addressOf(draft.pci), addressOf(gpu.pci)];
  return left !== undefined && right !== undefined && isSamePci(left, right);
}

/** A blinded engine prints `<<<NULL>>>` in place of both. */
function isUuid(text: string): boolean {
  return text.startsWith('GPU-');
}

function addressOf(text: string): PciAddress | undefined {
  try {
    return parsePci(text);
  } catch {
    return undefined;
  }
}
