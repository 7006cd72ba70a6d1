import { messageFromUnknown } from '../../shared/errors.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { Dcgm } from '../dcgm/client.ts';
import type { EngineProcesses } from '../engine-process/port.ts';
import type { Recovery } from './channel.ts';

/** What became of an attempt to take something back. */
export type Recovered = {
  /** For the receipt: what was done, or why not and what to do by hand. */
  readonly note: string;
  /** False: it is still there. */
  readonly isDone: boolean;
};

/** Takes one thing back; never throws. `engine` saves the search for it where it is known. */
export type Recover = (recovery: Recovery, engine?: HostEngineFacts) => Promise<Recovered>;

/** Takes back what an order has left, now or after a restart. */
export function createRecover(parts: {
  readonly dcgm: Pick<Dcgm, 'list' | 'endHold'>;
  readonly engineProcesses: EngineProcesses;
}): Recover {
  async function endHold(
    { pid, ...hold }: Extract<Recovery, { kind: 'hold' }>,
    known: HostEngineFacts | undefined,
  ): Promise<string> {
    const engine = known ?? (await parts.dcgm.list()).find((candidate) => candidate.pid === pid);
    if (engine === undefined) return `the host engine with pid ${pid} has ended, and its samples with it`;
    return parts.dcgm.endHold({ engine, ...hold });
  }

  return async (recovery, engine) => {
    if (recovery.kind === 'process') return recoverProcess(parts.engineProcesses, recovery);
    return attempt(() => endHold(recovery, engine), byHand(recovery));
  };
}

/** Continues a process that was paused; never throws. */
export function recoverProcess(
  engineProcesses: EngineProcesses,
  recovery: Extract<Recovery, { kind: 'process' }>,
): Promise<Recovered> {
  const { pid, startTime } = recovery;
  return attempt(async () => {
    const found = await engineProcesses.resume({ pid, startTime });
    return found === undefined
      ? `process ${pid} had ended, so there was nothing to continue`
      : `process ${pid} was continued and is in state ${found.state}`;
  }, byHand(recovery));
}

async function attempt(work: () => Promise<string>, otherwise: string): Promise<Recovered> {
  try {
    return { note: await work(), isDone: true };
  } catch (thrown) {
    return { note: `COULD NOT BE TAKEN BACK: ${messageFromUnknown(thrown)}; ${otherwise}`, isDone: false };
  }
}

function byHand(recovery: Recovery): string {
  return recovery.kind === 'process'
    ? `run kill -CONT ${recovery.pid} on the node`
    : `field ${recovery.field} goes back by itself when its sample has passed`;
}
