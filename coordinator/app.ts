import type { FastifyInstance } from 'fastify';
import type { Clock } from '../shared/clock.ts';
import { Refusal } from '../shared/errors.ts';
import type { Gate } from '../shared/http/gate.ts';
import { registerKillSwitch } from '../shared/http/kill-switch-metric.ts';
import type { ApiInfo } from '../shared/http/openapi/document.ts';
import { createServer } from '../shared/http/server.ts';
import type { ServerTls } from '../shared/http/tls.ts';
import type { Log } from '../shared/log.ts';
import { noticeOf } from '../shared/schemas/kill-switch.ts';
import { version } from '../shared/version.ts';
import { registerAgentsUp } from './agents/metrics.ts';
import type { Agents } from './agents/port.ts';
import { faults, notOffered } from './catalogue/catalogue.ts';
import { findFault } from './catalogue/parameters.ts';
import type { FaultRow } from './catalogue/row.ts';
import { assertCatalogue } from './catalogue/validate.ts';
import { holdLease } from './cluster/lease.ts';
import type { Cluster, KubeObject } from './cluster/port.ts';
import type { Rule } from './diagnosis/rule.ts';
import { rules as allRules } from './diagnosis/rules.ts';
import { links as allLinks, type LinkRow } from './drill/links.ts';
import { restoresAtEnd } from './drill/restoring.ts';
import { pageOrElse } from './page/refusal.ts';
import { pageBase, registerOwnPage } from './page-source.ts';
import { type Asked, createPlanner, type Planner } from './plan/planner.ts';
import { previewExperiment } from './preview/experiment.ts';
import { confidenceIn } from './preview/preview.ts';
import { assertRepairAsAsked } from './repair/forbidden.ts';
import { registerCoverageMetrics } from './report/coverage-metrics.ts';
import { registerReportRoutes } from './report/route.ts';
import type { RestorePods } from './restore/port.ts';
import { createRestorer } from './restore/restorer.ts';
import { registerExperimentRoutes } from './routes/experiments.ts';
import { registerFaultRoutes } from './routes/faults.ts';
import { createExperimentFeed } from './routes/feed.ts';
import { registerKillSwitchRoutes } from './routes/kill-switch.ts';
import { registerNodeRoutes } from './routes/nodes.ts';
import { formatProblem, Problem } from './routes/problem.ts';
import { runKillSwitch, withKillSwitch } from './run/kill-switch.ts';

import { createRunnerMetrics } from './run/metrics.ts';
import { type Retention, retainExperiments } from './run/retention.ts';
import { runExperiments } from './run/runner.ts';
import { assertInstalled } from './store/crds.ts';
import { createKillSwitch } from './store/kill-switch.ts';
import { createKillSwitchEvents } from './store/kill-switch-events.ts';
import { createCollector, type RepairSources } from './view/collect.ts';
import type { DrillFacts, Facts } from './view/facts.ts';
import { createKnownStore } from './view/known-store.ts';
import { optInLabel, optInValue } from './view/node.ts';
import { createPodWatches } from './view/pods-on-node.ts';
import { createReadNode } from './view/read-node.ts';
import type { View } from './view/view.ts';
import { createWatcher } from './view/watcher.ts';
import { registerWhyRoute } from './why/route.ts';

