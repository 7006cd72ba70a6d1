import { renderDuration } from '../../shared/duration.ts';
import type { ReasonVerdict } from '../../shared/errors.ts';
import { advice, explained, run } from '../store/advice.ts';
import type { ChainLink } from '../store/experiment.ts';
import type { Evidence, Explanation } from '../store/explanation.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { type Facts, isUnread } from '../view/facts.ts';
import { readNmaLog } from './commands.ts';
import { expectedType, gapsOf, hasReacted, injectedOn, reactionEntry, seenInjection } from './drill.ts';
import { renderPod, seen, seenCondition } from './evidence.ts';
import { remedyAfter } from './left-behind.ts';
import { conditionOf } from './liveness.ts';
import { reasonIn } from './reactions.ts';
import type { Cause, Judgement, Rule } from './rule.ts';
import { rules as allRules } from './rules.ts';

/** What a rule makes of some facts. */
export type Judged = { readonly rule: Rule; readonly judgement: Judgement };
type Found = { readonly rule: Rule; readonly cause: Cause };

/** One cause, judged before anything is injected. */
export type PreflightCheck = {
  readonly code: string;
  readonly title: string;
  readonly result: 'ok' | 'cause' | 'unknown';
  /** Why it is so, in one or two sentences. */
  readonly text: string;
  /** What to do about a cause; absent otherwise. */
  readonly remedy?: string;
  /** The commands of the remedy, to copy; absent: it has none. */
  readonly commands?: readonly string[];
  readonly blocks: boolean;
};

/** All checks of a node, in the order of the links. */
export type Preflight = {
  /** Set where the drill's reaction cannot appear: then nothing is to be injected. Its cause is the first of the chain. */
  readonly blocking: Diagnosis | undefined;
  readonly checks: readonly PreflightCheck[];
};

/** Why a drill did not come to its end, and what it says of that. */
export type Diagnosis = { readonly explanation: Explanation; readonly verdict: ReasonVerdict };

/** The links whose rules explain that NMA showed nothing; those of the others explain that nothing followed it. */
const linksToDetection: readonly string[] = ['order', 'detection'];

/** The link that was not reached, as it was planned. */
export type MissedLink = Pick<ChainLink, 'link' | 'expected'>;

/** Whether a rule is about a link up to NMA's reaction, not about one behind it. */
export function isAboutReaction({ link }: Pick<Rule, 'link'>): boolean {
  return linksToDetection.includes(link);
}

/** The causes that keep an order from being carried out: those of a reaction do not count where none is judged. */
export function onlyOrderRules(rules: readonly Rule[]): readonly Rule[] {
  return rules.filter(({ link }) => link === 'order');
}

/**
 * Why nothing happened: the first proven cause in the order of the rules, else the first likely one, else the open
 * question. Inconclusive as well where a part of the time was not watched: what came then is not known.
 */
export function diagnose(facts: Facts, rules: readonly Rule[] = allRules, missed?: MissedLink): Diagnosis {
  const judged = judgeAll(facts, rules);
  const first = firstOf(causesOf(judged).filter(({ rule }) => isAskedFor(rule, facts, missed)));
  const found: Diagnosis =
    first === undefined
      ? { explanation: explainNothing(facts, judged, missed), verdict: 'fail' }
      : diagnosisOf(first, judged);
  return found.verdict === 'fail' && gapsOf(facts).length > 0 ? { ...found, verdict: 'inconclusive' } : found;
}

/** The explanation of a diagnosis, for those who judge for themselves. */
export function explain(facts: Facts, rules: readonly Rule[] = allRules): Explanation {
  return diagnose(facts, rules).explanation;
}

/** Before the injection: everything that is found, and whether the reaction can come at all. */
export function preflight(facts: Facts, rules: readonly Rule[] = allRules): Preflight {
  const judged = judgeAll(facts, rules);
  const isBlocked = causesOf(judged).some(({ cause }) => cause.blocks);
  const first = isBlocked ? firstOf(causesOf(judged).filter(({ rule }) => isAboutReaction(rule))) : undefined;
  return {
    blocking: first && diagnosisOf(first, judged),
    checks: judged.flatMap(({ rule, judgement }) => checkOf(rule, judgement)),
  };
}

