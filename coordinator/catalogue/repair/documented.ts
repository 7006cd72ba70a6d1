import { conditionRows, type Edition, type RepairAction, reasonTables } from './eks.ts';

/** What AWS documents for managed node groups. */
export type DocumentedRepair = {
  readonly action: RepairAction;
  /** How long the condition has to be unhealthy first; null: nothing follows. */
  readonly afterSeconds: number | null;
  /** Where it is documented; null: nothing follows. */
  readonly edition: Edition | null;
};

/** The newest edition that names the reason, and older ones that say another action; undefined: none names it. */
export function documentedAction(reason: string):
  | {
      readonly action: RepairAction;
      readonly edition: Edition;
      readonly otherwise: readonly { readonly action: RepairAction; readonly edition: Edition }[];
    }
  | undefined {
  const found = reasonTables.flatMap(({ edition, rows }) => {
    const row = rows.find(({ pattern }) => pattern.test(reason));
    return row === undefined ? [] : [{ action: row.action, edition }];
  });
  const [first, ...older] = found;
  if (first === undefined) return undefined;
  return { ...first, otherwise: older.filter(({ action }) => action !== first.action) };
}

/** Controllers look at conditions only. The reason's own row wins over that of the condition. */
export function documentedRepair(
  kind: 'event' | 'condition',
  type: string,
  reason: string,
): DocumentedRepair {
  const condition = conditionRows.find((row) => row.type === type);
  if (kind === 'event' || condition === undefined)
    return { action: 'none', afterSeconds: null, edition: null };
  const { action, edition } = documentedAction(reason) ?? condition;
  return { action, afterSeconds: action === 'none' ? null : condition.waitSeconds, edition };
}
