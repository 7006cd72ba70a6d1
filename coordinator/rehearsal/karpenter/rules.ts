import type { RepairPolicy } from '../../catalogue/repair/policies.ts';
import type { KubeObject } from '../../cluster/port.ts';
import { conditionsOf, field, list, text } from '../../view/node.ts';

/** Karpenter's decisions as karpenter.md §2 and §3 describe them, apart from our forecast of them. */

/** Share of a pool's nodes that may be unhealthy, rounded up; the same in 1.14 and 1.15. */
const breakerShare = 0.2;

/** When the first policy that fits a condition of the node is due, milliseconds; undefined: none fits. */
export function dueMs(
  node: KubeObject,
  policies: readonly RepairPolicy[],
  engine: 'forced' | 'voluntary',
): number | undefined {
  const made = Date.parse(node.metadata.creationTimestamp ?? '');
  const dues = conditionsOf(node).flatMap(({ type, status, reason, lastTransitionTime }) => {
    const pair = policies.filter((policy) => policy.type === type && policy.status === status);
    const named = pair.filter(
      (policy) => policy.reason !== undefined && new RegExp(policy.reason).test(reason),
    );
    const fallback = pair.filter((policy) => policy.reason === undefined);
    const fitting = engine === 'forced' ? pair : named.length > 0 ? named : fallback;
    const since = Date.parse(lastTransitionTime ?? '');
    const from = engine === 'voluntary' ? Math.max(since, made) : since;
    return fitting.map(({ waitSeconds }) => from + waitSeconds * 1000);
  });
  return dues.length === 0 ? undefined : Math.min(...dues);
}

/** Too many nodes of the pool are unhealthy by any policy, whatever their reason and whether due. */
export function isBreakerOpen(pool: readonly KubeObject[], policies: readonly RepairPolicy[]): boolean {
  const unhealthy = pool.filter((node) =>
    conditionsOf(node).some(({ type, status }) =>
      policies.some((policy) => policy.type === type && policy.status === status),
    ),
  );
  return unhealthy.length > Math.ceil(breakerShare * pool.length);
}

/** How many nodes of the pool its budgets let be disrupted for reason Unhealthy, those in progress not taken off. */
export function budgetOf(nodePool: KubeObject | undefined, nodes: number): number {
  const given = field(nodePool, 'spec', 'disruption', 'budgets');
  const budgets = given === undefined ? [{ nodes: '10%' }] : list(nodePool, 'spec', 'disruption', 'budgets');
  const allowed = budgets
    .filter((budget) => {
      const reasons = list(budget, 'reasons');
      return reasons.length === 0 || reasons.includes('Unhealthy');
    })
    .map((budget) => {
      const value = text(budget, 'nodes') ?? '0';
      return value.endsWith('%') ? Math.ceil((Number.parseInt(value, 10) / 100) * nodes) : Number(value);
    });
  return Math.min(nodes, ...allowed);
}

/** Whether Karpenter is at work on the node already. */
export function isDisrupted(node: KubeObject): boolean {
  return (
    node.metadata.deletionTimestamp !== undefined ||
    list(node, 'spec', 'taints').some((taint) => text(taint, 'key') === 'karpenter.sh/disrupted')
  );
}