/** A coordinator without its process: everything real comes in as an argument. */
export type CoordinatorOptions = {
  readonly cluster: Cluster;
  /** Not started so far, over the same cluster and namespace: `run` starts and stops it. */
  readonly view: View;
  readonly agents: Agents;
  /** Where its Experiments, Injections and Lease are. */
  readonly namespace: string;
  /** In the Lease; another replica has another one. */
  readonly identity: string;
  /** Without renewal for this long another replica takes over. */
  readonly leaseSeconds: number;
  readonly clock: Clock;
  readonly random: () => number;
  /** Makes the name of an Experiment that comes without one. */
  readonly newName: () => string;
  /** Who is let in; absent: everybody who can connect. */
  readonly gate?: Gate;
  /** Names by which it may be called beside loopback and its own address; absent: none. */
  readonly hosts?: readonly string[];
  /** Certificate and key; absent: plain HTTP. */
  readonly tls?: ServerTls;
  /** What decides on repairs and is not in the API server; absent: nothing is known of it. */
  readonly repairSettings?: RepairSources;
  /** When the records of ended experiments are removed; absent: never. */
  readonly retention?: Retention;
  /** Whether pods of NMA and its host engine may be restarted to restore nodes; absent: no, and it is refused to request that. */
  readonly restore?: boolean;
  /** The catalogue, if it is another. */
  readonly rows?: readonly FaultRow[];
  /** The links of the chain, if they are others. */
  readonly links?: readonly LinkRow[];
  /** The causes that explain a drill, if they are others. */
  readonly rules?: readonly Rule[];
  readonly log: Log;
};

/** The REST server, not yet listening, and the loop behind it. */
export type Coordinator = {
  readonly app: FastifyInstance;
  /** Watches and works until the signal is aborted, from when the API server answers; rejects with `crds_missing` where there is nothing to work on. */
  run(signal: AbortSignal): Promise<void>;
};

/** A thousand names of nodes, which a target may have, each of 253 characters. */
const longestBody = 512 * 1024;

const api: Omit<ApiInfo, 'hasGate'> = {
  title: 'Xidrill coordinator',
  version,
  description:
    'Fire drills for GPU nodes: what is injected, what must follow, and why it did not. Errors are RFC 9457 problem documents.',
  tags: {
    experiments: 'Drills: plan, run, follow, abort and delete them.',
    faults: 'The catalogue of what can be injected, and what a healthy cluster shows.',
    nodes: 'The nodes of the cluster, and what would stand in the way of a drill.',
    killswitch: 'The kill switch: nothing is injected while it is engaged.',
    why: 'Explains a pasted text, without the cluster.',
    program: 'Health, metrics and this document; open to everybody.',
  },
  page: `${pageBase}/`,
  error: { type: 'application/problem+json', schema: Problem },
};

