import { latchedByOrder, reactionsToOrder } from '../catalogue/channels.ts';
import { findNmaVersion } from '../catalogue/nma/versions.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import { judgedEngine } from './drill.ts';
import { capital } from './evidence.ts';

/**
 * What to do after a drill that passed, over all that NMA makes of the fault and all that was written: an Xid that is an
 * event at once may turn the condition minutes later, and a record of the kernel log stays.
 */
export function remedyAfter(facts: Facts): string {
  const { drill, nma } = facts;
  if (drill === undefined) return 'Compare the node with its state before the drill.';
  // EKS Auto Mode does not show the version: judged as everywhere where it is not known.
  const { row } = nma.version ?? findNmaVersion(undefined);
  const on = { nma: row, engineVersion: judgedEngine(facts)?.version || undefined };
  const later = laterConditions(facts, drill, reactionsToOrder(drill.order, on));
  const latched = latchedByOrder(drill.order, on);
  const { kind, type } = drill.expectation;
  const parts = [
    ...(kind === 'condition'
      ? [`restore the node, or let it be repaired: ${type} stays False until NMA restarts`]
      : []),
    ...later,
    ...latched
      .filter(({ what }) => kind !== 'condition' || what !== `condition ${type} False`)
      .map(({ what, until }) => `${what}: until ${until}`),
  ];
  if (parts.length === 0)
    return kind === 'ignored' ? 'Nothing to do.' : 'Nothing to do: an event leaves nothing on the node.';
  const isHarmless = kind !== 'condition' && later.length === 0;
  const first = isHarmless ? ['nothing to restore; what stays'] : [];
  return `${[...first, ...parts].map(capital).join('. ')}.`;
}

/** Conditions that NMA's checks turn after the reaction that was waited for. */
function laterConditions(
  { node }: Facts,
  { expectation }: DrillFacts,
  reactions: ReturnType<typeof reactionsToOrder>,
): readonly string[] {
  return reactions
    .map(({ reaction }) => reaction)
    .filter(({ appearsAs, reason }) => appearsAs === 'condition' && reason !== expectation.reason)
    .map(({ conditionType, reason }) => {
      const isThere = node.conditions.some(
        (current) =>
          current.type === conditionType && current.status === 'False' && current.reason === reason,
      );
      if (isThere) return `restore the node, or let it be repaired: ${conditionType} is False with ${reason}`;
      return expectation.kind === 'condition' && conditionType === expectation.type
        ? `within minutes its reason becomes ${reason}, and a repair goes by the reason that stands then`
        : `wait for NMA’s next check, within 6 min: it turns ${conditionType} False with ${reason}`;
    });
}
