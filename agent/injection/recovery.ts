import { messageFromUnknown } from '../../shared/errors.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { Dcgm } from '../dcgm/client.ts';
import type { EngineProcesses } from '../engine-process/port.ts';
import type { Recovery } from './channel.ts';

/**
 * Takes one thing back and reports what was done; never throws. `engine` saves the search for it where it is known.
 */
export type Recover = (recovery: Recovery, engine?: HostEngineFacts) => Promise<string>;

/** Takes back what an order has left, now or after a restart; answers with what was done, and never throws. */
export function createRecover(parts: {
  readonly dcgm: Pick<Dcgm, 'list' | 'endHold'>;
  readonly engineProcesses: EngineProcesses;
}): Recover {
  async function resume({ pid, startTime }: Extract<Recovery, { kind: 'process' }>): Promise<string> {
    const found = await parts.engineProcesses.resume({ pid, startTime });
    return found === undefined
      ? `process ${pid} had ended, so there was nothing to continue`
      : `process ${pid} was continued and is in state ${found.state}`;
  }

  async function endHold(
    { pid, ...hold }: Extract<Recovery, { kind: 'hold' }>,
    known: HostEngineFacts | undefined,
  ): Promise<string> {
    const engine = known ?? (await parts.dcgm.list()).find((candidate) => candidate.pid === pid);
    if (engine === undefined) return `the host engine with pid ${pid} has ended, and its samples with it`;
    return parts.dcgm.endHold({ engine, ...hold });
  }

  return async (recovery, engine) => {
    try {
      return await (recovery.kind === 'process' ? resume(recovery) : endHold(recovery, engine));
    } catch (thrown) {
      return `COULD NOT BE TAKEN BACK: ${messageFromUnknown(thrown)}; ${byHand(recovery)}`;
    }
  };
}

function byHand(recovery: Recovery): string {
  return recovery.kind === 'process'
    ? `run kill -CONT ${recovery.pid} on the node`
    : `field ${recovery.field} goes back by itself when its sample has passed`;
}
