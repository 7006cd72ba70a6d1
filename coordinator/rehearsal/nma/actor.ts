import type { KernelLog } from '../../../agent/kernel-log/port.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { heartbeatTickMs, reportTickMs } from '../../../shared/nma-timing.ts';
import type { PluginName } from '../../catalogue/expectation.ts';
import { monitorOf, monitors } from '../../catalogue/nma/conditions.ts';
import type { NmaVersion } from '../../catalogue/nma/versions.ts';
import type { Cluster } from '../../cluster/port.ts';
import type { HostEngine } from '../host-engine/engine.ts';
import { type Credentials, credentialFailure } from './credentials.ts';
import { createEventRecorder } from './events.ts';
import { createNodeExporter } from './exporter.ts';
import type { FileTail } from './file-tail.ts';
import { runNvidiaMonitor } from './nvidia.ts';
import { type Finding, observeLogs } from './observers.ts';
import { createPodLog, type PodLog } from './pod-log.ts';
import { everyTick } from './ticks.ts';

/** One simulated NMA: its version, its node, and what it can see there. */
export type NmaOptions = {
  /** The ServiceAccount's: events. */
  readonly cluster: Cluster;
  /** The kubelet's: conditions. Default: the same. */
  readonly kubeletCluster?: Cluster;
  readonly node: string;
  readonly version: NmaVersion;
  readonly arch: 'amd64' | 'arm64';
  /** Of the node; its journal takes the records of the kernel log from it as well. */
  readonly kernelLog: KernelLog;
  /** Of the node; absent: NMA follows no file. */
  readonly files?: FileTail;
  /**
   * What answers at the engine's address. Absent: the DCGM side is no part of this simulation. Returning undefined:
   * no engine answers, and NMA reports that after its grace time.
   */
  readonly engine?: () => HostEngine | undefined;
  /** Whose driver was loaded when NMA started; default nvidia. */
  readonly accelerator?: 'nvidia' | 'neuron' | 'none';
  /** How many names match /dev/nvidia[0-9]*; absent: as many as the engine has GPUs. */
  readonly deviceFiles?: () => number;
  /** GPUs of the instance type; absent: not known. */
  readonly expectedGpus?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly credentials: Credentials;
  /** Default: all, as without a configuration file. */
  readonly plugins?: readonly PluginName[];
  /** Gets each line that a real NMA would write to its container's log. */
  readonly podLog: (line: string) => void;
  readonly log: Log;
};

/** A monitoring agent that writes conditions and events as the real one does (nma.md). */
export type Nma = {
  /** Begins with all conditions True and writes them at the first report tick. */
  start(): void;
  /** Ends the process; the conditions on the node stay and age. */
  stop(): Promise<void>;
  /** Everything that it remembers is gone: conditions are True again, counters and event caches are empty. */
  restart(): Promise<void>;
  /** A finding of a monitor that is not simulated (networking, container runtime …), while it runs. */
  find(plugin: PluginName, finding: Finding): void;
};

type Life = {
  readonly abort: AbortController;
  readonly find: (plugin: PluginName, finding: Finding) => void;
  readonly ended: Promise<unknown>;
};

/** A node monitoring agent as it behaves towards the API server, the kernel log and a host engine. */
export function createNma(options: NmaOptions): Nma {
  let life: Life | undefined;

  function start(): void {
    if (life === undefined) life = live(options);
  }

  async function stop(): Promise<void> {
    const ending = life;
    life = undefined;
    ending?.abort.abort(new Error('the process ends'));
    await ending?.ended;
  }

  return {
    start,
    stop,
    async restart() {
      await stop();
      start();
    },
    find: (plugin, finding) => life?.find(plugin, finding),
  };
}

