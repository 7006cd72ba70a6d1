import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { FaultRow } from '../../shared/faults/row.ts';
import type { Expectation } from '../../shared/schemas/expectation.ts';
import type { ExpectationInput } from '../../shared/schemas/experiment.ts';
import { negativeExpectation } from './negative.ts';

/** The caller's word wins; what it leaves out comes from catalogue and version. */
export function resolveExpectation(
  given: ExpectationInput,
  usual: Expectation | undefined,
  row: FaultRow,
): Expectation {
  const negative = negativeExpectation(given, usual, row);
  if (negative !== undefined) return negative;
  const withinSeconds =
    given.within === undefined
      ? (usual?.withinSeconds ?? 60)
      : parseDuration(given.within, 'expectation.within') / 1000;
  if (withinSeconds < 1 || withinSeconds > 3600) {
    throw new Refusal('expectation_invalid', 'expectation.within: must be from 1 s to 1 h', {
      field: 'expectation.within',
      value: given.within,
      allowed: '1s to 1h',
    });
  }
  const type = given.type ?? usual?.type;
  const reason = given.reason ?? usual?.reason;
  const kind = given.kind ?? usual?.kind;
  if (kind === undefined || type === undefined || reason === undefined) {
    throw new Refusal(
      'expectation_invalid',
      `expectation: no version-known reaction to fault ${row.name} with these parameters; say kind, type and reason`,
      { field: 'expectation', allowed: '{kind: event|condition, type, reason, within}' },
    );
  }
  // A reason of the caller's own makes the usual message meaningless.
  const message =
    given.message ??
    (given.reason === undefined || given.reason === usual?.reason ? usual?.message : undefined);
  return { kind, type, reason, ...(message === undefined ? {} : { message }), withinSeconds };
}
