import { journal as lines } from '../channels/logs.ts';
import { journalReaders } from '../readers/logs.ts';
import { keptInRing, placeOfRecord } from './kernel-log.ts';
import type { SurfaceWork } from './work.ts';

/** Lines of the journal, by way of the kernel log. */
export const journal = {
  writes: (part, on) => [
    {
      afterSeconds: part.afterMs / 1000,
      ...placeOfRecord(part),
      because: [],
      readers: journalReaders(part.identifier, part.text, on),
    },
  ],
  kept: () => [keptInRing, { what: 'the lines in the journal', until: 'journald rotates them away' }],
  channels: { journal: lines },
  channelOf: (order) =>
    order.method === 'WriteJournalMessage' ? { channel: { kind: 'journal', ...order.body } } : undefined,
} as const satisfies SurfaceWork<'journal'>;
