import type { Log } from '../../shared/log.ts';
import type { Held } from './held.ts';
import { type SavedReceipts, takenBack } from './receipts.ts';
import type { Recover, Recovered } from './recovery.ts';

type TakingBack = {
  readonly held: Held;
  readonly receipts: SavedReceipts;
  readonly recover: Recover;
  readonly log: Log;
};

/** Takes back what orders of an earlier process have left, and records it in their receipts. */
export async function takeBackLeft(options: TakingBack): Promise<void> {
  const { held, log } = options;
  for (const { orderId, recovery, done } of held.left) {
    const notes = new Map<number, Recovered>();
    let isReleased = true;
    for (const { part, ...one } of recovery) {
      const { note, isDone } = done.get(part) ?? (await options.recover(one));
      log.warn({ orderId, note }, 'taken back what an interrupted order had left');
      notes.set(part, { note: `after the restart of the agent: ${note}`, isDone });
      isReleased &&= isDone;
    }
    annotate(orderId, notes, options);
    if (isReleased) held.release(orderId);
  }
}

/** What was taken back stands in the receipt as well, where that can still be read. */
function annotate(
  orderId: string,
  notes: ReadonlyMap<number, Recovered>,
  { receipts, log }: Pick<TakingBack, 'receipts' | 'log'>,
): void {
  try {
    const receipt = receipts.find(orderId);
    if (receipt === undefined) return;
    const surfaces = receipt.surfaces.map((entry, part) => {
      const note = notes.get(part);
      return note === undefined ? entry : takenBack(entry, note);
    });
    receipts.save({ ...receipt, surfaces });
  } catch (thrown) {
    log.error({ err: thrown, orderId }, 'what was taken back does not stand in the receipt');
  }
}
