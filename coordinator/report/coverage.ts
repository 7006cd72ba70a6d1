import Type, { type Static } from 'typebox';
import { poolText } from '../catalogue/repair/owners.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { Injection } from '../store/store.ts';
import { VerdictSchema } from '../store/timeline.ts';
import { hasGpu, optInLabel, optInValue } from '../view/node.ts';

/** Changes with anything that could break who reads it. */
const coverageSchema = 'xidrill.dev/coverage/v1';

/** What nodes without a pool are called. */
export const noPool = 'no pool';

/**
 * `proven`: the last drill that was decided passed; `broken`: it failed; `undecided`: none was decided (inconclusive, error, aborted, or
 * it was about the injection alone); `never`: none has ended.
 */
export const coverageStates = ['broken', 'undecided', 'never', 'proven'] as const;

const Run = Type.Object(
  {
    at: Type.String({ description: 'RFC 3339, when the drill of the node ended, the coordinator’s clock' }),
    experiment: Type.String(),
    node: Type.String(),
    verdict: VerdictSchema,
    expected: Type.Enum(['reaction', 'none', 'ignored'], {
      description:
        'reaction: an event or a condition; none: a negative drill; ignored: about the injection alone, which proves nothing here',
    }),
    code: Type.Union([Type.String(), Type.Null()], { description: 'of its explanation' }),
    seconds: Type.Union([Type.Number(), Type.Null()], {
      description: 'from the order to the expected reaction; null: it was not seen, or none was expected',
    }),
    parameters: Type.Record(Type.String(), Type.Unknown()),
  },
  { additionalProperties: false },
);

const standing = {
  state: Type.Enum([...coverageStates]),
  runs: Type.Integer({ description: 'drills of a node that have ended' }),
  passes: Type.Integer(),
  lastProven: Type.Union([Run, Type.Null()], { description: 'the newest that passed; null: never' }),
  last: Type.Union([Run, Type.Null()], { description: 'the newest; null: never' }),
  medianSeconds: Type.Union([Type.Number(), Type.Null()], {
    description: 'to the expected reaction, of those that passed',
  }),
};

/** One fault on the nodes of one pool. */
export const CoverageCell = Type.Object(
  {
    fault: Type.String(),
    pool: Type.String(),
    ...standing,
    byXid: Type.Optional(
      Type.Array(
        Type.Object(
          { xid: Type.Integer({ minimum: 1, maximum: 255 }), ...standing },
          { additionalProperties: false },
        ),
        {
          description: 'the same for each Xid that was drilled, in their order; absent: the fault has no Xid',
        },
      ),
    ),
  },
  { $id: 'CoverageCell', additionalProperties: false },
);
export type CoverageCell = Static<typeof CoverageCell>;

/** Which faults are proven on which pools, from the drills that are stored: what retention removed counts no more. */
export const Coverage = Type.Object(
  {
    schema: Type.Literal(coverageSchema),
    pools: Type.Array(
      Type.Object(
        {
          pool: Type.String({
            description: 'in words; `no pool`: nodes that belong to nothing that is known',
          }),
          nodes: Type.Integer({ description: 'that have a GPU or may be drilled' }),
          drillAllowed: Type.Integer({ description: 'that carry xidrill.dev/drill=allowed' }),
        },
        { additionalProperties: false },
      ),
    ),
    cells: Type.Array(CoverageCell, {
      description: 'each fault with each pool; GPU faults only with pools that have GPUs or were drilled',
    }),
  },
  { $id: 'Coverage', additionalProperties: false },
);
export type Coverage = Static<typeof Coverage>;

