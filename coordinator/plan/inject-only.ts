import { Refusal } from '../../shared/errors.ts';
import { lastingSeconds } from '../../shared/orders/call.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import type { ExpectationInput } from '../store/experiment.ts';

/** The agent writes down how a part ended, and its clock is not ours. */
const marginSeconds = 2;

/**
 * The expectation of a drill that is judged by its injection alone; `type` is the condition that the fault is about. It waits
 * until what is sustained has ended by itself. Refuses every member that says something about a reaction or what follows it.
 */
export function injectOnlyExpectation(
  { detection: _ignored, ...others }: ExpectationInput,
  order: MethodCall,
  type: string,
): Expectation {
  const [stray] = Object.entries(others).filter(([, value]) => value !== undefined && value !== 'ignore');
  if (stray !== undefined) {
    const [name, value] = stray;
    throw new Refusal(
      'expectation_invalid',
      `expectation.${name}: does not go with detection: ignore, which judges the injection alone`,
      {
        field: `expectation.${name}`,
        value,
        allowed: '{detection: ignore}, or an expectation without detection',
        remedy: `leave ${name} out, or leave detection out`,
      },
    );
  }
  const seconds = lastingSeconds(order);
  return {
    kind: 'ignored',
    type,
    reason: '',
    withinSeconds: seconds === undefined ? 1 : Math.min(3600, seconds + marginSeconds),
  };
}

/**
 * The order without the reader that its row means: an agent refuses a value that does not reach it, and here nobody has to be
 * reached. A reader that the caller names stays.
 */
export function withoutReach(call: MethodCall, { reach }: Readonly<Record<string, unknown>>): MethodCall {
  if (call.method !== 'InjectDcgmField' || reach !== undefined) return call;
  const { reach: _meant, ...body } = call.body;
  return { ...call, body };
}
