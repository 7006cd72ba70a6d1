import type { KernelLog, TailEntry } from '../../../agent/kernel-log/port.ts';
import type { Clock } from '../../../shared/clock.ts';
import { messageFromUnknown } from '../../../shared/errors.ts';
import type { KmsgRecord } from '../../../shared/kmsg-record.ts';
import type { PluginName } from '../../catalogue/expectation.ts';
import { matchKernelRules } from '../../catalogue/nma/kernel-rules.ts';
import { createLogReader } from '../../catalogue/nma/log-reader.ts';
import { type LogSource, logRules } from '../../catalogue/nma/log-rules.ts';
import type { Reaction } from '../../catalogue/nma/reactions.ts';
import type { NmaVersion } from '../../catalogue/nma/versions.ts';
import { journalEntryOf } from '../../catalogue/readers/journald.ts';
import type { FileTail } from './file-tail.ts';
import type { PodLog } from './pod-log.ts';

/** A finding of a monitor; up to `minOccurrences` earlier ones of the reason have no effect. */
export type Finding = Reaction & { readonly minOccurrences?: number };

/** What the log observers follow, and where their findings go. */
export type ObserverDeps = {
  readonly row: NmaVersion;
  readonly kernelLog: KernelLog;
  /** The node's files; absent: no file is followed. */
  readonly files: FileTail | undefined;
  readonly clock: Clock;
  readonly podLog: PodLog;
  readonly signal: AbortSignal;
  readonly find: (plugin: PluginName, finding: Finding) => void;
};

/** Where NMA's container has the node's files. */
const hostRoot = '/host';

const identifiers = ['kubelet', 'systemd'] as const;

const paths = [...new Set(logRules.flatMap(({ source }) => (source.kind === 'file' ? [source.path] : [])))];

/**
 * NMA's readers of logs (pkg/observer): the kernel log, the journal by identifier, and files. Each starts at the end:
 * what was written before "initialized reader" is never seen.
 */
export async function observeLogs(deps: ObserverDeps): Promise<void> {
  const { row, clock, find } = deps;
  const reader = createLogReader(row);
  const readLine = (source: LogSource, line: string): void => {
    for (const { rule, reaction } of reader.read(source, line.trim(), clock.now()))
      find(rule.plugin, { ...reaction, minOccurrences: rule.minOccurrences });
  };
  for (const path of paths) followFile(deps, path, (line) => readLine({ kind: 'file', path }, line));
  await Promise.all([
    readKernelLog(deps, 'dmesg', ({ raw }) => {
      for (const { rule, reaction } of matchKernelRules(row, raw)) find(rule.plugin, reaction);
    }),
    // The journal of a node takes its kernel records from the same log.
    ...identifiers.map((identifier) =>
      readKernelLog(deps, `journal-${identifier}`, (record) => {
        const entry = journalEntryOf(record);
        if (entry.identifier === identifier) readLine({ kind: 'journal', identifier }, entry.message);
      }),
    ),
  ]);
}

async function readKernelLog(
  { kernelLog, podLog, signal }: ObserverDeps,
  name: string,
  onRecord: (record: KmsgRecord) => void,
): Promise<void> {
  const observer = { observer: name };
  podLog.info('starting observer', observer);
  try {
    const records = kernelLog.tail({ from: 'end', signal })[Symbol.asyncIterator]();
    // The position is taken when the first record is asked for.
    let next: Promise<IteratorResult<TailEntry>> = records.next();
    podLog.info('initialized reader', observer);
    for (let entry = await next; entry.done !== true; entry = await next) {
      if ('lost' in entry.value)
        podLog.error('error in workloop', 'failed to read file: broken pipe', observer);
      else onRecord(entry.value.record);
      next = records.next();
    }
  } catch (thrown) {
    if (!signal.aborted) podLog.error('observer failed', messageFromUnknown(thrown), observer);
  }
}

function followFile(
  { files, podLog, signal }: ObserverDeps,
  path: string,
  onLine: (line: string) => void,
): void {
  if (files === undefined) return;
  podLog.info('starting observer', { observer: `file-${hostRoot}${path}` });
  const stop = files.tail(path, onLine);
  signal.addEventListener('abort', stop, { once: true });
}