/** Coverage of a catalogue on the nodes of a cluster. Pure; `nodes` undefined: they may not be listed, only drilled pools are known. */
export function coverageOf(given: {
  readonly rows: readonly Pick<FaultRow, 'name' | 'needsGpu'>[];
  readonly nodes: readonly KubeObject[] | undefined;
  readonly injections: readonly Injection[];
}): Coverage {
  const { rows, nodes = [], injections } = given;
  const counted = nodes.filter((node) => hasGpu(node) || isAllowed(node));
  const poolsOfNodes = new Map(
    nodes.map(({ metadata }) => [metadata.name, poolText(metadata.labels ?? {}) ?? noPool]),
  );
  const ended = injections.filter(({ status }) => status?.verdict !== undefined);
  const runs = Map.groupBy(ended, (one) => keyOf(one.spec.fault, poolOfInjection(one, poolsOfNodes)));
  const names = new Set([
    ...counted.map(({ metadata }) => poolsOfNodes.get(metadata.name) ?? noPool),
    ...ended.map((one) => poolOfInjection(one, poolsOfNodes)),
  ]);
  const pools = [...names].toSorted().map((pool) => {
    const own = counted.filter(({ metadata }) => poolsOfNodes.get(metadata.name) === pool);
    return { pool, nodes: own.length, drillAllowed: own.filter(isAllowed).length, hasGpu: own.some(hasGpu) };
  });
  return {
    schema: coverageSchema,
    pools: pools.map(({ hasGpu: _gpu, ...pool }) => pool),
    cells: rows.flatMap((row) =>
      pools.flatMap((pool) => {
        const own = runs.get(keyOf(row.name, pool.pool)) ?? [];
        return own.length === 0 && row.needsGpu && !pool.hasGpu ? [] : [cellOf(row.name, pool.pool, own)];
      }),
    ),
  };
}

function isAllowed({ metadata }: KubeObject): boolean {
  return metadata.labels?.[optInLabel] === optInValue;
}

function keyOf(fault: string, pool: string): string {
  return JSON.stringify([fault, pool]);
}

/** As it was when it was drilled; of what earlier versions stored, as its node is now. */
function poolOfInjection({ spec }: Injection, now: ReadonlyMap<string, string>): string {
  const { pool, owner, node } = spec;
  if (pool !== undefined) return pool;
  const byOwner =
    owner?.nodePool === undefined ? undefined : poolText({ 'karpenter.sh/nodepool': owner.nodePool });
  return byOwner ?? now.get(node) ?? noPool;
}

function cellOf(fault: string, pool: string, injections: readonly Injection[]): CoverageCell {
  const byXid = Map.groupBy(injections, xidOf);
  byXid.delete(undefined);
  const rows = [...byXid].flatMap(([xid, own]) => (xid === undefined ? [] : [{ xid, ...standingOf(own) }]));
  return {
    fault,
    pool,
    ...standingOf(injections),
    ...(rows.length === 0 ? {} : { byXid: rows.toSorted((left, right) => left.xid - right.xid) }),
  };
}

/** undefined: it has none, or one that no driver has; what is stored may be of another version. */
function xidOf({ spec }: Injection): number | undefined {
  const { xid } = spec.parameters ?? {};
  return Number.isInteger(xid) && Number(xid) >= 1 && Number(xid) <= 255 ? Number(xid) : undefined;
}

function standingOf(injections: readonly Injection[]): Omit<CoverageCell, 'fault' | 'pool' | 'byXid'> {
  const runs = injections
    .map(runOf)
    // By name where they are of the same time, so that the same objects give the same answer.
    .toSorted((left, right) => (orderOf(left) < orderOf(right) ? 1 : -1));
  const judged = runs.filter(({ expected }) => expected !== 'ignored');
  const passed = judged.filter(({ verdict }) => verdict === 'pass');
  const decided = judged.find(({ verdict }) => verdict === 'pass' || verdict === 'fail');
  const times = passed.flatMap(({ seconds }) => seconds ?? []).toSorted((left, right) => left - right);
  return {
    state:
      runs.length === 0
        ? 'never'
        : decided === undefined
          ? 'undecided'
          : decided.verdict === 'pass'
            ? 'proven'
            : 'broken',
    runs: runs.length,
    passes: passed.length,
    lastProven: passed[0] ?? null,
    last: runs[0] ?? null,
    medianSeconds: times[Math.floor((times.length - 1) / 2)] ?? null,
  };
}

type Run = Static<typeof Run>;

function runOf({ spec, status }: Injection): Run {
  return {
    at: status?.endedAt ?? '',
    experiment: spec.experiment,
    node: spec.node,
    verdict: status?.verdict ?? 'error',
    expected: expectedIn(spec),
    code: status?.explanation?.code ?? null,
    seconds: status?.latency?.seconds ?? null,
    parameters: { ...spec.parameters },
  };
}

function expectedIn({ chain }: Injection['spec']): Run['expected'] {
  const kind = chain.find(({ role, expectation }) => role === 'fault' && expectation !== undefined)
    ?.expectation?.kind;
  return kind === 'none' || kind === 'ignored' ? kind : 'reaction';
}

function orderOf({ at, experiment, node }: Run): string {
  return `${at} ${experiment} ${node}`;
}
