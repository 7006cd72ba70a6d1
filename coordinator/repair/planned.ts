import { engineNamed } from '../../shared/orders/call.ts';
import { reactionsToOrder } from '../catalogue/channels.ts';
import { gpuConditionType } from '../catalogue/nma/conditions.ts';
import { type Facts, isUnread } from '../view/facts.ts';

/** A condition that the drill turns False, or the reason that it gets later. */
export type PlannedCondition = { readonly type: string; readonly reason: string };

/**
 * The expected condition and those that NMA's later checks make of the same fault: Xid 79 is first NvidiaXID79Error and
 * minutes later DCGMHealthCode120, and Xid 94 is first an event and then DCGMHealthCode101. Those that the node has
 * already are left out.
 */
export function plannedConditions(facts: Facts): readonly PlannedCondition[] {
  const { drill, node } = facts;
  if (drill === undefined) return anyFault(facts);
  const hasReacted = drill.timeline.some(({ match }) => match);
  const { kind, type, reason } = drill.expectation;
  const expected = kind === 'condition' && !hasReacted ? [{ type, reason }] : [];
  const later = drill.pathOnly === true ? [] : orderedConditions(facts);
  const all = [...expected, ...later];
  return all.filter(
    (one, index) =>
      all.findIndex((other) => isSame(one, other)) === index &&
      !node.conditions.some((current) => current.status === 'False' && isSame(one, current)),
  );
}

/** Without a drill: what would follow a GPU fault whose reason is not known. */
function anyFault({ node }: Facts): readonly PlannedCondition[] {
  const isFalse = node.conditions.some(({ type, status }) => type === gpuConditionType && status === 'False');
  return isFalse ? [] : [{ type: gpuConditionType, reason: '' }];
}

function orderedConditions({ drill, nma, agent }: Facts): readonly PlannedCondition[] {
  const row = nma.version?.row;
  if (drill === undefined || row === undefined) return [];
  const engine = isUnread(agent.inventory) ? undefined : engineOf(agent.inventory.engines, drill.order);
  return reactionsToOrder(drill.order, { nma: row, engineVersion: engine?.version || undefined })
    .filter(({ reaction }) => reaction.appearsAs === 'condition')
    .map(({ reaction }) => ({ type: reaction.conditionType, reason: reaction.reason }));
}

function engineOf<E extends { readonly pid: number; readonly nma: { readonly listening: boolean } }>(
  engines: readonly E[],
  order: Parameters<typeof engineNamed>[0],
): E | undefined {
  const named = engineNamed(order)?.pid;
  return engines.find(({ pid, nma }) => (named === undefined ? nma.listening : pid === named));
}

function isSame(left: PlannedCondition, right: PlannedCondition): boolean {
  return left.type === right.type && left.reason === right.reason;
}
