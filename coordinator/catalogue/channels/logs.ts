import { encodeKmsgWrite } from '../../../shared/kmsg-record.ts';
import { type LogFileName, logFiles } from '../../../shared/surfaces/log-file.ts';
import { viaOfLog } from '../nma/known-reasons.ts';
import { type LogSource, linesNeeded, matchLogRules } from '../nma/log-rules.ts';
import { type ChannelReaction, type ChannelWork, fillText, type ReactsOn } from './channel.ts';

/** Lines of the journal under one identifier; `times`: so many are needed. */
type JournalLines = {
  readonly kind: 'journal';
  readonly identifier: 'kubelet' | 'systemd';
  readonly text: string;
  readonly times?: number;
};

/** Lines of a file that the monitoring agent tails; `times`: so many are needed. */
type LogFileLines = {
  readonly kind: 'log-file';
  readonly file: LogFileName;
  readonly text: string;
  readonly times?: number;
};

/** A line in the journal. */
export const journal: ChannelWork<JournalLines> = {
  order: (work) => ({
    method: 'WriteJournalMessage',
    body: {
      identifier: work.channel.identifier,
      text: lineOf(work.channel.text, work),
      ...(work.channel.times === undefined ? {} : { times: work.channel.times }),
    },
  }),
  reactions: (work, on) => {
    const { identifier, text, times } = work.channel;
    return reactionsTo({ kind: 'journal', identifier }, lineOf(text, work), times, on);
  },
};

/** A line in a file. */
export const logFile: ChannelWork<LogFileLines> = {
  order: (work) => ({
    method: 'AppendLogLine',
    body: {
      file: work.channel.file,
      text: lineOf(work.channel.text, work),
      ...(work.channel.times === undefined ? {} : { times: work.channel.times }),
    },
  }),
  reactions: (work, on) => {
    const { file, text, times } = work.channel;
    return reactionsTo({ kind: 'file', path: logFiles[file] }, lineOf(text, work), times, on);
  },
};

function lineOf(text: string, work: Parameters<typeof fillText>[1]): string {
  const line = fillText(text, work);
  encodeKmsgWrite('err', line, 'fault.parameters');
  return line;
}

function reactionsTo(
  source: LogSource,
  line: string,
  times: number | undefined,
  { nma }: ReactsOn,
): readonly ChannelReaction[] {
  return matchLogRules(nma, source, line)
    .filter(({ rule }) => linesNeeded(rule) <= (times ?? 1))
    .map(({ rule, reaction }) => ({
      surface: source.kind === 'journal' ? 'journal' : 'log-file',
      reaction,
      via: viaOfLog(source.kind),
      plugin: rule.plugin,
      afterMs: 0,
    }));
}
