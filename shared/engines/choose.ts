import { Refusal, type RefusalDetails } from '../errors.ts';
import type { GpuIdentity } from '../gpu-identity.ts';
import { isSamePci, type PciAddress, parsePci, pciToNvml } from '../pci.ts';
import type { AgentLack, HostEngineFacts, Inventory } from '../schemas/inventory.ts';
import type { EngineSelector } from '../schemas/order-members.ts';

/**
 * The engine that was asked for, else the one that the node monitoring agent listens on. Every refusal lists all
 * engines that were seen, so that the reader finds the right one in it. `force` takes the only engine there is,
 * although it has no listener. A process that does not count as one of the monitoring agent (`untrusted`) is never chosen, by
 * name neither: `engine_untrusted`.
 */
export function chooseEngine(
  engines: readonly HostEngineFacts[],
  selector?: EngineSelector,
  force = false,
): HostEngineFacts {
  if (engines.length === 0) {
    throw new Refusal('engine_not_found', 'no process on this node is a DCGM host engine (nv-hostengine)', {
      engines: [],
      remedy:
        'start the DCGM server of the node monitoring agent; an engine inside another program is out of reach',
    });
  }
  if (selector !== undefined) return chooseNamed(engines, selector);
  const trusted = engines.filter(isTrusted);
  if (trusted.length > 0) return chooseListened(trusted, force);
  throw refuse('engine_untrusted', 'no process of that name counts as a host engine of this node', engines);
}

/** Refusal `agent_incapable`: whether the node has a host engine does not show, because the agent sees no process of it. */
export function unseenEngines({ because, remedy, means }: AgentLack): Refusal {
  return new Refusal('agent_incapable', `the host engines of this node cannot be seen: ${because}`, {
    lacks: means,
    remedy,
  });
}

/** What keeps an agent from seeing the processes of its node; undefined: it sees them, or is an older one. */
export function whyUnseen({ agentLacks = [] }: Pick<Inventory, 'agentLacks'>): AgentLack | undefined {
  return agentLacks.find(({ means }) => means === 'host-pid');
}

/** Whether no process of the node counts as a host engine of the monitoring agent, as far as the agent would see one. */
export function hasNoEngine(inventory: Pick<Inventory, 'engines' | 'agentLacks'>): boolean {
  return !inventory.engines.some(isTrusted) && whyUnseen(inventory) === undefined;
}

/** Whether a process counts as a host engine of the monitoring agent; of an older agent all do. */
export function isTrusted({ untrusted }: HostEngineFacts): boolean {
  return untrusted === undefined;
}

function chooseNamed(engines: readonly HostEngineFacts[], selector: EngineSelector): HostEngineFacts {
  const asked = selector.pid === undefined ? `address ${selector.address}` : `pid ${selector.pid}`;
  const fitting = engines.filter((engine) =>
    selector.pid === undefined ? engine.address === selector.address : engine.pid === selector.pid,
  );
  const [only, second] = fitting.filter(isTrusted);
  const [other] = fitting;
  if (only === undefined && other?.untrusted !== undefined)
    throw refuse(
      'engine_untrusted',
      `the process with ${asked} is not written to: ${other.untrusted}`,
      engines,
    );
  if (only === undefined) throw refuse('engine_not_found', `no host engine has ${asked}`, engines);
  if (second !== undefined) throw refuse('engine_ambiguous', `several host engines have ${asked}`, engines);
  return only;
}

function chooseListened(engines: readonly HostEngineFacts[], force: boolean): HostEngineFacts {
  const listened = engines.filter((engine) => engine.nma.listening);
  const [only, second] = listened;
  if (second !== undefined) {
    throw refuse(
      'engine_ambiguous',
      'the node monitoring agent seems to be on several host engines',
      engines,
    );
  }
  if (only !== undefined) return only;
  const [single, other] = engines;
  if (force && single !== undefined && other === undefined) return single;
  if (force) throw refuse('engine_ambiguous', 'no host engine has a listener; name one to force it', engines);
  if (engines.every(couldNotBeAsked)) throw unasked(engines);
  throw refuse(
    'nobody_listens',
    'the node monitoring agent is connected to no host engine of this node',
    engines,
  );
}

function couldNotBeAsked({ gpus, version, nma }: HostEngineFacts): boolean {
  return nma.answered !== true && gpus.length === 0 && version === null;
}

/** Where no engine could be asked, listeners are not known: that is another finding than that there is none. */
function unasked(engines: readonly HostEngineFacts[]): Refusal {
  const hasClient = engines.some(({ dcgmi }) => dcgmi !== null);
  const lacks = engines.flatMap(({ agentLacks }) => agentLacks ?? []);
  // One that could be asked and did not answer is a finding of its own.
  const isAgent = lacks.length === engines.length;
  const seen = engines.map((engine) => `pid ${engine.pid} ${whereIs(engine)}: ${engine.problems.join(', ')}`);
  return new Refusal(
    !hasClient ? 'dcgmi_not_found' : isAgent ? 'agent_incapable' : 'engine_unreachable',
    `no host engine of this node could be asked who listens on it. ${seen.join('; ')}`,
    {
      engines: engines.map(({ pid, podUid, address, problems }) => ({ pid, podUid, address, problems })),
      remedy: unaskedRemedy(hasClient, isAgent),
    },
  );
}

