import type { Part } from '../../shared/surfaces/table.ts';
import { kernelRulesOf, matchKernelRules } from '../catalogue/nma/kernel-rules.ts';
import { type LogSource, linesNeeded, matchLogRules } from '../catalogue/nma/log-rules.ts';
import { journalEntryOf } from '../catalogue/readers/journald.ts';
import { judgeLine, type ReaderVerdict } from '../catalogue/readers/xid-lines.ts';
import { judgingVersion } from '../plan/plan.ts';
import { nmaOnEngineLoss, onNvmlEvents } from './engine-readers.ts';
import { gated, nmaName, type ReaderContext } from './monitor-gate.ts';
import type { Reading } from './schema.ts';

/** Who takes one write, and who does not, with the reason. Pure. */
export function readersOfPart(part: Exclude<Part, { surface: 'dcgm' }>, context: ReaderContext): Reading[] {
  switch (part.surface) {
    case 'kernel-log':
      return kernelLogReaders(part.text, context);
    case 'journal':
      return journalReaders(part.identifier, part.text, context);
    case 'log-file':
      return [nmaOnLog({ kind: 'file', path: part.path }, part.text, context)];
    case 'host-engine':
      return [nmaOnEngineLoss(context)];
  }
}

function kernelLogReaders(text: string, context: ReaderContext): Reading[] {
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

function nmaOnKernelLog(text: string, context: ReaderContext): Reading {
  const consumer = nmaName(context);
  const { row } = judgingVersion(context.target);
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
  return gated({ consumer, plugin: rule.plugin, needsEngine: false }, context, {
    consumer,
    accepted: true,
    because: `rule ${rule.id} of ${rule.plugin}: ${reaction.appearsAs} ${reaction.reason}`,
  });
}

function nmaOnLog(source: LogSource, text: string, context: ReaderContext): Reading {
  const consumer = nmaName(context);
  const [match] = matchLogRules(judgingVersion(context.target).row, source, text);
  if (match === undefined) {
    const where = source.kind === 'file' ? source.path : `the journal of ${source.identifier}`;
    return { consumer, accepted: false, because: `none of its rules for ${where} matches` };
  }
  const { rule, reaction } = match;
  const lines = linesNeeded(rule);
  const from = lines === 1 ? '' : `, from line ${lines} on`;
  return gated({ consumer, plugin: rule.plugin, needsEngine: false }, context, {
    consumer,
    accepted: true,
    because: `rule ${rule.id} of ${rule.plugin}: ${reaction.appearsAs} ${reaction.reason}${from}`,
  });
}

function journalReaders(identifier: string, text: string, context: ReaderContext): Reading[] {
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
