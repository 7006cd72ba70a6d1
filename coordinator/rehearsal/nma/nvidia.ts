import type { Clock } from '../../../shared/clock.ts';
import { messageFromUnknown } from '../../../shared/errors.ts';
import {
  deviceCountTickMs,
  engineGraceMs,
  engineRequestTimeoutMs,
  fieldTickMs,
  healthTickMs,
  reconcileTickMs,
} from '../../../shared/nma-timing.ts';
import {
  deviceCountReaction,
  engineLossReaction,
  fieldReaction,
  healthReaction,
  policyReaction,
  type Reaction,
  reaction,
} from '../../catalogue/nma/reactions.ts';
import type { NmaVersion } from '../../catalogue/nma/versions.ts';
import type { EngineConnection, HostEngine } from '../host-engine/engine.ts';
import type { PodLog } from './pod-log.ts';
import { everyTick } from './ticks.ts';

/** What the NVIDIA monitor sees of its node, and where its findings go. */
export type NvidiaDeps = {
  readonly row: NmaVersion;
  /** What answers at the engine's address now; undefined: no engine. */
  readonly engine: () => HostEngine | undefined;
  /** Names that match /dev/nvidia[0-9]*; absent: as many as the engine has GPUs. */
  readonly deviceFiles?: () => number;
  /** GPUs of the instance type; absent: the metadata service did not answer. */
  readonly expectedGpus?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly podLog: PodLog;
  readonly notify: (reaction: Reaction) => void;
  readonly signal: AbortSignal;
};

/** The DCGM side of NMA's NVIDIA monitor (monitors/nvidia/dcgm): connection, policies, health, watched fields, count. */
export async function runNvidiaMonitor(deps: NvidiaDeps): Promise<void> {
  const { row, clock, random, podLog, notify, signal } = deps;
  let connection: EngineConnection | undefined;
  let lastShutdownMs = clock.now();

  function shutDown(): void {
    if (connection === undefined) return;
    connection.close();
    connection = undefined;
    lastShutdownMs = clock.now();
  }

  async function isAlive(known: EngineConnection): Promise<boolean> {
    const state = known.alive();
    if (state === 'yes') return true;
    // A stopped process keeps the connection open; the question runs into its own time limit.
    if (state === 'silent') await clock.sleep(engineRequestTimeoutMs, signal);
    return known.alive() === 'yes';
  }

  async function reconcile(): Promise<void> {
    if (connection !== undefined) {
      if (await isAlive(connection)) return;
      podLog.info('failed to health check DCGM', {
        'introspection error': 'Host engine connection invalid/disconnected',
      });
    }
    shutDown();
    let opened: EngineConnection;
    try {
      opened = connect(deps.engine());
    } catch (thrown) {
      if (clock.now() - lastShutdownMs < engineGraceMs) return;
      fail(engineLossReaction(messageFromUnknown(thrown)));
      return;
    }
    // From here on the client counts as initialised, even if it fails half way: it is not tried again then.
    connection = opened;
    try {
      setUp(opened);
    } catch (thrown) {
      fail(reaction('fatal', 'DCGMError', `failed to register DCGM policies: ${messageFromUnknown(thrown)}`));
      return;
    }
    podLog.debug('DCGM was initialized', { monitor: 'nvidia' });
  }

  function fail(lost: Reaction): void {
    podLog.error('failed to reconcile DCGM state', lost.message, { monitor: 'nvidia' });
    notify(lost);
  }

  function setUp(opened: EngineConnection): void {
    opened.registerPolicies(
      (violation) => {
        const found = policyReaction(row, violation);
        if (found !== undefined) notify(found);
      },
      { keepThresholds: row.keepsPolicyThresholds },
    );
    podLog.plain(`${goTime(clock.now())} Listening for violations...`);
    opened.enableHealth();
    opened.watchFields('watch', row.watchedFields);
  }

  /** What a tick does with the engine, if there is one. */
  function asking(what: string, failed: string, ask: (live: EngineConnection) => void): () => void {
    return () => {
      if (connection === undefined) {
        podLog.debug(`could not ${what}. DCGM is not yet initialized`, { monitor: 'nvidia' });
        return;
      }
      try {
        ask(connection);
      } catch (thrown) {
        podLog.error(failed, messageFromUnknown(thrown), { monitor: 'nvidia' });
      }
    };
  }

  const checkHealth = asking('run health check', 'failed to run DCGM health check', (live) => {
    for (const incident of live.healthCheck()) {
      const found = healthReaction(row, incident);
      if (found !== undefined) notify(found);
      else podLog.debug('ignoring IMEX health code on non-NVLink multi-node system', { code: incident.code });
    }
  });
  const readFields = asking('get field values', 'failed to watch DCGM fields', (live) => {
    for (const { fieldId, value } of live.valuesSince(clock.now() - fieldTickMs)) {
      const found = fieldReaction(row, fieldId, value);
      if (found !== undefined) notify(found);
    }
  });
  const countDevices = asking('get device count', 'failed to check DCGM device count', (live) => {
    const dcgm = live.deviceCount();
    const files = deps.deviceFiles?.() ?? dcgm;
    const { expectedGpus } = deps;
    const counts = { dcgm, files, ...(expectedGpus !== undefined && { expected: expectedGpus }) };
    const found = deviceCountReaction(row, counts);
    if (found !== undefined) notify(found);
  });

  const base = { clock, signal, random };
  await Promise.all([
    everyTick({ ...base, periodMs: reconcileTickMs }, () =>
      reconcile().catch((thrown) => {
        if (!signal.aborted) throw thrown;
      }),
    ),
    everyTick({ ...base, periodMs: healthTickMs }, checkHealth),
    everyTick({ ...base, periodMs: fieldTickMs }, readFields),
    everyTick({ ...base, periodMs: deviceCountTickMs }, countDevices),
  ]);
  shutDown();
}

function connect(engine: HostEngine | undefined): EngineConnection {
  if (engine === undefined) throw new Error('dial tcp 127.0.0.1:5555: connect: connection refused');
  return engine.connect('eks-node-monitoring-agent');
}

/** Go's log package. */
function goTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 19).replaceAll('-', '/').replace('T', ' ');
}
