import { createHash } from 'node:crypto';
import { Refusal } from '../../shared/errors.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { SkipCode, SkippedNode, Target } from '../store/experiment.ts';
import { hasGpu, isReady, optInLabel, optInValue } from '../view/node.ts';

/** What selection needs to know of a node. */
export type Candidate = {
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly ready: boolean;
  /** By its Node object: what the device plugin offers, or a label says. */
  readonly hasGpu: boolean;
  readonly deleting: boolean;
  /** Another experiment works on it now. */
  readonly busyWith?: string;
};

/** A node as it stands in the cluster; `busy`: the experiments that work on nodes, by the nodes' names. */
export function candidateFrom(node: KubeObject, busy: ReadonlyMap<string, string> = new Map()): Candidate {
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

/** Which nodes are drilled and why the others are not. The same seed chooses the same nodes. */
export type Selection = {
  readonly seed: number;
  readonly chosen: readonly Candidate[];
  /** Every other node, with the reason. */
  readonly skipped: readonly SkippedNode[];
};

/**
 * Picks the target nodes. The same nodes, target and seed give the same choice, in any order of `nodes`: each node is
 * ranked by a hash of seed and name, so that a node more or less does not reshuffle the others.
 */
export function selectNodes(
  nodes: readonly Candidate[],
  target: Target,
  seed: number,
  { needsGpu = false }: { readonly needsGpu?: boolean } = {},
): Selection {
  const { mode = 'one', value } = target;
  assertValue(mode, value);
  assertExpressions(target);
  assertNamesExist(nodes, target);
  const asked: Asked = { target, needsGpu, named: target.selector?.names && new Set(target.selector.names) };
  const judged = nodes
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .map((node) => ({ node, exclusion: exclusionOf(node, asked) }));
  const eligible = judged.filter(({ exclusion }) => exclusion === undefined).map(({ node }) => node);
  const wanted = count(mode, value ?? 1, eligible.length, seed);
  const chosen = wanted === eligible.length ? eligible : firstOf(eligible, wanted, seed);
  const isChosen = new Set(chosen);
  const notPicked: Exclusion = {
    code: 'not-picked',
    because: `not picked: ${chosen.length} of ${eligible.length} fit (mode ${mode}, seed ${seed})`,
  };
  const skipped = judged.flatMap(({ node, exclusion = notPicked }) =>
    isChosen.has(node) ? [] : [{ node: node.name, ...exclusion }],
  );
  return { seed, chosen, skipped };
}

/** The first by rank; where all are wanted nobody has to ask for it, and a rank costs a hash. */
function firstOf(eligible: readonly Candidate[], wanted: number, seed: number): readonly Candidate[] {
  return eligible
    .map((node) => ({ node, rank: rank(seed, node.name) }))
    .toSorted((left, right) => left.rank - right.rank)
    .slice(0, wanted)
    .map(({ node }) => node);
}

/** The names of a target as a set: a target may name thousands. */
type Asked = {
  readonly target: Target;
  readonly needsGpu: boolean;
  readonly named: ReadonlySet<string> | undefined;
};

type Exclusion = { readonly code: SkipCode; readonly because: string };

function exclusionOf(node: Candidate, asked: Asked): Exclusion | undefined {
  if (node.deleting) return { code: 'deleting', because: 'it is being deleted' };
  const reasons = selectorReasons(node, asked);
  if (reasons.length > 0) return { code: 'not-selected', because: reasons.join('; ') };
  if (node.labels[optInLabel] !== optInValue) {
    const because = `not opted in: kubectl label node ${node.name} ${optInLabel}=${optInValue}`;
    return { code: 'not-opted-in', because };
  }
  if (node.busyWith !== undefined)
    return { code: 'busy', because: `experiment ${node.busyWith} works on it` };
  return unsuited(node, asked);
}

/** What speaks against a node that nobody asked for by its name; one that was is left to its plan. */
function unsuited(node: Candidate, { needsGpu, named }: Asked): Exclusion | undefined {
  if (named?.has(node.name)) return undefined;
  if (!node.ready) return { code: 'not-ready', because: `it is not Ready; ${byName}` };
  if (needsGpu && !node.hasGpu) {
    const because = `it shows no GPU (status.capacity nvidia.com/…, labels, instance type); ${byName}`;
    return { code: 'no-gpu', because };
  }
  return undefined;
}

/** Part of the reasons that a name overrides. */
const byName = 'target.selector.names takes it all the same';

function selectorReasons(node: Candidate, { target, named }: Asked): readonly string[] {
  const { selector = {} } = target;
  const reasons: string[] = [];
  if (named !== undefined && !named.has(node.name)) reasons.push('not among selector.names');
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    const has = ownValue(node.labels, key);
    if (has !== value) reasons.push(`label ${key} is ${has ?? 'absent'}, not ${value}`);
  }
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const has = ownValue(node.labels, key);
    const holds = {
      In: has !== undefined && values.includes(has),
      NotIn: has === undefined || !values.includes(has),
      Exists: has !== undefined,
      DoesNotExist: has === undefined,
    }[operator];
    if (!holds)
      reasons.push(
        `label ${key} is ${has ?? 'absent'}, not ${operator}${values.length > 0 ? ` (${values.join(', ')})` : ''}`,
      );
  }
  return reasons;
}

