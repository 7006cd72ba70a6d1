import { Refusal } from '../errors.ts';

/** Refuses with `disarmed`. */
export function assertArmed(armed: boolean): void {
  if (armed) return;
  throw new Refusal('disarmed', 'this agent is disarmed and writes nothing', {
    remedy:
      'start the agent with --arm (in the chart agent.armed=true), and only on nodes that may be drilled',
  });
}
