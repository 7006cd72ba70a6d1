import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { engineNamed } from '../../shared/orders/call.ts';
import { findFault } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { LinkRow } from '../drill/links.ts';
import { isConcluded, isEnded } from '../drill/machine.ts';
import { contextFromFacts, contextFromLabels, type TargetContext } from '../plan/context.ts';
import { restsOnAssumedEngine } from '../plan/expectation.ts';
import { type PlanInput, planTarget } from '../plan/plan.ts';
import type { Confidence, TargetPlan } from '../plan/schema.ts';
import { byName, type Candidate, type Selection, seedFromName, selectNodes } from '../plan/select.ts';
import { previewTarget, type TargetPreview } from '../preview/preview.ts';
import type { InjectionSpec } from '../store/experiment.ts';
import { type Experiment, markerOf, orderIdOf, type Store } from '../store/store.ts';
import type { Collector } from '../view/collect.ts';
import { hasGpu, isReady, optInLabel, optInValue } from '../view/node.ts';
import { inSlices } from './slices.ts';

/** The targets of an experiment, and why the other nodes were left out. */
export type ExperimentPlan<Target = TargetPlan> = {
  readonly seed: number;
  readonly targets: readonly Target[];
  readonly skipped: Selection['skipped'];
};

type Asked = Pick<Experiment, 'metadata' | 'spec'>;

/** Selection and plans for an experiment, from the cluster as it is now; changes nothing. */
export type Planner = {
  plan(experiment: Asked): Promise<ExperimentPlan>;
  /** The same with all that can be known of each node; its agent is asked what it has, and nothing is ordered. */
  preview(experiment: Asked): Promise<ExperimentPlan<TargetPreview>>;
  /** The specs of the Injection objects for nodes that were selected earlier. */
  injections(experiment: Experiment, nodes: readonly string[]): Promise<readonly InjectionSpec[]>;
};

