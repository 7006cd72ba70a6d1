import { createFakeKernelLog } from '../../../../agent/kernel-log/fake.ts';
import { findNmaVersion } from '../../../../coordinator/catalogue/nma/versions.ts';
import { createHostEngine } from '../../../../coordinator/rehearsal/host-engine/engine.ts';
import { createNma, type NmaOptions } from '../../../../coordinator/rehearsal/nma/actor.ts';
import { createSilentLog } from '../../../../shared/log.ts';
import { createManualClock } from '../../../manual-clock.ts';
import { createMemoryCluster } from './memory-cluster.ts';

type Test = { teardown(handler: () => unknown): void };

/** A node with an engine, a kernel log and an NMA that runs; time stands still until it is moved. */
export function drill(
  t: Test,
  version = '1.7.0',
  options: Partial<NmaOptions> & { readonly engineVersion?: string } = {},
) {
  const { engineVersion = '4.6.0', ...nmaOptions } = options;
  const clock = createManualClock();
  const cluster = createMemoryCluster();
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' };
  cluster.put('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1' },
    status: { conditions: [ready], capacity: { 'nvidia.com/gpu': '2' } },
  });
  const engine = createHostEngine({
    clock,
    version: engineVersion,
    gpus: [0, 1].map((id) => ({ id, name: 'NVIDIA A10G', pci: `00000000:0${id}:1E.0`, uuid: `GPU-${id}` })),
    pid: 100,
  });
  const kernelLog = createFakeKernelLog({ clock });
  const lines: string[] = [];
  const nma = createNma({
    cluster,
    node: 'n1',
    version: findNmaVersion(version).row,
    arch: 'amd64',
    kernelLog,
    engine: () => engine,
    clock,
    random: () => 0.5,
    credentials: 'healthy',
    podLog: (line) => lines.push(line),
    log: createSilentLog(),
    ...nmaOptions,
  });
  nma.start();
  t.teardown(() => nma.stop());
  const inject = (fieldId: number, value: number, gpuId = 0) =>
    engine.inject({
      gpuId,
      fieldId,
      value,
      text: String(value),
      stampMs: (Math.floor(clock.now() / 1000) + 1) * 1000,
    });
  return {
    clock,
    cluster,
    engine,
    kernelLog,
    nma,
    lines,
    inject,
    /** Until the policies listen. */
    settle: () => clock.advance(40_000),
    gpu: () => cluster.condition('n1', 'AcceleratedHardwareReady'),
    messages: () => cluster.events().map((event) => `${event.count} ${event.message}`),
    /** The `msg` of the JSON lines, and plain lines as they are. */
    said: () =>
      lines.map((line) => (line.startsWith('{') ? (JSON.parse(line) as { msg: string }).msg : line)),
  };
}
