import { findNmaVersion } from '../../coordinator/catalogue/nma/versions.ts';
import type { TargetContext } from '../../coordinator/plan/plan.ts';
import type { GpuFacts, HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';

/** GPU `index` of a node: its place in NVML is not its place in the host engine. */
export function gpuFacts(index: number): GpuFacts {
  return {
    index,
    uuid: `GPU-00000000-0000-4000-8000-00000000000${index}`,
    pci: `00000000:${(0x10 + index).toString(16).toUpperCase()}:00.0`,
    minor: index,
    name: 'NVIDIA H100 80GB HBM3',
    driverVersion: '580.105.08',
    temperatureCelsius: 40,
    powerWatts: 100,
    smClockMhz: 1980,
    memoryClockMhz: 2619,
    ecc: null,
    remappedRows: null,
    migEnabled: false,
    notes: [],
  };
}

/** The engine of the monitoring agent, with the GPUs the other way round. */
export function engineFacts(
  gpus: readonly GpuFacts[],
  change: Partial<HostEngineFacts> = {},
): HostEngineFacts {
  return {
    pid: 2201,
    commandLine: ['nv-hostengine', '-n', '-b', 'ALL'],
    executable: '/usr/bin/nv-hostengine',
    container: 'c'.repeat(64),
    podUid: 'pod-1',
    address: '127.0.0.1:5555',
    listening: true,
    version: '4.5.2',
    dcgmi: '/usr/bin/dcgmi',
    gpus: gpus.toReversed().map(({ name, pci, uuid }, id) => ({ id, name, pci, uuid })),
    nma: { listening: true, evidence: 'field group watch, 1 watcher on 856' },
    problems: [],
    ...change,
  };
}

export function inventoryOf(node: string, change: Partial<Inventory> = {}): Inventory {
  const gpus = Array.from({ length: 8 }, (_, index) => gpuFacts(index));
  return {
    node,
    agentVersion: '0.1.0',
    armed: true,
    bootId: null,
    architecture: 'x64',
    driverVersion: '580.105.08',
    capabilities: (['kernel-log', 'journal', 'log-files', 'dcgm', 'host-engine', 'nvml'] as const).map(
      (name) => ({ name, available: true }),
    ),
    gpus,
    engines: [engineFacts(gpus)],
    identities: [],
    logFiles: Object.values(logFiles).map((path) => ({ path, state: 'ready' })),
    ...change,
  };
}

/** A node of which everything is known and nothing is wrong. */
export function knownTarget(
  node: string,
  version = '1.6.4',
  inventory: Partial<Inventory> = {},
): TargetContext {
  return {
    architecture: 'amd64',
    instanceType: 'p5.48xlarge',
    isAuto: false,
    hasGpu: true,
    nma: findNmaVersion(version),
    disabledPlugins: [],
    hasAgent: true,
    inventory: inventoryOf(node, inventory),
  };
}
