import type { FastifyInstance } from 'fastify';
import type { Clock } from '../shared/clock.ts';
import { inParallel } from '../shared/parallel.ts';
import type { FaultRow } from './catalogue/row.ts';
import { reportOn } from './doctor/doctor.ts';
import { examineNode } from './doctor/examine.ts';
import { isRestoreComing, nextRequest, standingOf } from './drill/restoring.ts';
import { specFrom } from './drilling/request.ts';
import { barredByGate } from './page/actions.ts';
import type { PageSource, PlannedNode } from './page/port.ts';
import { registerPage } from './page/routes.ts';
import type { ExperimentPreview } from './preview/experiment.ts';
import { previewNode, type TargetPreview } from './preview/preview.ts';
import { coverageOf } from './report/coverage.ts';
import type { KillSwitch } from './store/kill-switch.ts';
import type { Experiment, Store } from './store/store.ts';
import type { Collector } from './view/collect.ts';
import { hasGpu } from './view/node.ts';
import { createSharedReads } from './view/shared-reads.ts';
import type { View } from './view/view.ts';

type Asked = Pick<Experiment, 'metadata' | 'spec'>;

/** How long a report on the fleet counts, milliseconds: many readers at once must not judge a thousand nodes each. */
const fleetForMs = 3000;

/** How many nodes are judged between two turns of everything else. */
const nodesAtOnce = 50;

/** What a coordinator's page is made of. */
type PageDeps = {
  readonly view: View;
  readonly collector: Collector;
  readonly store: Store;
  readonly killSwitch: Pick<KillSwitch, 'read' | 'set'>;
  readonly rows: readonly FaultRow[];
  readonly clock: Clock;
  readonly ready: () => Promise<void>;
  readonly newName: () => string;
  /** Refuses what no run could carry out on the cluster as it is now. */
  readonly check: (experiment: Asked) => Promise<unknown>;
  readonly preview: (experiment: Asked) => Promise<ExperimentPreview>;
  /** Refuses with `restore_disabled` where nodes may not be restored. */
  readonly assertRestores: () => void;
};

/** Where it is on a coordinator; `/` sends browsers there. */
export const pageBase = '/page';

/** Adds the page of a coordinator: its live view, and what its REST interface would answer. */
export function registerOwnPage(app: FastifyInstance, deps: PageDeps): void {
  registerPage(app, {
    source: createPageSource(deps),
    rows: deps.rows,
    namespace: deps.store.namespace,
    base: pageBase,
    reportOf: (name) => `/api/v1/experiments/${encodeURIComponent(name)}/report?format=html`,
    barred: barredByGate,
    eventsOf: (name) => `/api/v1/experiments/${encodeURIComponent(name)}/events`,
  });
}

function createPageSource(deps: PageDeps): PageSource {
  const { view, collector, store, clock, ready } = deps;
  const shared = createSharedReads(clock, fleetForMs);

  return {
    async fleet(all) {
      await ready();
      return shared(all ? 'all nodes' : 'GPU nodes', async () => {
        const nodes = view.all('nodes').filter((node) => all || hasGpu(node));
        const names = nodes.map(({ metadata }) => metadata.name).toSorted();
        const found = await inParallel(names, nodesAtOnce, async (name) =>
          examineNode(await collector.standing(name)),
        );
        return reportOn({ known: view, nodes: found, clock, notRead: notRead(view) });
      });
    },
    async node(name) {
      await ready();
      const facts = await collector.facts(name);
      const { events } = view.observe(name);
      return { facts, finding: examineNode(facts), checks: previewNode(facts).checks, events };
    },
    drills: () => store.listExperiments(),
    async drill(name) {
      const experiment = await store.requireExperiment(name);
      const injections = await store.listInjections(name);
      return { experiment, injections, ...standingOf(experiment) };
    },
    async coverage() {
      await ready();
      const injections = await store.listInjections();
      return coverageOf({ rows: deps.rows, nodes: view.all('nodes'), injections });
    },
    killSwitch: () => deps.killSwitch.read(),
    async plan(form) {
      await ready();
      const spec = specFrom(form);
      // The name decides on nothing here: the seed is that of the spec.
      const { targets, skipped } = await deps.preview({ metadata: { name: 'dry-run' }, spec });
      return { spec, nodes: targets.map(({ node }) => node), targets: targets.map(plannedNode), skipped };
    },
    async start(form) {
      await ready();
      const spec = specFrom(form);
      const name = deps.newName();
      await deps.check({ metadata: { name }, spec });
      await store.createExperiment(name, spec, {});
      return name;
    },
    async abort(name) {
      await store.abortExperiment(name);
    },
    async restore(name) {
      const { spec, status } = await store.requireExperiment(name);
      deps.assertRestores();
      if (isRestoreComing(spec, status)) return;
      await store.requestRestore(name, nextRequest(spec, status));
    },
    setKillSwitch: (call, by) => deps.killSwitch.set(call, by),
  };
}

function plannedNode(target: TargetPreview): PlannedNode {
  const { node, writes, chain, refusals, confidence, risk, undo } = target;
  return {
    node,
    writes,
    expected: chain.map(({ id, expected }) => ({ link: id, expected })),
    refusals,
    confidence,
    risk,
    undo,
  };
}

/**
 * Kinds of objects that the coordinator may not read, or does not see just now. NodeClaims are none of them: nothing here rests on
 * them, and a cluster without Karpenter has none.
 */
function notRead(view: View) {
  return view.states().flatMap(({ kind, unread, gap }) => {
    if (kind === 'nodeClaims') return [];
    if (unread !== undefined) return [{ what: kind, because: unread.unread, command: unread.remedy ?? '' }];
    return gap === undefined
      ? []
      : [{ what: kind, because: `not seen since ${gap.since}: ${gap.because}`, command: '' }];
  });
}
