import { Refusal } from '../errors.ts';
import type { Reach } from '../schemas/order-members.ts';
import { policiesOf } from './effect.ts';
import type { FieldRow } from './row.ts';

type Times = {
  readonly reach?: Reach;
  readonly offsetSeconds?: number;
  readonly forSeconds?: number;
  readonly everySeconds?: number;
};

/** Refuses with `parameter_invalid` a time that the recipe for a health check (dcgm-fields/recipe.ts) makes no use of. */
export function refuseUnusedTimes(field: FieldRow, times: Times): void {
  if (times.reach !== 'health') return;
  for (const name of ['forSeconds', 'everySeconds'] as const) {
    if (field.sticky !== true || times[name] === undefined) continue;
    throw unused(
      name,
      times[name],
      'a health check keeps an Xid until the host engine restarts',
      'leave it out',
    );
  }
  const { offsetSeconds, everySeconds } = times;
  const isHeld = policiesOf(field).length > 0 && field.polledSeconds === undefined && field.sticky !== true;
  if (offsetSeconds === undefined || everySeconds !== undefined || !isHeld) return;
  throw unused(
    'offsetSeconds',
    offsetSeconds,
    `field ${field.id} is held for a health check by one sample that lies as far ahead as it is to last`,
    'say forSeconds instead, or another reach',
  );
}

function unused(field: string, value: number, because: string, remedy: string): Refusal {
  return new Refusal('parameter_invalid', `${field}: not used: ${because}`, { field, value, remedy });
}