function live(options: NmaOptions): Life {
  const { clock, node, version: row, kernelLog, files, log } = options;
  const abort = new AbortController();
  const { signal } = abort;
  const podLog = createPodLog({ clock, node, row, write: options.podLog });
  const failure = credentialFailure(options.credentials, row);

  podLog.info('starting eks-node-monitoring-agent', row.logsVersion ? { version: `v${row.version}` } : {});
  if (failure !== undefined) {
    for (const what of [
      'failed to determine whether host is an EKS Hybrid Node',
      'failed to bootstrap node information',
    ]) {
      for (const line of failure.lines) podLog.plain(line);
      podLog.error(what, failure.error);
    }
  }
  const plugins = registeredPlugins(options, podLog);
  const rows = plugins.map((plugin) => monitorOf(row, plugin));
  podLog.info('initializing node exporter');
  const exporter = createNodeExporter({
    cluster: options.kubeletCluster ?? options.cluster,
    clock,
    node,
    monitors: rows,
    podLog,
    failure,
  });
  const events = createEventRecorder({ cluster: options.cluster, clock, node, podLog, signal });
  podLog.info('starting node exporter');
  podLog.info('initializing monitoring manager');
  for (const { monitor, conditionType } of rows) {
    podLog.info('registered monitor with manager', { name: monitor, conditionType });
  }

  const occurrences = new Map<string, number>();
  /** One loop for all monitors: a finding that waits for the exporter's lock holds up the ones behind it. */
  let loop: Promise<void> = Promise.resolve();

  function find(plugin: PluginName, finding: Finding): void {
    if (signal.aborted || !plugins.includes(plugin)) return;
    loop = loop.then(() => exportFinding(plugin, finding));
  }

  async function exportFinding(plugin: PluginName, finding: Finding): Promise<void> {
    const { minOccurrences = 0, conditionType } = finding;
    const condition = {
      Reason: finding.reason,
      Message: finding.message,
      Severity: finding.severity === 'fatal' ? 'Fatal' : 'Warning',
      MinOccurrences: minOccurrences,
    };
    const seen = occurrences.get(finding.reason) ?? 0;
    if (seen < minOccurrences) {
      const source = monitorOf(row, plugin).monitor;
      podLog.info('condition has not met MinOccurrences', {
        source,
        condition,
        conditionType,
        occurrences: seen,
      });
      occurrences.set(finding.reason, seen + 1);
      return;
    }
    occurrences.set(finding.reason, 0);
    podLog.info('sending condition to exporter', { condition, conditionType });
    if (finding.severity === 'fatal') await exporter.fatal(finding);
    else events.warning(conditionType, `${finding.reason}: ${finding.message}`);
  }

  const plain = { clock, signal };
  const work = [
    everyTick({ ...plain, periodMs: heartbeatTickMs }, exporter.heartbeat),
    everyTick({ ...plain, periodMs: reportTickMs }, exporter.report),
    observeLogs({ row, kernelLog, files, clock, podLog, signal, find }),
    watchGpus(options, podLog, plugins, signal, find),
  ];
  const ended = Promise.allSettled(work).then(async (results) => {
    for (const result of results) {
      if (result.status === 'rejected') log.error({ err: result.reason, node }, 'the simulated NMA broke');
    }
    await loop;
    await events.flush();
  });
  return { abort, find, ended };
}

/** A monitor without its hardware is not registered, and its condition does not exist. */
function registeredPlugins(options: NmaOptions, podLog: PodLog): readonly PluginName[] {
  const { accelerator = 'nvidia', plugins = monitors.map((monitor) => monitor.plugin) } = options;
  const disabled = monitors.map((monitor) => monitor.plugin).filter((plugin) => !plugins.includes(plugin));
  if (disabled.length > 0) podLog.info('monitors disabled by configuration', { plugins: disabled });
  podLog.info('enabled monitors', { count: plugins.length });
  return plugins.filter((plugin) => {
    if ((plugin !== 'nvidia' && plugin !== 'neuron') || plugin === accelerator) return true;
    podLog.info(`skipping monitor registration: no ${plugin} hardware detected`, { monitor: plugin });
    return false;
  });
}

async function watchGpus(
  options: NmaOptions,
  podLog: PodLog,
  plugins: readonly PluginName[],
  signal: AbortSignal,
  find: (plugin: PluginName, finding: Finding) => void,
): Promise<void> {
  const { version: row, arch, engine, clock, random, deviceFiles, expectedGpus } = options;
  if (!plugins.includes('nvidia')) return;
  if (row.arm64Gate && arch === 'arm64') {
    // Nothing is watched, and the condition is True all the same.
    podLog.info(
      'NVIDIA-based monitoring is disabled for the arm64 architecture in this version of the agent',
      {
        monitor: 'nvidia',
      },
    );
    return;
  }
  if (engine === undefined) return;
  await runNvidiaMonitor({
    row,
    engine,
    ...(deviceFiles !== undefined && { deviceFiles }),
    ...(expectedGpus !== undefined && { expectedGpus }),
    clock,
    random,
    podLog,
    notify: (reaction) => find('nvidia', reaction),
    signal,
  });
}
