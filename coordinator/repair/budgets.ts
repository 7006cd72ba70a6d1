import { type Facts, isUnread } from '../view/facts.ts';
import type { PoolBudget } from '../view/node-pools.ts';

/** How many nodes of the pool may be disrupted for a repair. */
export type BudgetFindings = {
  /** undefined: no entry is about repairs, or it was not read. */
  readonly allowed: number | undefined;
  /** Entries that hold at some times only and allow fewer. */
  readonly scheduled: readonly PoolBudget[];
  /** Why nothing is known; undefined: the budgets were read. */
  readonly unread: string | undefined;
};

/** The reason of a repair in `budgets[].reasons` (karpenter.md §3). */
const repairReason = 'Unhealthy';

/** Of the entries that name no reasons or this one, the smallest counts; a share is rounded up. */
export function findBudget({ repair }: Facts): BudgetFindings {
  const { budgets, peers } = repair;
  if (isUnread(budgets)) return { allowed: undefined, scheduled: [], unread: budgets.unread };
  const fitting = budgets.filter(({ reasons }) => reasons?.includes(repairReason) !== false);
  const always = fitting.filter(({ schedule }) => schedule === undefined);
  const allowed = always.map((budget) => nodesOf(budget, peers.total));
  const smallest = allowed.length === 0 ? undefined : Math.min(...allowed);
  const scheduled = fitting.filter((budget) => {
    const nodes = nodesOf(budget, peers.total);
    return budget.schedule !== undefined && nodes < 1 && nodes < (smallest ?? 1);
  });
  return { allowed: smallest, scheduled, unread: undefined };
}

/** What cannot be read allows nothing, as in Karpenter. */
function nodesOf({ nodes }: PoolBudget, total: number): number {
  const value = Number.parseInt(nodes, 10);
  if (Number.isNaN(value)) return 0;
  return nodes.endsWith('%') ? Math.ceil((value / 100) * total) : value;
}
