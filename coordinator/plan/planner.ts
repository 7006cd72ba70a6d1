import { parseDuration, renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { engineNamed } from '../../shared/orders/call.ts';
import { inParallel, inSlices } from '../../shared/parallel.ts';
import { findFault } from '../catalogue/parameters.ts';
import { poolText } from '../catalogue/repair/owners.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { KubeObject } from '../cluster/port.ts';
import { chainSeconds, outlivesNode } from '../drill/chain.ts';
import { isConcluded, isEnded } from '../drill/ended.ts';
import type { LinkRow } from '../drill/links.ts';
import { isRestoring, isSettled, restoresAtEnd } from '../drill/restoring.ts';
import type { ChainLink, ExperimentSpec, InjectionSpec } from '../store/experiment.ts';
import { type Experiment, markerOf, orderIdOf, type Store, seedFromName } from '../store/store.ts';
import type { Collector } from '../view/collect.ts';
import type { Facts } from '../view/facts.ts';
import { isAutoNode, ownerOf } from '../view/node.ts';
import { restsOnAssumedEngine } from './chain.ts';
import { noTarget } from './no-target.ts';
import {
  contextFromFacts,
  contextFromLabels,
  type PlanInput,
  plannedDrill,
  planTarget,
  type TargetContext,
  type TargetPlan,
} from './plan.ts';
import { candidateFrom, type Selection, selectNodes } from './select.ts';

/** The target nodes of an experiment, and why the other nodes were left out. */
export type Choice = {
  readonly seed: number;
  readonly nodes: readonly string[];
  readonly skipped: Selection['skipped'];
  /** What the longest of their chains may take. */
  readonly longestSeconds: number;
};

/** An experiment as it is stored, or as it would be. */
export type Asked = Pick<Experiment, 'metadata' | 'spec'>;

/** Selection and plans for an experiment, from the cluster as it is now; changes nothing. */
export type Planner = {
  /**
   * Selects the nodes. Refuses what cannot be drilled on any of them; nodes whose plans would be the same but for their
   * ids are planned once.
   */
  choose(experiment: Asked): Promise<Choice>;
  /** What the plan of one node is made of; what is known of the node is added by whoever plans. */
  inputFor(experiment: Asked, node: string): Omit<PlanInput, 'context'>;
  /** The specs of the Injection objects for nodes that were selected earlier: each is planned here. */
  injections(experiment: Experiment, nodes: readonly string[]): Promise<readonly InjectionSpec[]>;
};

/** What is planned with; `rows` and `links` are the catalogue and the chain. */
export type PlannerDeps = {
  readonly nodes: () => readonly KubeObject[];
  readonly collector: Pick<Collector, 'basics' | 'nmaVersions' | 'repairBasics'>;
  /** Refuses where the forecast says that a repair which the chains wait for cannot happen, or a forbidden one comes too soon. */
  readonly assertRepair: (
    targets: readonly { readonly facts: Facts; readonly chain: readonly ChainLink[] }[],
    asked: 'expect' | 'forbid',
  ) => void;
  readonly store: Pick<Store, 'listInjections' | 'listExperiments'>;
  readonly rows: readonly FaultRow[];
  /** The rows of the chain's links. */
  readonly links: readonly LinkRow[];
};

/** Selects nodes and plans each. */
export function createPlanner(deps: PlannerDeps): Planner {
  /** Nodes that another experiment works on, or has selected and not come to yet. */
  async function busyNodes(experiment: string): Promise<ReadonlyMap<string, string>> {
    const [injections, experiments] = await Promise.all([
      deps.store.listInjections(),
      deps.store.listExperiments(),
    ]);
    const started = new Set(injections.map(({ spec }) => keyOf(spec.experiment, spec.node)));
    // Their nodes are restored before they end.
    const restoring = new Set(
      experiments
        .filter(({ spec, status }) => restoresAtEnd(spec) && !isSettled(spec, status))
        .map(({ metadata }) => metadata.name),
    );
    const open = injections
      .filter(
        ({ spec, status }) =>
          !isConcluded(status) ||
          isRestoring(status) ||
          (restoring.has(spec.experiment) && status?.restore === undefined),
      )
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

  /** What a health check makes of a value depends on the engine and its GPUs, which only the agent can name. */
  async function byItsEngine(experiment: Asked, node: string, draft: Draft): Promise<TargetPlan> {
    const context = await contextOf(node);
    if (context !== undefined) return planTarget({ ...inputFor(experiment, node), context });
    // Judged by the version alone then.
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
    if (selection.chosen.length === 0) throw noTarget(selection.skipped);
    return { ...selection, seed };
  }

  /** Seconds of the chain that the nodes of one context have; their agents are asked where the host engine decides. */
  async function secondsOf(experiment: Asked, context: TargetContext, nodes: readonly string[]) {
    const [first = ''] = nodes;
    const draft = draftOf({ ...inputFor(experiment, first), context });
    if (!(draft instanceof Refusal)) return chainSeconds(draft.chain);
    const plans = await inParallel(nodes, agentsAtOnce, (node) => byItsEngine(experiment, node, draft));
    return Math.max(...plans.map(({ chain }) => chainSeconds(chain)));
  }

  return {
    inputFor,
    async choose(experiment) {
      // Everything about the request itself is checked before nodes are looked at.
      assertName(experiment.metadata.name);
      if (experiment.spec.deadline !== undefined) deadlineMillis(experiment.spec.deadline);
      assertForbid(experiment.spec);
      const contextOf = await createContexts(deps);
      draftOf({ ...inputFor(experiment, ''), context: contextOf('') });
      const { seed, chosen, skipped } = await select(experiment);
      const nodes = chosen.map(({ name }) => name);
      const keyed = await inSlices(nodes, (node) => ({ node, key: contextKey(contextOf(node)) }));
      let longestSeconds = 0;
      for (const group of Map.groupBy(keyed, ({ key }) => key).values()) {
        const alike = group.map(({ node }) => node);
        const seconds = await secondsOf(experiment, contextOf(alike[0] ?? ''), alike);
        longestSeconds = Math.max(longestSeconds, seconds);
      }
      assertTimeFor(experiment.spec, longestSeconds);
      await assertRepairOf(deps, experiment, nodes, inputFor);
      return { seed, nodes, skipped, longestSeconds };
    },
    async injections(experiment, nodes) {
      const contextOf = await createContexts(deps);
      const objects = new Map(deps.nodes().map((node) => [node.metadata.name, node]));
      const drafts = await inSlices(nodes, (node) => ({
        node,
        draft: draftOf({ ...inputFor(experiment, node), context: contextOf(node) }),
      }));
      return inParallel(drafts, agentsAtOnce, async ({ node, draft }) => {
        const planned =
          draft instanceof Refusal || isByEngine(draft) ? await byItsEngine(experiment, node, draft) : draft;
        return specOf(deps.links, experiment, planned, objects.get(node));
      });
    },
  };
}

/** What the API server shows of a node: an experiment on a thousand nodes asks no agent to be planned. */
async function createContexts({
  collector,
  nodes,
}: Pick<PlannerDeps, 'collector' | 'nodes'>): Promise<(node: string) => TargetContext> {
  const versions = await collector.nmaVersions();
  const objects = new Map(nodes().map((node) => [node.metadata.name, node]));
  return (node) => {
    const { labels = {} } = objects.get(node)?.metadata ?? {};
    // The DaemonSet's version is that of the nodes which it serves.
    const usual = isAutoNode({ metadata: { labels } }) ? undefined : versions.get('');
    return contextFromLabels(labels, versions.get(node) ?? usual);
  };
}

/** The spec of one Injection. */
function specOf(
  links: readonly LinkRow[],
  { metadata, spec }: Experiment,
  { node, parameters, chain }: TargetPlan,
  object: KubeObject | undefined,
): InjectionSpec {
  const owner = object !== undefined && outlivesNode(links, chain) ? ownerOf(object) : undefined;
  const pool = poolText(object?.metadata.labels ?? {});
  return {
    experiment: metadata.name,
    node,
    // A node that vanished since it was selected has no uid: the next step sees that it is gone.
    nodeUid: object?.metadata.uid ?? '',
    ...(owner === undefined ? {} : { owner }),
    ...(pool === undefined ? {} : { pool }),
    fault: spec.fault.name,
    parameters,
    chain,
  };
}

/** A repair that is waited for in vain takes half an hour to show it; the forecast knows before. */
async function assertRepairOf(
  { collector, links, assertRepair }: Pick<PlannerDeps, 'collector' | 'links' | 'assertRepair'>,
  experiment: Asked,
  nodes: readonly string[],
  inputFor: Planner['inputFor'],
): Promise<void> {
  const { repair, then = [], force } = experiment.spec.expectation ?? {};
  const asked = repair === 'forbid' ? 'forbid' : 'expect';
  if (force === true || (repair !== 'expect' && repair !== 'forbid' && then.length === 0)) return;
  const targets = await inParallel(nodes, agentsAtOnce, async (node) => {
    const facts = await collector.repairBasics(node);
    const plan = planTarget({ ...inputFor(experiment, node), context: contextFromFacts(facts) });
    const drill = plannedDrill(plan, experiment.spec.fault.name);
    return { facts: { ...facts, drill }, chain: plan.chain };
  });
  const concerned = targets.filter(({ chain }) => asked === 'forbid' || outlivesNode(links, chain));
  assertRepair(concerned, asked);
}

/** Nodes with the same one have the same plan, but for its ids and markers. */
function contextKey({ nma, ...context }: TargetContext): string {
  return JSON.stringify([context, nma?.row.version, nma?.exact]);
}

function keyOf(experiment: string, node: string): string {
  return `${experiment}/${node}`;
}

/** A plan by what the API server shows, or the refusal of one that may not stand once the host engine is known. */
type Draft = TargetPlan | Refusal;

function draftOf(input: PlanInput): Draft {
  try {
    return planTarget(input);
  } catch (thrown) {
    if (thrown instanceof Refusal && restsOnAssumedEngine(thrown)) return thrown;
    throw thrown;
  }
}

/** Whether another version of the host engine than the chart's could lead to another plan. */
function isByEngine({ expectation, order }: TargetPlan): boolean {
  return expectation.via === 'health-check' || engineNamed(order) !== undefined;
}

/** Agents that are asked at the same time: each starts a few dcgmi. */
export const agentsAtOnce = 16;

/** A repair is forbidden by a restore before it, and nothing of it can be awaited then. */
function assertForbid({ expectation, restore }: Pick<ExperimentSpec, 'expectation' | 'restore'>): void {
  if (expectation?.repair !== 'forbid') return;
  const against =
    restore === 'never' ? 'restore' : (expectation.then?.length ?? 0) > 0 ? 'expectation.then' : undefined;
  if (against === undefined) return;
  const message = `${against}: does not go with expectation.repair: forbid, which restores the node before its repair`;
  const remedy = 'leave one of them out';
  throw new Refusal('expectation_invalid', message, { field: against, remedy });
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

/** A drill that its own deadline cuts off before its links could be judged ends in error whatever happens on the node. */
function assertTimeFor({ deadline }: Pick<ExperimentSpec, 'deadline'>, neededSeconds: number): void {
  if (deadline === undefined || deadlineMillis(deadline) >= neededSeconds * 1000) return;
  const needed = Math.ceil(neededSeconds);
  throw new Refusal(
    'deadline_invalid',
    `deadline: ${deadline} is shorter than the ${renderDuration(needed)} that this drill may have to wait for its links`,
    {
      field: 'deadline',
      value: deadline,
      allowed: `${needed}s to 24h`,
      neededSeconds: needed,
      remedy: `set deadline to ${needed}s or more, or leave it out; a shorter expectation.within or for needs less`,
    },
  );
}
