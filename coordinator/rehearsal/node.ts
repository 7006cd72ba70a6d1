import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { createAgent } from '../../agent/app.ts';
import { createDcgm } from '../../agent/dcgm/client.ts';
import { createFakeEngineProcesses } from '../../agent/engine-process/fake.ts';
import { createFakeHostFiles, type FakeHostFiles } from '../../agent/host-files/fake.ts';
import { createFakeSystemJournal, type FakeSystemJournal } from '../../agent/host-files/journald/fake.ts';
import { openHeld } from '../../agent/injection/held.ts';
import { createFakeKernelLog, type FakeKernelLog } from '../../agent/kernel-log/fake.ts';
import { createFakeNvml } from '../../agent/nvml/fake.ts';
import type { Clock } from '../../shared/clock.ts';
import type { ServerTls } from '../../shared/http/tls.ts';
import type { Log } from '../../shared/log.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { version } from '../../shared/version.ts';
import type { Cluster } from '../cluster/port.ts';
import { isAutoNode } from '../view/node.ts';
import { type AddonProcesses, createAddonProcesses } from './addon-processes.ts';
import { createFakeDcgmi, createFakeEngineFinder } from './host-engine/dcgmi.ts';
import { createHostEngine, type HostEngine } from './host-engine/engine.ts';
import { gpuFacts, type NodeRow } from './objects.ts';

/** A node that does not exist: its kernel log, host engines and monitoring agent, behind a real agent on loopback. */
export type RehearsalNode = {
  readonly row: NodeRow;
  readonly url: string;
  readonly kernelLog: FakeKernelLog;
  readonly hostFiles: FakeHostFiles;
  readonly systemJournal: FakeSystemJournal;
  readonly engines: HostEngine[];
  /** Folder of its agent's journal. */
  readonly stateDir: string;
  /** Another engine beside that of the monitoring agent, as a debug container or an exporter starts one. */
  addEngine(engine: {
    readonly pid: number;
    readonly port: number;
    readonly podUid: string | null;
  }): HostEngine;
  /** Starts the monitoring agent again, as another version or with other credentials. */
  startNma: AddonProcesses['start'];
  stopNma: AddonProcesses['stop'];
  reboot: AddonProcesses['reboot'];
  endPod: AddonProcesses['endPod'];
  beginPod: AddonProcesses['beginPod'];
  close(): Promise<void>;
};

/** What a simulated node is made of. */
export type NodeOptions = {
  readonly row: NodeRow;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly random: () => number;
  readonly newId: () => string;
  /** Folder of its agent's journal. */
  readonly stateDir: string;
  /** Of its agent on loopback; 0: any free one. */
  readonly port: number;
  readonly armed: boolean;
  /** What goes on ends without the word of a coordinator; absent: it does not. */
  readonly needsLease?: boolean;
  /** Certificate and key of its agent; absent: plain HTTP. */
  readonly tls?: ServerTls;
  /** Gets each line that a container of the node writes. */
  readonly podLog: (pod: string, line: string) => void;
  readonly log: Log;
};

/** Starts a node with its agent; resolves when that is listening. `startNma` starts NMA and its host engine. */
export async function startNode(options: NodeOptions): Promise<RehearsalNode> {
  const { row, clock, log } = options;
  const kernelLog = createFakeKernelLog({ clock });
  const hostFiles = createFakeHostFiles({ files: Object.values(logFiles) });
  const systemJournal = createFakeSystemJournal({ kernelLog });
  const engines: HostEngine[] = [];

  function addEngine(
    engine: { pid: number; port: number; podUid: string | null },
    dcgmVersion = '4.5.2',
  ): HostEngine {
    const made = createHostEngine({
      clock,
      version: dcgmVersion,
      gpus:
        row.gpu === undefined ? [] : [{ id: 0, name: row.gpu.name, pci: row.gpu.pci, uuid: row.gpu.uuid }],
      pid: engine.pid,
      address: `127.0.0.1:${engine.port}`,
      podUid: engine.podUid,
      // A node of Auto Mode has no dcgmi of its own: the agent brings one, in the chart from agent.dcgm.sidecar.
      ...(engine.podUid === null && isAutoNode({ metadata: row })
        ? { dcgmiPath: '/opt/nvidia/dcgm/bin/dcgmi' }
        : {}),
      container: engine.podUid === null ? null : engine.podUid.replaceAll('-', '').padEnd(64, '0'),
    });
    engines.push(made);
    return made;
  }

  const stateDir = join(options.stateDir, row.name);
  const engineProcesses = createFakeEngineProcesses({ engines: () => engines });
  const app: FastifyInstance = createAgent({
    node: row.name,
    agentVersion: version,
    armed: options.armed,
    needsLease: options.needsLease ?? false,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    architecture: row.arch,
    bootId: options.newId(),
    stateDir,
    newId: options.newId,
    clock,
    log,
    kernelLog,
    nvml: createFakeNvml({ driverVersion: row.gpu?.driver ?? '580.105.08', gpus: gpuFacts(row) }),
    hostFiles,
    systemJournal,
    held: await openHeld({ stateDir, engineProcesses, log }),
    engineProcesses,
    dcgm: createDcgm({
      finder: createFakeEngineFinder({ engines: () => engines }),
      dcgmi: createFakeDcgmi({ clock, engines: () => engines }),
      clock,
      log,
    }),
  });
  const url = await app.listen({ host: '127.0.0.1', port: options.port });

  const addon = createAddonProcesses({ ...options, engines, addEngine, kernelLog, hostFiles });

  return {
    row,
    url,
    kernelLog,
    hostFiles,
    systemJournal,
    engines,
    stateDir,
    addEngine,
    startNma: addon.start,
    stopNma: addon.stop,
    reboot: addon.reboot,
    endPod: addon.endPod,
    beginPod: addon.beginPod,
    async close() {
      await addon.stop();
      await app.close();
      for (const engine of engines) engine.kill();
    },
  };
}
