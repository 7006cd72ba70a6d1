import { monitorEventLoopDelay } from 'node:perf_hooks';
import { faults } from '../../coordinator/catalogue/catalogue.ts';
import { findNmaVersion } from '../../coordinator/catalogue/nma/versions.ts';
import { exampleParameters, resolveParameters } from '../../coordinator/catalogue/parameters.ts';
import { links } from '../../coordinator/drill/links.ts';
import { planTarget } from '../../coordinator/plan/plan.ts';
import { createPlanner } from '../../coordinator/plan/planner.ts';
import { type Candidate, selectNodes } from '../../coordinator/plan/select.ts';
import type { ExperimentSpec } from '../../coordinator/store/experiment.ts';
import { optInLabel, optInValue } from '../../coordinator/view/node.ts';
import { projectNode } from '../../coordinator/view/projections.ts';
import { knownTarget } from '../coordinator/targets.ts';
import { makeNode } from './memory.ts';
import { median } from './statistics.ts';

/** Milliseconds, medians of many runs. */
export type PlanningTimes = {
  readonly selectMs: number;
  readonly planMs: number;
  readonly catalogueMs: number;
};

const runs = 21;

/** What the coordinator computes for an experiment on all of so many nodes, without any input or output. */
export function measurePlanning(nodes: number): PlanningTimes {
  const candidates = Array.from({ length: nodes }, (_, index) => makeCandidate(index));
  const spec: ExperimentSpec = {
    fault: { name: 'xid', parameters: { xid: 95, surfaces: ['kernel-log', 'dcgm'] } },
    target: { mode: 'all', gpu: { index: 0 } },
  };
  const contexts = new Map(candidates.map(({ name }) => [name, knownTarget(name)]));
  const plan = ({ name }: Candidate) =>
    planTarget({
      spec,
      node: name,
      orderId: `bench-${name}`,
      marker: 'abc123',
      context: contexts.get(name) ?? {},
    });
  return {
    selectMs: medianTime(() => selectNodes(candidates, spec.target ?? {}, 1)),
    planMs: medianTime(() => selectNodes(candidates, spec.target ?? {}, 1).chosen.map(plan)),
    catalogueMs: medianTime(() =>
      faults.map((row) => resolveParameters(row, exampleParameters(row), 'abc123')),
    ),
  };
}

/** The whole of the planner's work for a drill of so many nodes, of which the first time counts: nobody drills to warm up. */
export async function measurePlanner(
  count: number,
): Promise<{ readonly planMs: number; readonly processorMs: number; readonly longestSliceMs: number }> {
  const nodes = Array.from({ length: count }, (_, index) => projectNode(makeNode(index, 0)));
  const unasked = () => Promise.reject(new Error('no node is asked for'));
  const planner = createPlanner({
    nodes: () => nodes,
    collector: {
      basics: unasked,
      repairBasics: unasked,
      nmaVersions: async () => new Map([['', findNmaVersion('1.6.4')]]),
    },
    store: { listInjections: async () => [], listExperiments: async () => [] },
    rows: faults,
    links,
    assertRepair: () => undefined,
  });
  const spec: ExperimentSpec = {
    fault: { name: 'xid', parameters: { xid: 109 } },
    target: { mode: 'all', selector: { names: nodes.map(({ metadata }) => metadata.name) } },
  };
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const experiment = { metadata: { name: 'bench', uid: 'bench' }, spec, status: undefined };
  const chosen = await planner.choose(experiment);
  const specs = await planner.injections(experiment, chosen.nodes);
  const planMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpuBefore);
  delays.disable();
  if (specs.length !== count) throw new Error(`${specs.length} of ${count} nodes were planned`);
  return { planMs, processorMs: (user + system) / 1e3, longestSliceMs: delays.max / 1e6 };
}

function makeCandidate(index: number): Candidate {
  const name = `ip-10-0-${index >> 8}-${index & 255}.ec2.internal`;
  return {
    name,
    uid: `uid-${index}`,
    labels: { [optInLabel]: optInValue },
    ready: true,
    hasGpu: true,
    deleting: false,
  };
}

function medianTime(work: () => unknown): number {
  const took: number[] = [];
  // The first third is the compilers' warm-up.
  for (let run = 0; run < runs * 1.5; run += 1) {
    const startedAt = performance.now();
    work();
    took.push(performance.now() - startedAt);
  }
  return median(took.slice(-runs));
}
