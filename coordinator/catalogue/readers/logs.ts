import { kernelRulesOf, matchKernelRules } from '../nma/kernel-rules.ts';
import { type LogSource, linesNeeded, matchLogRules } from '../nma/log-rules.ts';
import { onNvmlEvents } from './engine.ts';
import { journalEntryOf } from './journald.ts';
import { gated, nmaName, type Reading, type ReadingContext } from './reading.ts';
import { judgeLine, type ReaderVerdict } from './xid-lines.ts';

/** Who takes a line of the kernel log. Pure. */
export function kernelLogReaders(text: string, context: ReadingContext): Reading[] {
  // NMA is judged by its version, and not by what it is known for in general.
  const verdicts = judgeLine(text).filter(({ reader }) => reader.name !== 'EKS NMA');
  const readings = verdicts.map(readingOf);
  const isDetectorTold = readings.some(({ consumer }) => consumer === problemDetector.consumer);
  return [
    nmaOnKernelLog(text, context),
    ...readings,
    ...(isDetectorTold ? [] : [problemDetector]),
    journald(text),
    ...(isXid(text) ? onNvmlEvents : []),
  ];
}

function readingOf({ reader, rejects }: ReaderVerdict): Reading {
  const { name, looksFor, reads, note } = reader;
  const taken = note === undefined ? `it reads ${reads}` : `it reads ${reads}; ${note}`;
  return {
    consumer: looksFor === 'Xid' || looksFor === 'SXid' ? name : `${name}, ${looksFor}`,
    accepted: rejects === undefined,
    because: rejects ?? taken,
  };
}

const isXid = (text: string) => text.includes('NVRM: Xid');
const isSxid = (text: string) => /SXid \(/.test(text);

function nmaOnKernelLog(text: string, context: ReadingContext): Reading {
  const consumer = nmaName(context);
  const { row } = context.nma;
  const [match] = matchKernelRules(row, `11,1,1,-;${text}`);
  if (match === undefined) {
    const what = isSxid(text) ? 'SXid' : isXid(text) ? 'Xid' : undefined;
    const because =
      what === undefined
        ? `none of its ${kernelRulesOf(row).length} kernel log rules matches`
        : `no version of NMA reads ${what} lines from the kernel log`;
    return { consumer, accepted: false, because };
  }
  const { rule, reaction } = match;
  return gated({ plugin: rule.plugin, needsEngine: false }, context, {
    consumer,
    accepted: true,
    because: `rule ${rule.id} of ${rule.plugin}: ${reaction.appearsAs} ${reaction.reason}`,
  });
}

/** What NMA makes of a line of a file or of the journal. Pure. */
export function nmaOnLog(source: LogSource, text: string, context: ReadingContext): Reading {
  const consumer = nmaName(context);
  const [match] = matchLogRules(context.nma.row, source, text);
  if (match === undefined) {
    const where = source.kind === 'file' ? source.path : `the journal of ${source.identifier}`;
    return { consumer, accepted: false, because: `none of its rules for ${where} matches` };
  }
  const { rule, reaction } = match;
  const lines = linesNeeded(rule);
  const from = lines === 1 ? '' : `, from line ${lines} on`;
  return gated({ plugin: rule.plugin, needsEngine: false }, context, {
    consumer,
    accepted: true,
    because: `rule ${rule.id} of ${rule.plugin}: ${reaction.appearsAs} ${reaction.reason}${from}`,
  });
}

/** Who takes a line of the journal. Pure. */
export function journalReaders(identifier: string, text: string, context: ReadingContext): Reading[] {
  if (identifier !== 'kubelet' && identifier !== 'systemd') return [journald(`${identifier}: ${text}`)];
  return [
    nmaOnLog({ kind: 'journal', identifier }, text, context),
    journald(`${identifier}: ${text}`),
    problemDetector,
  ];
}

function journald(text: string): Reading {
  const { identifier } = journalEntryOf({ priority: userSpacePriority, text });
  const how =
    identifier === undefined
      ? 'files it whole, under no identifier of its own'
      : `files it under SYSLOG_IDENTIFIER=${identifier} and strips "${identifier}: " from MESSAGE`;
  return { consumer: 'journald', accepted: true, because: `${how} (where ReadKMsg is on, its default)` };
}

/** Facility `user`: what the kernel makes of a write to /dev/kmsg, whoever writes. */
const userSpacePriority = 11;

const problemDetector: Reading = {
  consumer: 'node-problem-detector',
  accepted: null,
  because: 'it depends on its rules; upstream has some for hung tasks, oopses and I/O errors',
};
