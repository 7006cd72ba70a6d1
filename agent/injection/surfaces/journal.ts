import { Refusal } from '../../../shared/errors.ts';
import type { JournalMissing, KernelLogReadBack } from '../../../shared/schemas/read-back.ts';
import type { SystemJournal } from '../../host-files/journald/port.ts';
import type { Confirmed } from '../channel.ts';
import { kernelRecord } from './kernel-log.ts';
import type { SurfaceWriter } from './writer.ts';

/** Writes one record into the kernel log, from where journald takes it, and reads it back from the journal. */
export const journal: SurfaceWriter<'journal'> = (part, on) =>
  kernelRecord(part, on, {
    undo: 'cannot be undone: it stays in the kernel log until the next reboot, and in the journal',
    notes: [],
    confirm: confirmInJournal(on.systemJournal, part),
  });

/** journald takes a record within milliseconds; NMA itself waits 5 s for a change of the journal. */
const withinMs = 5000;

/** Reads a record of the kernel log back from the journal: nobody who is to react to it reads the kernel log for it. */
function confirmInJournal(
  journal: SystemJournal,
  { identifier, text }: { readonly identifier: string; readonly text: string },
): (record: KernelLogReadBack, signal: AbortSignal) => Promise<Confirmed> {
  return async (record, signal) => {
    const { microseconds } = record;
    const found = await journal
      .find({ identifier, message: text, microseconds }, { withinMs, signal })
      .catch((thrown: unknown) => ({
        state: 'unread' as const,
        cause: 'failed' as const,
        because: `the order ended before the journal was read: ${String(thrown)}`,
      }));
    const readBack = { ...record, journal: found };
    if (found.state === 'seen')
      return { readBack, notes: [`read back from the journal in ${found.directory}`] };
    if (found.state === 'unread')
      return {
        readBack,
        notes: [`read back from the kernel log only; the journal could not be read: ${found.because}`],
      };
    return { readBack, notes: [], refusal: missing(record, found) };
  };
}

function missing({ sequence }: KernelLogReadBack, { cause, because }: JournalMissing): Refusal {
  return new Refusal(
    'journal_record_missing',
    `the record was injected in the kernel log (sequence ${sequence}) and not seen in the journal, which is what NMA reads: ${because}`,
    { cause, remedy: remedies[cause] },
  );
}

const remedies: Readonly<Record<JournalMissing['cause'], string>> = {
  'no-journald': 'drill a node that runs systemd-journald',
  'no-journal': 'let journald store: Storage=persistent or volatile in journald.conf, then restart it',
  elsewhere:
    'make journald and NMA agree: Storage=persistent in journald.conf, or remove the unused /var/log/journal, then restart journald and NMA',
  'read-kmsg-off': 'set ReadKMsg=yes in journald.conf and restart systemd-journald',
  'storage-none': 'set Storage=persistent or volatile in journald.conf and restart systemd-journald',
  'forward-to-kmsg': 'set ForwardToKMsg=no in journald.conf and restart systemd-journald',
  'level-not-stored': 'set MaxLevelStore=info or debug in journald.conf and restart systemd-journald',
  'not-arrived': 'look at journald on the node: journalctl -k -n 20; systemctl status systemd-journald',
};
