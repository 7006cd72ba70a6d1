import { conditionRows, type Edition, type RepairAction, reasonRows } from './actions.ts';

/** What AWS documents for managed node groups; Auto Mode and Karpenter always replace. */
export type DocumentedRepair = {
  readonly action: RepairAction;
  /** How long the condition has to be False first; null: nothing follows. */
  readonly afterSeconds: number | null;
  /** Where it is documented; null: nothing follows. */
  readonly edition: Edition | null;
};

/** Controllers look at conditions only. The reason's own row wins over that of the condition. */
export function documentedRepair(
  kind: 'event' | 'condition',
  type: string,
  reason: string,
): DocumentedRepair {
  const condition = conditionRows.find((row) => row.type === type);
  if (kind === 'event' || condition === undefined)
    return { action: 'none', afterSeconds: null, edition: null };
  const { action, edition } = reasonRows.find(({ pattern }) => pattern.test(reason)) ?? condition;
  return { action, afterSeconds: action === 'none' ? null : condition.waitSeconds, edition };
}
