import { Gauge, type Registry } from 'prom-client';
import type { FaultRow } from '../catalogue/row.ts';
import { injectionFrom } from '../store/store.ts';
import type { View } from '../view/view.ts';
import { coverageOf, coverageStates } from './coverage.ts';

/** Pools that have series of their own; those behind them in the alphabet are counted by state only. */
const mostPools = 50;

/** Registers the gauges of coverage, made from what is stored at each scrape. */
export function registerCoverageMetrics(
  registry: Registry,
  deps: {
    readonly rows: readonly FaultRow[];
    readonly view: Pick<View, 'all'>;
  },
): void {
  const pairs = new Gauge({
    name: 'xidrill_coverage_pairs',
    help: 'Pairs of a fault and a pool of nodes by state: proven, broken, undecided, never',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      const { cells, pools } = coverageOf({
        rows: deps.rows,
        nodes: deps.view.all('nodes'),
        injections: deps.view.all('injections').map(injectionFrom),
      });
      for (const state of coverageStates)
        pairs.set({ state }, cells.filter((cell) => cell.state === state).length);
      const shown = new Set(pools.slice(0, mostPools).map(({ pool }) => pool));
      proven.reset();
      seconds.reset();
      for (const { fault, pool, lastProven } of cells) {
        if (lastProven === null || !shown.has(pool)) continue;
        const at = Date.parse(lastProven.at) / 1000;
        if (Number.isFinite(at)) proven.set({ fault, pool }, at);
        if (lastProven.seconds !== null) seconds.set({ fault, pool }, lastProven.seconds);
      }
      xids.reset();
      for (const { pool, byXid = [] } of cells)
        for (const { xid, lastProven } of shown.has(pool) ? byXid : []) {
          const at = Date.parse(lastProven?.at ?? '') / 1000;
          if (Number.isFinite(at)) xids.set({ xid, pool }, at);
        }
    },
  });
  const proven = new Gauge({
    name: 'xidrill_coverage_proven_timestamp_seconds',
    help: 'When a drill of the fault last passed on a node of the pool, Unix time; no series: never',
    labelNames: ['fault', 'pool'],
    registers: [registry],
  });
  const xids = new Gauge({
    name: 'xidrill_coverage_xid_proven_timestamp_seconds',
    help: 'When a drill of this Xid last passed on a node of the pool, Unix time; no series: never',
    labelNames: ['xid', 'pool'],
    registers: [registry],
  });
  const seconds = new Gauge({
    name: 'xidrill_coverage_detection_seconds',
    help: 'How long the expected reaction took in the drill that last passed',
    labelNames: ['fault', 'pool'],
    registers: [registry],
  });
}