/** What keeps the reaction from coming, before anything is injected; undefined: nothing is known to. */
export function blockedBy(facts: Facts, rules: readonly Rule[] = allRules): Diagnosis | undefined {
  const method = facts.drill?.order.method;
  const asked = rules.filter(
    ({ mayBlock = [] }) => mayBlock === 'any' || (method !== undefined && mayBlock.includes(method)),
  );
  const found = judgeAll(facts, asked);
  return causesOf(found).some(({ cause }) => cause.blocks) ? preflight(facts, rules).blocking : undefined;
}

/** The reaction that a drill passed by. */
export type Shown = {
  readonly text: string;
  readonly latencySeconds: number;
  readonly source: string;
  /** Absent: the one that is marked in the timeline. */
  readonly entry?: TimelineEntry | undefined;
};

/** The reason that was seen, and the expected one where the message alone was the match. */
export function renderReason(entry: TimelineEntry | undefined, expected: string | undefined): string {
  const reason = reasonIn(entry);
  if (reason === '') return 'the reaction';
  const isOther = expected !== undefined && expected !== '' && expected !== reason;
  return isOther ? `${reason}, whose message has the text expected of ${expected}` : reason;
}

/** A drill that passed: what was seen, how soon, and what is broken besides. */
export function explainPass(facts: Facts, what: Shown, rules: readonly Rule[] = allRules): Explanation {
  const { drill, node } = facts;
  const condition =
    drill?.expectation.kind === 'condition' ? conditionOf(facts, drill.expectation.type) : undefined;
  return {
    code: 'reacted',
    summary: `NMA reacted on node ${node.name} after ${renderDuration(what.latencySeconds)}: ${renderReason(what.entry ?? reactionEntry(facts), drill?.expectation.reason)}.`,
    evidence: [
      ...injectedOn(drill).map((result) => seenInjection(facts, result)),
      seen(facts, what.source, what.text),
      ...(condition === undefined ? [] : [seenCondition(facts, condition)]),
    ],
    remedy: remedyAfter(facts),
    refuted: [],
    // What would explain a silence is no finding where there was none.
    alsoFound: causesOf(judgeAll(withReaction(facts, what), rules.filter(isBesideReaction)))
      .filter(({ rule, cause }) => !isAboutReaction(rule) || cause.incidental)
      .map(furtherOf),
  };
}

/** The reaction may have been found by its text alone; rules that explain a silence must not see one. */
function withReaction(facts: Facts, { source, text, entry: shown }: Shown): Facts {
  const { drill } = facts;
  if (drill === undefined || hasReacted(facts)) return facts;
  const kind = drill.expectation.kind === 'condition' ? 'condition' : 'event';
  const entry: TimelineEntry =
    shown === undefined
      ? { at: facts.at, clock: 'coordinator', kind, source, text, match: true }
      : { ...shown, match: true };
  return { ...facts, drill: { ...drill, timeline: [...drill.timeline, entry] } };
}

/** Rules whose causes can stand beside a reaction that came. */
function isBesideReaction(rule: Rule): boolean {
  return !isAboutReaction(rule) || rule.mayBeIncidental === true;
}

/** What each rule makes of the facts, in the order of the chain. */
export function judgeAll(facts: Facts, rules: readonly Rule[] = allRules): readonly Judged[] {
  return rules.map((rule) => ({ rule, judgement: rule.judge(facts) }));
}

function causesOf(judged: readonly Judged[]): readonly Found[] {
  return judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'cause' ? [{ rule, cause: judgement }] : [],
  );
}

/** The first proven one in the order of the chain, whether it blocks or not; else the first likely one. */
function firstOf(causes: readonly Found[]): Found | undefined {
  const fitting = causes.filter(({ cause }) => !cause.incidental);
  return fitting.find(({ cause }) => cause.certainty === 'proven') ?? fitting[0];
}

function diagnosisOf(first: Found, judged: readonly Judged[]): Diagnosis {
  const { rule, cause } = first;
  return { explanation: explanationOf(first, judged), verdict: cause.verdict ?? rule.verdict };
}

