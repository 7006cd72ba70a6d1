import { parseXidLine } from '../../../shared/xid/line.ts';
import { xidReaction } from '../../catalogue/nma/reactions.ts';
import { nmaVersions } from '../../catalogue/nma/versions.ts';
import { driverSpelling, judgeLine, type ReaderVerdict } from '../../catalogue/readers/xid-lines.ts';
import type { Evidence } from '../../store/explanation.ts';
import type { DrillFacts, Facts } from '../../view/facts.ts';
import {
  injectedOn,
  kernelReadBack,
  kernelText,
  mustReactTo,
  problemsOf,
  seenInjection,
  surfacesOf,
  usualReaction,
  xidOf,
} from '../drill.ts';
import { nmaName, seen } from '../evidence.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/** No handler of NMA has a pattern for Xid lines, in any version (nma.md §0.1): proven whatever runs on the node. */
export const kernelLogNotRead: Rule = {
  code: 'kernel-log-not-read',
  title: 'NMA does not read Xid lines from the kernel log',
  link: 'detection',
  verdict: 'fail',
  judge: judgeKernelLog,
};

function judgeKernelLog(facts: Facts): Judgement {
  const { drill } = facts;
  if (drill === undefined) return irrelevant;
  const xid = xidOf(drill);
  const surfaces = surfacesOf(drill);
  const record = kernelReadBack(drill)?.record;
  const text = kernelText(drill);
  const isXidLine = text === undefined ? xid !== undefined : parseXidLine(text) !== undefined;
  if (!isXidLine) {
    if (record === undefined) return irrelevant;
    return mustReactTo(facts, record)
      ? refuted('NMA has a rule for the record that was written')
      : irrelevant;
  }
  const engine = injectedOn(drill).find(({ surface }) => surface === 'dcgm');
  if (engine !== undefined)
    return refuted('the Xid was written into the host engine as well, which is what NMA reads');
  if (surfaces.includes('dcgm')) return irrelevant;
  // Nothing was written: then the refusal is what explains the silence.
  if (drill.receipt === undefined ? problemsOf(facts).length > 0 : injectedOn(drill).length === 0)
    return irrelevant;
  if (drill.receipt === undefined && !surfaces.includes('kernel-log') && text === undefined)
    return irrelevant;
  return proven({
    summary:
      `The Xid was written to the kernel log only. No NMA version reads Xid lines there, so that this surface cannot ` +
      `trigger it for any Xid.${spellingText(text)} ${readersText(text)}`.trim(),
    evidence: evidenceOf(facts, drill, text),
    remedy: remedyOf(facts, xid),
  });
}

function readersText(text: string | undefined): string {
  if (text === undefined)
    return 'gpud, Meta gcm and awsome-distributed-ai read it, NVSentinel only behind "kernel: "; DCGM’s engine only 79, 119 and 120.';
  // That NMA has no rule is what this cause says already.
  const verdicts = judgeLine(text).filter(({ reader }) => reader.name !== 'EKS NMA');
  const takers = verdicts.filter(({ rejects }) => rejects === undefined);
  const others = verdicts.filter(({ rejects }) => rejects !== undefined);
  const taken = takers.map(
    ({ reader }) => `${nameOf(reader)} (${reader.reads}${reader.note ? `; ${reader.note}` : ''})`,
  );
  const rejected = others.map(({ reader, rejects }) => `${nameOf(reader)} (${rejects})`);
  const takes =
    taken.length === 0
      ? 'Nobody who reads the kernel log takes it'
      : `This line is read by ${taken.join(', ')}`;
  return rejected.length === 0 ? `${takes}.` : `${takes}; rejected by ${rejected.join(', ')}.`;
}

function nameOf({ name, looksFor }: ReaderVerdict['reader']): string {
  return looksFor === 'Xid' ? name : `${name} for ${looksFor}`;
}

function spellingText(text: string | undefined): string {
  const spelling = text === undefined ? undefined : driverSpelling(text);
  return spelling === undefined
    ? ''
    : ` A driver prints the address as ${spelling.usual}, not ${spelling.given}.`;
}

function evidenceOf(facts: Facts, drill: DrillFacts, text: string | undefined): Evidence[] {
  const injected = injectedOn(drill).map((result) => seenInjection(facts, result));
  const asked = seen(
    facts,
    'order surfaces',
    `${surfacesOf(drill).join(', ') || 'kernel-log'}${text === undefined ? '' : `: ${text}`}`,
  );
  const pattern = seen(
    facts,
    `kernel log patterns of NMA, all versions to ${nmaVersions.at(-1)?.version} (coordinator/catalogue/nma/kernel-rules.ts)`,
    'none contains NVRM or Xid; Xids come from the XID policy of the host engine, field 230',
  );
  return [...(injected.length === 0 ? [asked] : injected), pattern];
}

function remedyOf(facts: Facts, xid: number | undefined): string {
  const usual = usualReaction(facts);
  const number = xid ?? 'XID';
  const expected =
    usual === undefined
      ? ''
      : usual.appearsAs === 'event'
        ? ` Expect an event, not a condition: ${nmaName(facts)} sends "${usual.reason}: …" with reason ${usual.conditionType}, in namespace default.`
        : ` Expect the condition ${usual.conditionType} to become False, reason ${usual.reason}, and no event.`;
  const history = xid === undefined ? '' : historyOf(xid);
  return `Inject into the host engine that NMA listens on: fault xid, parameters {"xid": ${number}, "surfaces": ["dcgm"]}.${expected}${history}`;
}

/** Where the kind of reaction changed between versions: ` (a condition up to 1.6.3, an event since 1.6.4.)` */
function historyOf(xid: number): string {
  const kinds = nmaVersions.map((row) => ({ version: row.version, kind: xidReaction(row, xid).appearsAs }));
  const change = kinds.findIndex(({ kind }, index) => index > 0 && kinds[index - 1]?.kind !== kind);
  const [before, after] = [kinds[change - 1], kinds[change]];
  if (before === undefined || after === undefined) return '';
  const name = (kind: string) => (kind === 'event' ? 'an event' : 'a condition');
  return ` Xid ${xid} is ${name(before.kind)} up to NMA ${before.version} and ${name(after.kind)} since ${after.version}.`;
}
