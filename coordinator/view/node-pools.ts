import { Refusal } from '../../shared/errors.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import type { Unread } from './facts.ts';
import { field, list, text } from './node.ts';

/** One entry of a NodePool's `spec.disruption.budgets`. */
export type PoolBudget = {
  /** A number, or a share such as `10%`. */
  readonly nodes: string;
  /** Why nodes are disrupted; absent: for every reason. */
  readonly reasons?: readonly string[];
  /** Cron, UTC: it holds only from then on, for its duration. */
  readonly schedule?: string;
};

/** What Karpenter's definition fills in where a pool has none (karpenter pkg/apis/v1/nodepool.go). */
const defaultBudgets: readonly PoolBudget[] = [{ nodes: '10%' }];

/** The budgets of a NodePool. That there is no such pool or kind, or no right to read it, is a reason and no failure. */
export async function readPoolBudgets(
  cluster: Pick<Cluster, 'read'>,
  name: string,
): Promise<readonly PoolBudget[] | Unread> {
  try {
    const pool = await cluster.read('nodepools', { name });
    return pool === undefined ? { unread: `there is no NodePool ${name}` } : budgetsOf(pool);
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    if (thrown.reason === 'object_missing') return { unread: 'NodePools of karpenter.sh/v1 are not served' };
    if (thrown.reason !== 'cluster_refused') throw thrown;
    const { remedy = 'grant the coordinator get of nodepools (its chart does)' } = thrown.details;
    return { unread: thrown.message, remedy };
  }
}

function budgetsOf(pool: KubeObject): readonly PoolBudget[] {
  if (field(pool, 'spec', 'disruption', 'budgets') === undefined) return defaultBudgets;
  return list(pool, 'spec', 'disruption', 'budgets').map((budget) => {
    const schedule = text(budget, 'schedule');
    const reasons = list(budget, 'reasons').filter((reason): reason is string => typeof reason === 'string');
    return {
      nodes: String(field(budget, 'nodes') ?? ''),
      ...(reasons.length === 0 ? {} : { reasons }),
      ...(schedule === undefined ? {} : { schedule }),
    };
  });
}
