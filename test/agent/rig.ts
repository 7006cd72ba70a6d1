import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Test } from 'tap';
import { createAgent } from '../../agent/app.ts';
import { createDcgm, type Dcgm } from '../../agent/dcgm/client.ts';
import { createFakeEngineProcesses } from '../../agent/engine-process/fake.ts';
import { createFakeHostFiles } from '../../agent/host-files/fake.ts';
import { createFakeSystemJournal } from '../../agent/host-files/journald/fake.ts';
import { openHeld } from '../../agent/injection/held.ts';
import { createFakeKernelLog } from '../../agent/kernel-log/fake.ts';
import type { KernelLog } from '../../agent/kernel-log/port.ts';
import { createFakeNvml } from '../../agent/nvml/fake.ts';
import type { DirectPolicy } from '../../agent/policy/direct.ts';
import type { OptIn } from '../../agent/policy/opt-in.ts';
import { createFakeDcgmi, createFakeEngineFinder } from '../../coordinator/rehearsal/host-engine/dcgmi.ts';
import { createHostEngine } from '../../coordinator/rehearsal/host-engine/engine.ts';
import type { Gate } from '../../shared/http/gate.ts';
import { createSilentLog, type Log } from '../../shared/log.ts';
import type { AgentLack, GpuFacts } from '../../shared/schemas/inventory.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { logFiles } from '../../shared/surfaces/log-file.ts';
import { createManualClock } from '../manual-clock.ts';

export const service = '/xidrill.agent.v1.AgentService';

/** As NVML and DCGM number them, which is not the same order. */
export const gpus = [
  { index: 0, dcgmId: 1, uuid: 'GPU-11111111-0000-0000-0000-000000000000', pci: '00000000:3B:00.0' },
  { index: 1, dcgmId: 0, uuid: 'GPU-22222222-0000-0000-0000-000000000000', pci: '00000000:00:1F.0' },
] as const;

export type Answer = {
  readonly status: number;
  readonly body: Receipt & {
    readonly code: string;
    readonly message: string;
    readonly details: { readonly reason: string; readonly field?: string; readonly receipt?: Receipt };
  } & Record<string, unknown>;
};

export type RigOptions = {
  readonly armed?: boolean;
  /** Why NVML does not answer. */
  readonly nvmlBroken?: string;
  readonly engines?: 'none' | 'nobody-listens' | 'listened';
  /** What the agent lacks, as far as that shows without asking anybody. */
  readonly lacks?: readonly AgentLack[];
  readonly kernelLog?: KernelLog;
  readonly stateDir?: string;
  readonly gate?: Gate;
  readonly direct?: DirectPolicy;
  readonly optIn?: OptIn;
  /** What goes on ends without a coordinator. */
  readonly needsLease?: boolean;
  /** The agent's `receipts`, in two members. */
  readonly keep?: number;
  readonly pruneEvery?: number;
  readonly log?: Log;
  /** The process of the engine stands still from the start. */
  readonly suspended?: boolean;
  /** Puts something around the agent's DCGM code. */
  readonly wrap?: (dcgm: Dcgm) => Dcgm;
};