/** Selects nodes and plans each; `rows` and `links` are the catalogue and the chain. */
export function createPlanner(deps: {
  readonly nodes: () => readonly KubeObject[];
  readonly collector: Pick<Collector, 'facts' | 'basics' | 'nmaVersions'>;
  readonly store: Pick<Store, 'listInjections' | 'listExperiments'>;
  readonly rows: readonly FaultRow[];
  /** The rows of the chain's links. */
  readonly links: readonly LinkRow[];
}): Planner {
  /** Nodes that another experiment works on, or has selected and not come to yet. */
  async function busyNodes(experiment: string): Promise<ReadonlyMap<string, string>> {
    const [injections, experiments] = await Promise.all([
      deps.store.listInjections(),
      deps.store.listExperiments(),
    ]);
    const started = new Set(injections.map(({ spec }) => keyOf(spec.experiment, spec.node)));
    const open = injections
      .filter(({ status }) => !isConcluded(status))
      .map(({ spec }) => [spec.node, spec.experiment] as const);
    const awaited = experiments
      .filter(({ status }) => !isEnded(status))
      .flatMap(({ metadata: { name }, status }) =>
        (status?.selected ?? [])
          .filter((node) => !started.has(keyOf(name, node)))
          .map((node) => [node, name] as const),
      );
    return new Map([...open, ...awaited].filter(([, name]) => name !== experiment));
  }

  function inputFor({ metadata, spec }: Asked, node: string): Omit<PlanInput, 'context'> {
    const orderId = orderIdOf(metadata.uid ?? metadata.name, node);
    return { spec, node, orderId, marker: markerOf(orderId), rows: deps.rows, links: deps.links };
  }

  /** Plans by what the API server shows: an experiment on a thousand nodes asks no agent for it. */
  async function createTargets(experiment: Asked): Promise<(node: string) => TargetPlan> {
    const versions = await deps.collector.nmaVersions();
    const objects = new Map(deps.nodes().map((node) => [node.metadata.name, node]));
    return (node) => {
      const labels = objects.get(node)?.metadata.labels ?? {};
      const context = contextFromLabels(labels, versions.get(node) ?? versions.get(''));
      return planTarget({ ...inputFor(experiment, node), context });
    };
  }

  /** What a health check makes of a value depends on the engine and its GPUs, which only the agent can name. */
  async function byItsEngine(experiment: Asked, node: string, draft: Draft): Promise<TargetPlan> {
    const context = await contextOf(node);
    if (context !== undefined) return planTarget({ ...inputFor(experiment, node), context });
    // Judged by the version alone then, and the plan's confidence says so.
    if (draft instanceof Refusal) throw draft;
    return draft;
  }

  /** undefined: the node could not be read. */
  async function contextOf(node: string): Promise<TargetContext | undefined> {
    try {
      return contextFromFacts(await deps.collector.basics(node));
    } catch (thrown) {
      if (thrown instanceof Refusal) return undefined;
      throw thrown;
    }
  }

  async function select({ metadata, spec }: Asked): Promise<Selection & { readonly seed: number }> {
    const busy = await busyNodes(metadata.name);
    const candidates = await inSlices(deps.nodes(), (node) => candidateFrom(node, busy));
    const seed = spec.target?.seed ?? seedFromName(metadata.name);
    const selection = selectNodes(candidates, spec.target ?? {}, seed, findFault(spec.fault.name, deps.rows));
    if (selection.chosen.length === 0) throw noTarget(selection);
    return { ...selection, seed };
  }

  async function plan(experiment: Asked): Promise<ExperimentPlan> {
    // Everything about the request itself is checked before nodes are looked at.
    assertName(experiment.metadata.name);
    if (experiment.spec.deadline !== undefined) deadlineMillis(experiment.spec.deadline);
    const target = await createTargets(experiment);
    draftOf(target, '');
    const { seed, chosen, skipped } = await select(experiment);
    const drafts = await inSlices(chosen, ({ name }) => ({ node: name, draft: draftOf(target, name) }));
    const targets = await inParallel(drafts, async ({ node, draft }) =>
      draft instanceof Refusal ? byItsEngine(experiment, node, draft) : draft,
    );
    return { seed, targets, skipped };
  }

  return {
    plan,
    async preview(experiment) {
      const { seed, targets, skipped } = await plan(experiment);
      const previews = await inParallel(targets, async ({ node }) => {
        const { node: _, ...input } = inputFor(experiment, node);
        return previewTarget(await deps.collector.facts(node), input);
      });
      return { seed, targets: previews, skipped };
    },
    async injections(experiment, nodes) {
      const target = await createTargets(experiment);
      const uids = new Map(deps.nodes().map((node) => [node.metadata.name, node.metadata.uid ?? '']));
      const drafts = await inSlices(nodes, (node) => ({ node, draft: draftOf(target, node) }));
      return inParallel(drafts, async ({ node, draft }) => {
        const planned =
          draft instanceof Refusal || isByEngine(draft) ? await byItsEngine(experiment, node, draft) : draft;
        const { parameters, chain, confidence } = planned;
        return {
          experiment: experiment.metadata.name,
          node,
          // A node that vanished since it was selected has no uid: the next step sees that it is gone.
          nodeUid: uids.get(node) ?? '',
          fault: experiment.spec.fault.name,
          parameters,
          chain,
          confidence: renderConfidence(confidence),
        };
      });
    },
  };
}

function keyOf(experiment: string, node: string): string {
  return `${experiment}/${node}`;
}

/** A plan by what the API server shows, or the refusal of one that may not stand once the host engine is known. */
type Draft = TargetPlan | Refusal;

function draftOf(target: (node: string) => TargetPlan, node: string): Draft {
  try {
    return target(node);
  } catch (thrown) {
    if (thrown instanceof Refusal && restsOnAssumedEngine(thrown)) return thrown;
    throw thrown;
  }
}

/** Whether another version of the host engine than the chart's could lead to another plan. */
function isByEngine({ expectation, order }: TargetPlan): boolean {
  return expectation.via === 'health-check' || engineNamed(order) !== undefined;
}

function renderConfidence({ level, because }: Confidence): string {
  return `${level}: ${because.join('; ')}`;
}

/** Agents that are asked at the same time: each starts a few dcgmi. */
const parallel = 16;

/** In the order of the items; the first failure ends it. */
async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, items.length) }, worker));
  return results;
}

function remedyFor(skipped: Selection['skipped']): string {
  const because = (part: string) => skipped.some((row) => row.because.includes(part));
  if (because('not opted in')) return `kubectl label node NODE ${optInLabel}=${optInValue}`;
  if (because('works on it'))
    return 'wait until the experiment that works on the node has ended, or abort it';
  if (because(byName)) return 'name the node in target.selector.names, or choose other nodes';
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

/** The deadline in ms. Refuses with `deadline_invalid` outside 1 s to 24 h. */
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
    hasGpu: hasGpu(node),
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
