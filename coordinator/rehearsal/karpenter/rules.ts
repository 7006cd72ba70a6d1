import type { RepairPolicy } from '../../catalogue/repair/policies.ts';
import type { KubeObject } from '../../cluster/port.ts';
import { conditionsOf, field, list, text, textMap } from '../../view/node.ts';

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
  const dues = conditionsOf(node).flatMap((condition) => {
    const { type, status, lastTransitionTime } = condition;
    const pair = policies.filter((policy) => policy.type === type && policy.status === status);
    const fitting = engine === 'forced' ? pair : fittingReason(pair, condition.reason);
    const since = Date.parse(lastTransitionTime ?? '');
    const from = engine === 'voluntary' ? Math.max(since, made) : since;
    return fitting.map(({ waitSeconds }) => from + waitSeconds * 1000);
  });
  return dues.length === 0 ? undefined : Math.min(...dues);
}

/** Those that name the reason, or where none does those that name none. */
function fittingReason(pair: readonly RepairPolicy[], reason: string): readonly RepairPolicy[] {
  const named = pair.filter((policy) => policy.reason?.test(reason) === true);
  return named.length > 0 ? named : pair.filter((policy) => policy.reason === undefined);
}

/** The bound of a drain where a policy has none: that of the fallback of AWS. */
const usualBoundSeconds = 600;

/** How long pods may hold the drain: the shortest bound of the policies that fit (karpenter.md §2). */
export function boundSeconds(node: KubeObject, policies: readonly RepairPolicy[]): number {
  const bounds = conditionsOf(node).flatMap(({ type, status, reason }) =>
    fittingReason(
      policies.filter((policy) => policy.type === type && policy.status === status),
      reason,
    ).flatMap(({ drainSeconds }) => drainSeconds ?? []),
  );
  return bounds.length === 0 ? usualBoundSeconds : Math.min(...bounds);
}

/** Whether an eviction of the pod is refused: its own annotation, or a budget of its namespace that allows none now. */
export function isHeld(pod: KubeObject, budgets: readonly KubeObject[]): boolean {
  const { namespace, labels = {}, annotations = {} } = pod.metadata;
  if (annotations['karpenter.sh/do-not-disrupt'] === 'true') return true;
  return budgets.some((budget) => {
    const wanted = Object.entries(textMap(budget, 'spec', 'selector', 'matchLabels'));
    const isSelected = wanted.every(([key, value]) => labels[key] === value);
    return (
      budget.metadata.namespace === namespace &&
      isSelected &&
      (field(budget, 'status', 'disruptionsAllowed') ?? 0) === 0
    );
  });
}

/** The kubelet reports no more: what is deleted on the node never ends (pkg/controller/nodelifecycle writes Unknown). */
export function isSilent(node: KubeObject): boolean {
  return conditionsOf(node).some(({ type, status }) => type === 'Ready' && status === 'Unknown');
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