function unaskedRemedy(hasClient: boolean, isAgent: boolean): string {
  if (!hasClient)
    return 'give the agent --dcgmi PATH with a dcgmi of the same version (in the chart agent.dcgm.sidecar.enabled=true brings one, agent.dcgm.dcgmi names one)';
  return isAgent
    ? 'give the agent what it lacks: nsenter (util-linux) in its image, root, privileged and hostPID in its pod'
    : 'see why the host engine does not answer its own dcgmi, or name it and force';
}

/** Refuses an engine on which an injected value would change nothing, and says where it would. */
export function assertListened(engine: HostEngineFacts, engines: readonly HostEngineFacts[]): void {
  if (engine.nma.listening) return;
  throw refuse('nobody_listens', `the host engine with pid ${engine.pid} has no listener`, engines);
}

/** As an engine is asked for a GPU. */
export function namesOf({ uuid, pci }: Pick<GpuIdentity, 'uuid' | 'pci'>): GpuNames {
  return { uuid, pci: pci === undefined ? undefined : pciToNvml(pci) };
}

type GpuNames = { readonly uuid?: string | undefined; readonly pci?: string | undefined };

/** DCGM's number of a GPU, by UUID or PCI address; its order has nothing to do with NVML's. */
export function gpuIdFor(engine: HostEngineFacts, gpu: GpuNames): number {
  const pci = gpu.pci === undefined ? undefined : parsePci(gpu.pci, 'gpu.pci');
  const found = engine.gpus.find(
    (candidate) =>
      (gpu.uuid !== undefined || pci !== undefined) &&
      // An engine may know only one of the two; that one then decides.
      (candidate.uuid !== '' || candidate.pci !== '') &&
      (gpu.uuid === undefined || isUnknown(candidate.uuid, pci) || isUuid(candidate.uuid, gpu.uuid)) &&
      (pci === undefined || isUnknown(candidate.pci, gpu.uuid) || isAt(candidate.pci, pci)),
  );
  if (found !== undefined) return found.id;
  throw gpuMissing(engine, [gpu.uuid, gpu.pci].filter((text) => text !== undefined).join(' at '));
}

/** Refusal `gpu_not_in_engine`: the engine lists no such GPU. `asked`: the GPU as the request names it. */
export function gpuMissing(engine: HostEngineFacts, asked: string): Refusal {
  const known = engine.gpus.map((gpu) => `${gpu.id}: ${gpu.uuid} ${gpu.pci}`);
  const list = known.length === 0 ? 'no GPU that it can name' : known.join('; ');
  const unread = (engine.unreadableGpus ?? []).map(
    ({ id, because }) => `; it cannot read GPU ${id}: ${because}`,
  );
  const message = `the host engine with pid ${engine.pid} does not know GPU ${asked}; it has ${list}${unread.join('')}`;
  return new Refusal('gpu_not_in_engine', message, {
    field: 'gpu',
    value: asked,
    allowed: engine.gpus,
    problems: engine.problems,
    remedy:
      'see why the GPU is not in its container (NVIDIA_VISIBLE_DEVICES), or whether it was lost; a missing GPU is a finding itself',
  });
}

/** Nothing that the engine knows, while there is something else to find the GPU by. */
function isUnknown(known: string, other: PciAddress | string | undefined): boolean {
  return known === '' && other !== undefined;
}

function isUuid(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}

function isAt(text: string, pci: PciAddress): boolean {
  try {
    return isSamePci(parsePci(text), pci);
  } catch {
    // An engine may print what is no address.
    return false;
  }
}

function refuse(
  reason: 'engine_not_found' | 'engine_untrusted' | 'engine_ambiguous' | 'nobody_listens',
  what: string,
  engines: readonly HostEngineFacts[],
): Refusal {
  const listened = engines.filter((engine) => engine.nma.listening);
  const where =
    listened.length === 0
      ? 'NMA is on none of them'
      : `NMA's engine is ${listened.map((engine) => `pid ${engine.pid} ${whereIs(engine)}`).join(' and ')}`;
  const seen = engines.map((engine) => `${renderEngine(engine)}`).join('; ');
  const details: RefusalDetails = {
    engines: engines.map((engine) => ({
      pid: engine.pid,
      podUid: engine.podUid,
      container: engine.container,
      address: engine.address,
      version: engine.version,
      listened: engine.nma.listening,
      ...(engine.pod === undefined ? {} : { pod: engine.pod }),
      ...(engine.untrusted === undefined ? {} : { untrusted: engine.untrusted }),
      evidence: engine.nma.evidence,
      problems: engine.problems,
    })),
    listenedPid: listened.length === 1 ? listened[0]?.pid : null,
    remedy:
      reason === 'engine_untrusted'
        ? 'leave the engine out; or start the agent with --engine-namespace NAMESPACE or --engine-uid UID (in the chart agent.dcgm.engines), where it is one of yours'
        : listened.length === 0
          ? 'see whether the pod of the node monitoring agent runs and has connected; or force'
          : 'leave the engine out, or name the one that NMA is on',
  };
  return new Refusal(reason, `${what}; ${where}. Seen: ${seen}`, details);
}

function renderEngine(engine: HostEngineFacts): string {
  return `pid ${engine.pid} ${whereIs(engine)} at ${engine.address} (${engine.nma.evidence})`;
}

function whereIs(engine: HostEngineFacts): string {
  if (engine.podUid !== null) return `in pod ${engine.podUid}`;
  return engine.container === null ? 'on the host' : `in container ${engine.container.slice(0, 12)}`;
}
