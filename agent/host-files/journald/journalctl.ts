import { readFile } from 'node:fs/promises';
import type { Clock } from '../../../shared/clock.ts';
import { renderDuration } from '../../../shared/duration.ts';
import { messageFromUnknown, Refusal } from '../../../shared/errors.ts';
import type { JournalMissing, JournalReadBack } from '../../../shared/schemas/read-back.ts';
import type { HostPrograms } from '../../programs/host.ts';
import type { HostFiles } from '../port.ts';
import { entryOf, parseJournalEntries } from './entries.ts';
import type { JournalRecord, SystemJournal, Unread } from './port.ts';
import { parseJournaldSettings, whyNotStored } from './settings.ts';

/** journald makes its sockets here when it starts (systemd-journald.service(8), "Sockets and Directories"). */
export const journaldFolder = '/run/systemd/journal';

/** As NMA chooses: the first that exists, once at its start (eks-node-monitoring-agent pkg/observer/journald.go). */
export const journalFolders = ['/var/log/journal', '/run/log/journal'] as const;

const journalctlPaths = ['/usr/bin/journalctl', '/bin/journalctl', '/usr/local/bin/journalctl'];
const analyzePaths = ['/usr/bin/systemd-analyze', '/bin/systemd-analyze'];

/** One look through the indexes of all files of a folder. */
const runMs = 5000;

/** journald takes a record within milliseconds; a look is a process, so they come further and further apart. */
const pausesMs = [20, 50, 100, 200, 400] as const;

/** Level of everything that is written for the journal (shared/orders/script.ts, recordOf). */
const levelOfRecords = 6;

/** The journal of the host, read by its own journalctl, which fits the files that its journald writes. */
export function createSystemJournal(options: {
  readonly files: HostFiles;
  readonly programs: HostPrograms;
  readonly clock: Clock;
  /** Entries of other boots may have the same time since boot; null: not known. */
  readonly bootId: string | null;
  readonly procRoot?: string;
}): SystemJournal {
  const { files, programs, clock, procRoot = '/proc' } = options;

  async function whyNone(): Promise<string | undefined> {
    const missing = await files.whyMissing(journaldFolder);
    if (missing !== undefined) return `no journald runs on this node: ${missing}`;
    return undefined;
  }

  async function whyUnread(): Promise<Unread | undefined> {
    const program = await programs.find(journalctlPaths);
    if (program === undefined)
      return { cause: 'node-lacks', because: `the node has no journalctl (${journalctlPaths.join(', ')})` };
    const because = await programs.whyNot();
    return because === undefined ? undefined : { cause: 'agent-lacks', because };
  }

  async function look(folder: string, record: JournalRecord, signal: AbortSignal) {
    const program = await programs.find(journalctlPaths);
    if (program === undefined) throw new Refusal('host_program_failed', 'the node has no journalctl');
    const boot = options.bootId === null ? [] : [`_BOOT_ID=${options.bootId.replaceAll('-', '')}`];
    const args = [
      `--directory=${folder}`,
      '--output=json',
      '--all',
      '--no-pager',
      '--quiet',
      ...boot,
      `_SOURCE_MONOTONIC_TIMESTAMP=${record.microseconds}`,
      `SYSLOG_IDENTIFIER=${record.identifier}`,
    ];
    const run = await programs.run(program, args, { timeoutMs: runMs, signal });
    const { entries, unreadable } = parseJournalEntries(run.output);
    const entry = entryOf(record, entries);
    if (entry !== undefined) return entry;
    const words = [...unreadable, run.errors.trim()].filter((text) => text !== '').join('; ');
    // Empty folders are no failure: "No journal files were found" ends it with 0 or 1, by version.
    if (run.exitCode > 1 || unreadable.length > 0)
      throw new Refusal(
        'host_program_failed',
        `journalctl ended with ${run.exitCode}: ${words.slice(0, 300)}`,
      );
    return undefined;
  }

  async function explain(
    record: JournalRecord,
    folder: string | undefined,
    signal: AbortSignal,
  ): Promise<Omit<JournalMissing, 'state'>> {
    const none = await whyNone();
    if (none !== undefined) return { cause: 'no-journald', because: none };
    const setting = whyNotStored(await settingsOf(programs, procRoot, signal), levelOfRecords);
    if (setting !== undefined) return setting;
    if (folder === undefined)
      return { cause: 'no-journal', because: `the node has no ${journalFolders.join(' and no ')}` };
    for (const other of journalFolders) {
      if (other === folder || (await files.whyMissing(other)) !== undefined) continue;
      if ((await look(other, record, signal)) !== undefined)
        return {
          cause: 'elsewhere',
          because: `the record is in ${other}, and NMA reads ${folder}, because that folder exists`,
        };
    }
    return { cause: 'not-arrived', because: `journald runs, and the record is not in ${folder}` };
  }

  async function search(
    record: JournalRecord,
    withinMs: number,
    signal: AbortSignal,
  ): Promise<JournalReadBack> {
    const until = clock.elapsed() + withinMs;
    let folder: string | undefined;
    for (let turn = 0; ; turn += 1) {
      folder = await folderOfNma(files);
      const entry = folder === undefined ? undefined : await look(folder, record, signal);
      if (folder !== undefined && entry !== undefined) return { state: 'seen', directory: folder, ...entry };
      // Where there is no journald, none comes within the wait either.
      if ((await whyNone()) !== undefined || clock.elapsed() >= until) break;
      await clock.sleep(pausesMs[Math.min(turn, pausesMs.length - 1)] ?? 0, signal);
    }
    const { cause, because } = await explain(record, folder, signal);
    const after = cause === 'not-arrived' ? `${because} after ${renderDuration(withinMs / 1000)}` : because;
    return { state: 'missing', cause, because: after };
  }

  return {
    whyNone,
    whyUnread,
    async find(record, { withinMs, signal }) {
      const unread = await whyUnread();
      if (unread !== undefined && (await whyNone()) === undefined) return { state: 'unread', ...unread };
      try {
        return await search(record, withinMs, signal);
      } catch (thrown) {
        signal.throwIfAborted();
        const isOurs = thrown instanceof Refusal && thrown.reason === 'agent_incapable';
        return {
          state: 'unread',
          cause: isOurs ? 'agent-lacks' : 'failed',
          because: messageFromUnknown(thrown),
        };
      }
    },
  };
}

async function folderOfNma(files: HostFiles): Promise<string | undefined> {
  for (const folder of journalFolders) if ((await files.whyMissing(folder)) === undefined) return folder;
  return undefined;
}

/** All files of its configuration, in their order, and the kernel's command line. */
async function settingsOf(programs: HostPrograms, procRoot: string, signal: AbortSignal) {
  const program = await programs.find(analyzePaths);
  const commandLine = await readFile(`${procRoot}/cmdline`, 'utf8').catch(() => '');
  if (program === undefined) return parseJournaldSettings('', commandLine);
  const args = ['cat-config', 'systemd/journald.conf'];
  const { output } = await programs.run(program, args, { timeoutMs: runMs, signal });
  return parseJournaldSettings(output, commandLine);
}