/** The coordinator without its process: everything real comes in as an argument. */
export async function createCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const {
    cluster,
    view,
    agents,
    namespace,
    clock,
    log,
    rows = faults,
    links = allLinks,
    rules = allRules,
  } = options;
  assertCatalogue(rows, notOffered);
  const readySoon = () => inTime(view.ready, () => view.missing() ?? 'not ready');
  const store = createKnownStore({ cluster, namespace, view, ready: readySoon });
  const collector = createCollector({ cluster, view, agents, clock, settings: options.repairSettings });
  const watcher = createWatcher(view);
  const feed = createExperimentFeed(view);
  const nodes = () => view.all('nodes');
  const changed = createKillSwitchEvents({ cluster, namespace, clock, log });
  const killSwitch = createKillSwitch({ cluster, namespace, clock, changed });
  const notice = () => noticeOf(killSwitch.last());
  const optedIn = () => namesOptedIn(nodes());
  const planner = createPlanner({
    nodes,
    collector,
    store,
    rows,
    links,
    assertRepair: assertRepairAsAsked,
  });

  const { app, metrics } = createServer({
    log,
    formatError: pageOrElse(pageBase, formatProblem),
    bodyLimitBytes: longestBody,
    api,
    ...(options.gate === undefined ? {} : { gate: options.gate }),
    ...(options.hosts === undefined ? {} : { hosts: options.hosts }),
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    notReady: view.missing,
    notice,
  });
  const runnerMetrics = createRunnerMetrics(metrics, {
    faults: rows.map(({ name }) => name),
    causes: [...rules.map(({ code }) => code), 'unexplained'],
  });
  registerAgentsUp(metrics, { agents, clock, nodes: optedIn });
  registerCoverageMetrics(metrics, { rows, view });
  registerKillSwitch(metrics, () => killSwitch.last().engaged);
  /** Of an experiment that will run; a dry run is allowed while the switch is engaged. */
  const choose: Planner['choose'] = async (experiment) => {
    await killSwitch.assertReleased();
    if (restoresAtEnd(experiment.spec)) assertEnabled(options.restore);
    return planner.choose(experiment);
  };
  const asking = {
    ...{ store, clock, newName: options.newName, ready: readySoon, check: choose },
    preview: (experiment: Asked) => previewExperiment({ planner, collector }, experiment),
  };
  const assertRestores = () => assertEnabled(options.restore);
  registerOwnPage(app, { ...asking, view, collector, killSwitch, rows, assertRestores });
  await app.register(async (routes) => {
    registerExperimentRoutes(routes, { ...asking, feed, assertRestores });
    registerReportRoutes(routes, { store, rows, nodes, ready: readySoon });
    registerFaultRoutes(routes, { rows, collector, ready: readySoon });
    registerKillSwitchRoutes(routes, { killSwitch, namespace });
    registerWhyRoute(routes);
    registerNodeRoutes(routes, { view, collector, rows, findAgent: agents.find, ready: readySoon });
  });

  return {
    app,
    async run(signal) {
      try {
        await assertInstalled({ cluster, namespace, clock, log }, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        throw thrown;
      }
      view.start(signal);
      const restoring = { pods: restartedIn(cluster), onEnd: runnerMetrics.restored };
      const looking = { store, collector, readNode: createReadNode(cluster), killSwitch: notice };
      const deps = {
        ...options,
        ...looking,
        restorer: createRestorer({ ...options, ...looking, ...restoring }),
        undo: (fault: string) => findFault(fault, rows).undo,
        links,
        rules,
        watcher,
        watchPods: createPodWatches({ cluster, clock, random: options.random, log }),
        planner: { ...planner, choose },
        confidence: (drill: DrillFacts, facts: Facts) => confidenceIn(drill, facts, rows),
        agents: withKillSwitch(agents, killSwitch),
        metrics: runnerMetrics,
      };
      const passedOn = runKillSwitch({ killSwitch, agents, view, store, nodes: optedIn, log }, signal);
      await holdLease(
        { cluster, namespace, identity: options.identity, seconds: options.leaseSeconds, clock, log },
        async (held) => {
          await view.ready;
          const { retention } = options;
          const { removed } = runnerMetrics;
          await Promise.all([
            runExperiments(deps, held),
            retention && retainExperiments({ ...deps, removed }, retention, held),
          ]);
        },
        signal,
      );
      await passedOn;
      await view.stop();
    },
  };
}

function restartedIn(cluster: Cluster): RestorePods {
  return { restart: ({ namespace, name, uid }) => cluster.remove('pods', { namespace, name }, uid) };
}

function assertEnabled(restore: boolean | undefined): void {
  if (restore === true) return;
  throw new Refusal('restore_disabled', 'restore: this coordinator restarts no pods', {
    field: 'restore',
    remedy: 'install the chart with restore.enabled=true (the coordinator with --restore), or leave it out',
  });
}

/** Nodes that may be drilled, by their label. */
function namesOptedIn(nodes: readonly KubeObject[]): string[] {
  return nodes
    .filter(({ metadata }) => metadata.labels?.[optInLabel] === optInValue)
    .map(({ metadata }) => metadata.name);
}

/** What a request may wait for the first lists: a cluster that does not answer is an answer. */
const readyPatienceMs = 10_000;

async function inTime(ready: Promise<void>, because: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new Refusal('cluster_unreachable', `the coordinator is not ready: ${because()}`)),
      readyPatienceMs,
    );
  });
  try {
    await Promise.race([ready, late]);
  } finally {
    clearTimeout(timer);
  }
}