/** An agent without a process: everything around it is simulated and time stands still. */
export async function startRig(t: Test, options: RigOptions = {}) {
  const clock = createManualClock();
  const fakeLog = createFakeKernelLog({ clock });
  const hostFiles = createFakeHostFiles({ files: [logFiles.ipamd, logFiles.messages] });
  const systemJournal = createFakeSystemJournal({ kernelLog: fakeLog });
  const nvml = createFakeNvml({ driverVersion: '580.105.08', gpus: gpus.map(facts) });
  nvml.breakWith(options.nvmlBroken);
  const engine = createHostEngine({
    clock,
    version: '4.6.0',
    gpus: gpus.map(({ dcgmId, uuid, pci }) => ({ id: dcgmId, name: 'NVIDIA A10G', uuid, pci })),
    pid: 100,
    podUid: 'pod-1',
  });
  const kind = options.engines ?? 'listened';
  if (kind === 'listened') {
    const connection = engine.connect('127.0.0.1:5555');
    connection.registerPolicies(() => undefined);
    connection.watchFields('watch', [112, 856, 857, 170, 174]);
  }
  if (options.suspended === true) engine.suspend();
  const engines = () => (kind === 'none' ? [] : [engine]);
  const stateDir = options.stateDir ?? temporaryFolder(t);
  const engineProcesses = createFakeEngineProcesses({ engines });
  const log = options.log ?? createSilentLog();
  const blind = options.lacks?.find(({ means }) => means === 'host-pid');
  let ids = 0;
  const app = createAgent({
    node: 'n1',
    agentVersion: '0.0.0',
    armed: options.armed ?? true,
    architecture: 'x64',
    bootId: 'boot-1',
    stateDir,
    ...(options.keep === undefined
      ? {}
      : { receipts: { keep: options.keep, pruneEvery: options.pruneEvery ?? 1 } }),
    needsLease: options.needsLease ?? false,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    ...(options.direct === undefined ? {} : { direct: options.direct }),
    ...(options.optIn === undefined ? {} : { optIn: options.optIn }),
    means: async () => options.lacks ?? [],
    newId: () => {
      ids += 1;
      return `made-${ids}`;
    },
    clock,
    log,
    kernelLog: options.kernelLog ?? fakeLog,
    nvml,
    hostFiles,
    systemJournal,
    held: await openHeld({ stateDir, engineProcesses, log }),
    engineProcesses,
    dcgm: (options.wrap ?? ((dcgm) => dcgm))(
      createDcgm({
        finder: { ...createFakeEngineFinder({ engines }), whyBlind: async () => blind },
        dcgmi: createFakeDcgmi({ clock, engines }),
        clock,
        log: createSilentLog(),
        // Its clock stands still.
        keepMs: 0,
      }),
    ),
  });
  t.teardown(() => app.close());
  await app.ready();

  async function call(method: string, body: unknown = {}, headers: Record<string, string> = {}) {
    const answer = await app.inject({
      method: 'POST',
      url: `${service}/${method}`,
      headers: { 'content-type': 'application/json', ...headers },
      payload: typeof body === 'string' ? body : JSON.stringify(body),
    });
    return { status: answer.statusCode, body: answer.json() as Answer['body'] };
  }

  return {
    app,
    call,
    clock,
    nvml,
    engine,
    stateDir,
    hostFiles,
    systemJournal,
    kernelLog: fakeLog,
    /** What a metric shows, by its name with labels. */
    async metric(series: string): Promise<number> {
      const { body } = await app.inject({ url: '/metrics' });
      const line = body.split('\n').find((candidate) => candidate.startsWith(`${series} `));
      if (line === undefined) throw new Error(`no series ${series}`);
      return Number(line.slice(series.length));
    },
    journalFiles: () => readdirSync(join(stateDir, 'orders')).toSorted(),
  };
}

/** A log whose lines can be read. */
export function createRecordingLog(): Log & { lines(): readonly string[] } {
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  return Object.assign(log, { lines: () => lines });
}

/** What was read back on the receipt's first surface. */
export function readBackOf(receipt: Receipt): Readonly<Record<string, unknown>> {
  return { ...receipt.surfaces[0]?.readBack };
}

export function temporaryFolder(t: Pick<Test, 'teardown'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-agent-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function facts({ index, uuid, pci }: (typeof gpus)[number]): GpuFacts {
  return {
    index,
    uuid,
    pci,
    minor: index,
    name: 'NVIDIA A10G',
    driverVersion: '580.105.08',
    temperatureCelsius: 34,
    powerWatts: 21.5,
    smClockMhz: 300,
    memoryClockMhz: 405,
    ecc: null,
    remappedRows: null,
    migEnabled: null,
    notes: [],
  };
}