/** Chaos Mesh's rules: a percentage is rounded down, and never to nothing while somebody fits. */
function count(mode: NonNullable<Target['mode']>, value: number, eligible: number, seed: number): number {
  if (eligible === 0) return 0;
  const percent = Math.max(1, Math.floor((eligible * value) / 100));
  return {
    one: 1,
    all: eligible,
    fixed: Math.min(value, eligible),
    'fixed-percent': percent,
    'random-max-percent': 1 + (rank(seed, 'random-max-percent') % percent),
  }[mode];
}

function assertValue(mode: NonNullable<Target['mode']>, value: number | undefined): void {
  const needsValue = mode !== 'one' && mode !== 'all';
  if (needsValue && value === undefined) {
    throw new Refusal('target_invalid', `target.value: mode ${mode} needs one`, { field: 'target.value' });
  }
  if (!needsValue && value !== undefined) {
    throw new Refusal('target_invalid', `target.value: mode ${mode} takes none`, {
      field: 'target.value',
      value,
    });
  }
  if (mode.endsWith('percent') && (value ?? 0) > 100) {
    throw new Refusal('target_invalid', 'target.value: more than 100 percent', {
      field: 'target.value',
      value,
      allowed: '1 to 100',
    });
  }
}

/** As the API server judges a label selector: In and NotIn need values, the others take none. */
function assertExpressions({ selector }: Target): void {
  for (const [index, { operator, values = [] }] of (selector?.matchExpressions ?? []).entries()) {
    const needsValues = operator === 'In' || operator === 'NotIn';
    if (needsValues === values.length > 0) continue;
    const field = `target.selector.matchExpressions[${index}].values`;
    throw new Refusal(
      'target_invalid',
      `${field}: ${operator} ${needsValues ? 'needs some' : 'takes none'}`,
      {
        field,
        value: values,
      },
    );
  }
}

/** A name that does not exist is a mistake, not an empty choice. */
function assertNamesExist(nodes: readonly Candidate[], target: Target): void {
  const known = new Set(nodes.map(({ name }) => name));
  const unknown = (target.selector?.names ?? []).filter((name) => !known.has(name));
  if (unknown.length === 0) return;
  throw new Refusal('node_unknown', `target.selector.names: no node ${unknown.join(', ')}`, {
    field: 'target.selector.names',
    value: unknown,
    allowed: nodes.slice(0, 50).map((node) => node.name),
  });
}

function rank(seed: number, name: string): number {
  return createHash('sha256').update(`${seed}\0${name}`).digest().readUInt32BE(0);
}

/** Of a key that a caller chose: `constructor` is no label of every node. */
function ownValue(map: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(map, key) ? map[key] : undefined;
}
