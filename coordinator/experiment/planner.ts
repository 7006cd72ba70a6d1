import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { FoundNmaVersion } from '../../shared/nma/versions.ts';
import type { ExperimentSpec, InjectionSpec } from '../../shared/schemas/experiment.ts';
import { isReady } from '../cluster/node-view.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { Collector } from '../facts/collect.ts';
import { planTarget, type TargetPlan } from '../plan/plan.ts';
import {
  type Candidate,
  optInLabel,
  optInValue,
  type Selection,
  seedFromName,
  selectNodes,
} from '../selection/select.ts';
import { isEnded, nextInjectionStep } from './machine.ts';
import { type Experiment, markerOf, orderIdOf, type Store } from './store.ts';

export type ExperimentPlan = {
  readonly seed: number;
  readonly targets: readonly TargetPlan[];
  readonly skipped: Selection['skipped'];
};

/** Selection and plans for an experiment, from the cluster as it is now; changes nothing. */
export type Planner = {
  plan(experiment: Pick<Experiment, 'metadata' | 'spec'>): Promise<ExperimentPlan>;
  /** The specs of the Injection objects for nodes that were selected earlier. */
  injections(experiment: Experiment, nodes: readonly string[]): Promise<readonly InjectionSpec[]>;
};

export function createPlanner(deps: {
  readonly nodes: () => readonly KubeObject[];
  readonly collector: Collector;
  readonly store: Store;
}): Planner {
  /** Nodes that another experiment works on, or has selected and not come to yet. */
  async function busyNodes(experiment: string): Promise<ReadonlyMap<string, string>> {
    const [injections, experiments] = await Promise.all([
      deps.store.listInjections(),
      deps.store.listExperiments(),
    ]);
    const open = injections
      .filter(({ status }) => nextInjectionStep(status) !== 'rest')
      .map(({ spec }) => [spec.node, spec.experiment] as const);
    const awaited = experiments
      .filter(({ status }) => !isEnded(status))
      .flatMap(({ metadata: { name }, status }) =>
        (status?.selected ?? [])
          .filter((node) => !injections.some(({ spec }) => spec.experiment === name && spec.node === node))
          .map((node) => [node, name] as const),
      );
    return new Map([...open, ...awaited].filter(([, name]) => name !== experiment));
  }

  function target(
    spec: ExperimentSpec,
    uid: string,
    node: string,
    versions: ReadonlyMap<string, FoundNmaVersion>,
  ): TargetPlan {
    const orderId = orderIdOf(uid, node);
    const nmaVersion = versions.get(node) ?? versions.get('');
    return planTarget({ spec, node, orderId, marker: markerOf(orderId), nmaVersion });
  }

  return {
    async plan({ metadata, spec }) {
      const uid = metadata.uid ?? metadata.name;
      const versions = await deps.collector.nmaVersions();
      // Everything about the request itself is checked before nodes are looked at.
      assertName(metadata.name);
      if (spec.deadline !== undefined) deadlineMillis(spec.deadline);
      target(spec, uid, '', versions);
      const busy = await busyNodes(metadata.name);
      const candidates = deps.nodes().map((node) => candidateFrom(node, busy));
      const seed = spec.target?.seed ?? seedFromName(metadata.name);
      const selection = selectNodes(candidates, spec.target ?? {}, seed);
      if (selection.chosen.length === 0) throw noTarget(selection);
      return {
        seed,
        targets: selection.chosen.map(({ name }) => target(spec, uid, name, versions)),
        skipped: selection.skipped,
      };
    },
    async injections({ metadata, spec }, nodes) {
      const versions = await deps.collector.nmaVersions();
      const uids = new Map(deps.nodes().map((node) => [node.metadata.name, node.metadata.uid ?? '']));
      return nodes.map((node) => {
        const plan = target(spec, metadata.uid ?? metadata.name, node, versions);
        return {
          experiment: metadata.name,
          node,
          // A node that vanished since it was selected has no uid: the next step sees that it is gone.
          nodeUid: uids.get(node) ?? '',
          fault: spec.fault.name,
          parameters: { ...plan.parameters },
          order: plan.order,
          expectation: plan.expectation,
          confidence: plan.confidence,
        };
      });
    },
  };
}

function remedyFor(skipped: Selection['skipped']): string {
  const because = (part: string) => skipped.some((row) => row.because.includes(part));
  if (because('not opted in')) return `kubectl label node NODE ${optInLabel}=${optInValue}`;
  if (because('works on it'))
    return 'wait until the experiment that works on the node has ended, or abort it';
  return 'choose a selector that fits nodes which may be drilled (GET /api/v1/nodes)';
}

/** Names and labels of Injection objects are made of it; `kubectl apply` takes longer ones than we can. */
function assertName(name: string): void {
  if (name.length <= longestName) return;
  throw new Refusal('malformed_request', `name: "${name}" is longer than ${longestName} characters`, {
    field: 'name',
    value: name,
    allowed: `at most ${longestName} characters`,
  });
}

/** As in the schema of a request. */
const longestName = 52;
const longestDeadlineMs = 24 * 3_600_000;

export function deadlineMillis(text: string): number {
  const milliseconds = parseDuration(text, 'deadline');
  if (milliseconds >= 1000 && milliseconds <= longestDeadlineMs) return milliseconds;
  throw new Refusal('deadline_invalid', `deadline: ${text} is not from 1 s to 24 h`, {
    field: 'deadline',
    value: text,
    allowed: '1s to 24h',
  });
}

function candidateFrom(node: KubeObject, busy: ReadonlyMap<string, string>): Candidate {
  const { name, uid = '', labels = {}, deletionTimestamp } = node.metadata;
  const busyWith = busy.get(name);
  return {
    name,
    uid,
    labels,
    ready: isReady(node),
    deleting: deletionTimestamp !== undefined,
    ...(busyWith === undefined ? {} : { busyWith }),
  };
}

function noTarget({ skipped }: Selection): Refusal {
  const shown = skipped.slice(0, 3).map(({ node, because }) => `${node}: ${because}`);
  const more = skipped.length > 3 ? ` (and ${skipped.length - 3} more)` : '';
  const message =
    skipped.length === 0 ? 'the cluster has no nodes' : `no node may be drilled: ${shown.join('; ')}${more}`;
  return new Refusal('no_target', message, {
    field: 'target',
    skipped,
    remedy: remedyFor(skipped),
  });
}
