import { readFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { refusalFromUnknown } from '../../shared/errors.ts';
import type { NvmlAnswer } from '../../shared/gpu-identity.ts';
import type {
  AgentLack,
  Capability,
  HostEngineFacts,
  Inventory,
  LogFileFacts,
} from '../../shared/schemas/inventory.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import type { EngineProcesses } from '../engine-process/port.ts';
import type { Unread } from '../host-files/journald/port.ts';
import type { HostFiles } from '../host-files/port.ts';
import type { KernelLog } from '../kernel-log/port.ts';
import type { OptIn } from '../policy/opt-in.ts';
import { lack } from '../programs/means.ts';
import { joinGpus } from './gpu-join.ts';

/** What this node can be drilled with; everything that is missing says why. */
export function createInventory(parts: {
  readonly node: string;
  readonly agentVersion: string;
  readonly armed: boolean;
  /** undefined: the agent asks for no consent of the node. */
  readonly consent: Inventory['optIn'];
  /** undefined: nothing is asked of a caller beside its right. */
  readonly caller: Inventory['caller'];
  readonly bootId: string | null;
  readonly architecture: string;
  readonly kernelLog: KernelLog;
  readonly nvml: NvmlAnswer;
  readonly engines: readonly HostEngineFacts[];
  readonly logFiles: readonly LogFileFacts[];
  /** Why nothing reaches the journal; undefined: journald is there. */
  readonly noJournal: string | undefined;
  /** Why an engine could not be stopped, by its place in `engines`; undefined: it could. */
  readonly pausable: readonly (string | undefined)[];
  /** What the agent lacks, as far as that shows without the answers above. */
  readonly lacks: readonly AgentLack[];
  /** What keeps the agent from reading the journal. */
  readonly unreadJournal: Unread | undefined;
  /** The kernel has loaded NVIDIA's driver. */
  readonly hasDriver: boolean;
}): Inventory {
  const { nvml, engines, logFiles } = parts;
  const kernelLog = parts.kernelLog.unavailable()?.message;
  return {
    node: parts.node,
    agentVersion: parts.agentVersion,
    armed: parts.armed,
    ...(parts.consent === undefined ? {} : { optIn: parts.consent }),
    ...(parts.caller === undefined ? {} : { caller: parts.caller }),
    bootId: parts.bootId,
    architecture: parts.architecture,
    driverVersion: nvml.available ? nvml.driverVersion : null,
    capabilities: [
      capability('kernel-log', kernelLog),
      capability('journal', kernelLog ? `its lines go by the kernel log: ${kernelLog}` : parts.noJournal),
      capability('log-files', logFilesProblem(logFiles)),
      capability('dcgm', dcgmProblem(engines)),
      capability('host-engine', pauseProblem(engines, parts.pausable)),
      capability('nvml', nvml.available ? undefined : nvml.because),
    ],
    gpus: nvml.available ? [...nvml.gpus] : [],
    engines: [...engines],
    identities: joinGpus(nvml, engines),
    logFiles: [...logFiles],
    agentLacks: lacksOf(parts),
  };
}

/** All that the agent itself lacks: what it needs for what this node has. */
function lacksOf(parts: Parameters<typeof createInventory>[0]): AgentLack[] {
  const { nvml, engines, unreadJournal, hasDriver } = parts;
  const kernelLog = parts.kernelLog.unavailable()?.message;
  const clientless = engines.find(({ dcgmi, untrusted }) => dcgmi === null && untrusted === undefined);
  const hasGpus = hasDriver || engines.some(({ gpus }) => gpus.length > 0);
  const isUnseen = !nvml.available && nvml.isUnseen === true && hasGpus;
  return [
    ...parts.lacks,
    ...(kernelLog === undefined ? [] : [lack('kernel-log', kernelLog)]),
    ...(unreadJournal?.cause === 'agent-lacks' && parts.noJournal === undefined
      ? [lack('journal', unreadJournal.because)]
      : []),
    ...(clientless?.agentLacks === undefined || parts.lacks.some(({ means }) => means === 'rights')
      ? []
      : [lack('dcgmi', clientless.agentLacks)]),
    ...(isUnseen ? [lack('nvml', nvml.because)] : []),
  ];
}

/** Whether NVIDIA's kernel module is loaded, whatever of it is visible in a container (its README, "/proc interface"). */
export async function isDriverLoaded(procRoot = '/proc'): Promise<boolean> {
  return access(`${procRoot}/driver/nvidia/version`).then(
    () => true,
    () => false,
  );
}

/** As an order would find it. */
export async function lookAtOptIn(optIn: OptIn | undefined): Promise<Inventory['optIn']> {
  try {
    if (optIn === undefined) return undefined;
    await optIn.assertGiven();
    return { given: true };
  } catch (thrown) {
    const { message, details } = refusalFromUnknown(thrown);
    return {
      given: false,
      because: message,
      ...(details.remedy === undefined ? {} : { remedy: details.remedy }),
    };
  }
}

function capability(name: Capability['name'], because: string | undefined): Capability {
  return because === undefined ? { name, available: true } : { name, available: false, because };
}

/** As orders would find them; nothing is written. */
export function lookAtLogFiles(files: HostFiles): Promise<LogFileFacts[]> {
  return Promise.all(
    Object.values(logFiles).map(async (path): Promise<LogFileFacts> => {
      try {
        await files.assertAppendable(path);
        return { path, state: 'ready' };
      } catch (thrown) {
        const { reason, message, details } = refusalFromUnknown(thrown);
        return {
          path,
          state: reason === 'log_file_missing' ? 'missing' : 'unusable',
          because: message,
          ...(details.remedy === undefined ? {} : { remedy: details.remedy }),
        };
      }
    }),
  );
}

/** Why each engine could not be paused, in the order of `engines`; undefined: it could. Sends no signal. */
export function lookAtEngines(
  engines: readonly HostEngineFacts[],
  processes: EngineProcesses,
): Promise<(string | undefined)[]> {
  return Promise.all(engines.map(({ pid }) => processes.whyNotPausable(pid)));
}

/** Which of them are there stands in `logFiles`. */
function logFilesProblem(files: readonly LogFileFacts[]): string | undefined {
  if (files.some(({ state }) => state === 'ready')) return undefined;
  return `none can be appended to: ${files.map(({ because }) => because).join('; ')}`;
}

function pauseProblem(
  engines: readonly HostEngineFacts[],
  pausable: readonly (string | undefined)[],
): string | undefined {
  if (engines.length === 0) return noEngine;
  if (pausable.some((because, at) => because === undefined && engines[at]?.untrusted === undefined))
    return undefined;
  return `no host engine can be stopped (${engines.map(({ pid, untrusted }, at) => `pid ${pid}: ${untrusted ?? pausable[at]}`).join('; ')})`;
}

const noEngine =
  'no host engine (nv-hostengine) runs on this node; an engine inside another program is out of reach';

function dcgmProblem(engines: readonly HostEngineFacts[]): string | undefined {
  if (engines.length === 0) return noEngine;
  if (engines.some((engine) => engine.gpus.length > 0)) return undefined;
  const problems = engines.map((engine) => `pid ${engine.pid}: ${engine.problems.join(', ') || 'no GPU'}`);
  return `no host engine shows a GPU (${problems.join('; ')})`;
}

/** Tells whether two kernel-log sequences are of one boot; null where the kernel does not say. */
export function readBootId(procRoot = '/proc'): string | null {
  try {
    return readFileSync(`${procRoot}/sys/kernel/random/boot_id`, 'utf8').trim();
  } catch {
    return null;
  }
}
