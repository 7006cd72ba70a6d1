import { readFileSync } from 'node:fs';
import type { Capability, HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import type { KernelLog } from '../kernel-log/port.ts';
import type { NvmlAnswer } from '../nvml/port.ts';
import { joinGpus } from './gpu-join.ts';

/** What this node can be drilled with; everything that is missing says why. */
export function createInventory(parts: {
  readonly node: string;
  readonly agentVersion: string;
  readonly armed: boolean;
  readonly bootId: string | null;
  readonly architecture: string;
  readonly kernelLog: KernelLog;
  readonly nvml: NvmlAnswer;
  readonly engines: readonly HostEngineFacts[];
}): Inventory {
  const { nvml, engines } = parts;
  return {
    node: parts.node,
    agentVersion: parts.agentVersion,
    armed: parts.armed,
    bootId: parts.bootId,
    architecture: parts.architecture,
    driverVersion: nvml.available ? nvml.driverVersion : null,
    capabilities: [
      capability('kernel-log', parts.kernelLog.unavailable()?.message),
      capability('dcgm', dcgmProblem(engines)),
      capability('nvml', nvml.available ? undefined : nvml.because),
    ],
    gpus: nvml.available ? [...nvml.gpus] : [],
    engines: [...engines],
    identities: joinGpus(nvml, engines),
  };
}

function capability(name: Capability['name'], because: string | undefined): Capability {
  return because === undefined ? { name, available: true } : { name, available: false, because };
}

function dcgmProblem(engines: readonly HostEngineFacts[]): string | undefined {
  if (engines.length === 0) {
    return 'no host engine (nv-hostengine) runs on this node; an engine inside another program is out of reach';
  }
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