function explanationOf({ rule, cause }: Found, judged: readonly Judged[]): Explanation {
  return {
    code: rule.code,
    link: rule.link,
    summary: cause.certainty === 'likely' ? `Likely, not proven: ${cause.summary}` : cause.summary,
    evidence: [...cause.evidence],
    ...explained({ remedy: cause.remedy, commands: cause.commands ?? [] }),
    refuted: refutedOf(judged),
    alsoFound: causesOf(judged)
      .filter((found) => found.rule !== rule)
      .map(furtherOf),
  };
}

function furtherOf({ rule, cause }: Found): Explanation['alsoFound'][number] {
  const { summary, remedy, commands } = cause;
  return { code: rule.code, summary, ...explained({ remedy, commands: commands ?? [] }) };
}

function refutedOf(judged: readonly Judged[]): Explanation['refuted'] {
  return judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'refuted' ? [{ code: rule.code, because: judgement.because }] : [],
  );
}

/** A link behind detection is explained by its own rules; the silence of NMA by those of everything up to it. */
function isAskedFor(rule: Rule, facts: Facts, missed: MissedLink | undefined): boolean {
  if (missed !== undefined && !isAboutReaction(missed)) return rule.link === missed.link;
  return isAboutReaction(rule) !== hasReacted(facts);
}

function explainNothing(
  facts: Facts,
  judged: readonly Judged[],
  expected: MissedLink | undefined,
): Explanation {
  const refuted = refutedOf(judged);
  const open = judged.flatMap(({ rule, judgement }) =>
    judgement.is === 'unknown' ? [`${rule.code}: ${judgement.because}`] : [],
  );
  const unread = [...open, ...unreadOf(facts)];
  const notRead =
    unread.length === 0
      ? 'Everything that was asked for could be read.'
      : `Not decided: ${unread.join('; ')}.`;
  const isLater = expected !== undefined && !isAboutReaction(expected);
  const missing = isLater
    ? `no ${expected.link} (${expected.expected})`
    : hasReacted(facts)
      ? 'no repair'
      : 'no reaction';
  return {
    code: 'unexplained',
    summary: `There was ${missing}, and no known cause fits: ${judged.length} were checked, ${refuted.length} are ruled out. ${notRead}`,
    evidence: standing(facts),
    ...explained(
      unread.length === 0
        ? advice`Drill again, with NMA’s log at hand: ${run(readNmaLog(facts, ' -f'))}; a line "sending condition to exporter" means that it detected the fault.`
        : advice`Grant access to what could not be read, then drill again.`,
    ),
    refuted,
    alsoFound: causesOf(judged).map(furtherOf),
  };
}

function unreadOf({ nma, agent }: Facts): string[] {
  return [
    ...(isUnread(nma.log) ? [`NMA’s log: ${nma.log.unread}`] : []),
    ...Object.values(nma.kept ?? {}).map(({ unread }) => `NMA: ${unread}`),
    ...(isUnread(agent.inventory) ? [`the agent’s inventory: ${agent.inventory.unread}`] : []),
  ];
}

/** How things stood: the injection, the condition, NMA. */
function standing(facts: Facts): Evidence[] {
  const { drill, nma, node } = facts;
  const type = expectedType(facts);
  const condition = conditionOf(facts, type);
  return [
    ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    condition === undefined
      ? seen(facts, `nodes/${node.name} status.conditions`, `no ${type}`)
      : seenCondition(facts, condition),
    seen(
      facts,
      `NMA on node ${node.name}`,
      nma.pod === undefined ? 'no pod' : `${nma.pod.name}: ${renderPod(nma.pod)}`,
    ),
  ];
}

function checkOf(rule: Rule, judgement: Judgement): PreflightCheck[] {
  const { code, title } = rule;
  switch (judgement.is) {
    case 'irrelevant':
      return [];
    case 'refuted':
      return [{ code, title, result: 'ok', text: judgement.because, blocks: false }];
    case 'unknown':
      return [{ code, title, result: 'unknown', text: judgement.because, blocks: false }];
    case 'cause':
      return [
        {
          code,
          title,
          result: 'cause',
          text: judgement.summary,
          ...explained({ remedy: judgement.remedy, commands: judgement.commands ?? [] }),
          blocks: judgement.blocks,
        },
      ];
  }
}
