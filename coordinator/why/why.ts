import { withoutSecrets } from '../../shared/secrets.ts';
import { causes } from './causes.ts';
import { nmaVersionOf } from './explain/conditions.ts';
import { explainDeed } from './explain/explain.ts';
import type { World } from './explain/say.ts';
import type { Finding, WhyAnswer } from './finding.ts';
import type { Fact, Reading, TextFact } from './piece.ts';
import { lineEnd, readText } from './read.ts';

/** The longest text that is read, in characters; a longer one is refused by who takes it. */
export const longestText = 400_000;

/** A text with the name of its file; undefined: it was pasted or typed. */
export type Input = {
  readonly name?: string | undefined;
  readonly text: string;
  /** Of each line of the text the number that it has in the file; absent: all lines are there. */
  readonly lines?: readonly number[] | undefined;
};

/**
 * Explains several texts as one: what one of them says counts for the others. `fresh` are facts that were read in the cluster now:
 * they count instead of the text's. Pure: runs nothing, never throws.
 */
export function explainTexts(inputs: readonly Input[], fresh: readonly Fact[] = []): WhyAnswer {
  let first = 1;
  const places = inputs.map(({ name, text, lines }) => {
    const from = first;
    first += text.split(lineEnd).length;
    return { name, from, lines };
  });
  const answer = explainText(inputs.map(({ text }) => text).join('\n'), fresh);
  if (inputs.length <= 1 && inputs[0]?.name === undefined) return answer;
  const local = <T extends { readonly line?: number }>(one: T): T => {
    const { line } = one;
    const place = line === undefined ? undefined : places.findLast(({ from }) => from <= line);
    if (line === undefined || place === undefined) return one;
    const within = line - place.from;
    return {
      ...one,
      line: place.lines?.[within] ?? within + 1,
      ...(place.name === undefined ? {} : { file: place.name }),
    };
  };
  return {
    ...answer,
    known: answer.known.map(local),
    findings: answer.findings.map((one) => ({ ...local(one), evidence: one.evidence.map(local) })),
    notUnderstood: answer.notUnderstood.map(local),
  };
}

/**
 * Explains what a pasted text did and shows. Pure: runs nothing, asks nobody, never throws on any text. `fresh`: see explainTexts. What
 * looks like a secret is not read, so that an answer can be passed on.
 */
export function explainText(text: string, fresh: readonly Fact[] = []): WhyAnswer {
  const reading = readText(withoutSecrets(text));
  const isFresh = new Set(fresh.map(({ is }) => is));
  const facts = [...reading.facts.filter(({ is }) => !isFresh.has(is)), ...fresh];
  const world: World = { nma: nmaOf(facts), facts, deeds: reading.deeds };
  const findings = distinct(reading.deeds.flatMap((deed) => explainDeed(deed, world)));
  const result = findings.some((one) => one.result === 'broken')
    ? 'broken'
    : findings.length > 0 &&
        reading.notUnderstood.length === 0 &&
        findings.every((one) => one.result === 'works')
      ? 'works'
      : 'open';
  return {
    result,
    summary: summaryOf(findings, reading),
    known: knownOf(reading.facts),
    findings,
    notUnderstood: reading.notUnderstood.map(({ line, quote, nearest }) => ({ line, input: quote, nearest })),
  };
}

/** The version that is named, where one only is. */
function nmaOf(facts: readonly Fact[]): World['nma'] {
  const named = facts.filter((fact) => fact.is === 'nma-version');
  const [first] = named;
  if (first === undefined) return undefined;
  const found = nmaVersionOf(first.version);
  if (named.some((fact) => nmaVersionOf(fact.version).row.version !== found.row.version)) return undefined;
  return { found, at: first };
}

function knownOf(facts: readonly TextFact[]): WhyAnswer['known'] {
  const rows = facts.map((fact) => ({
    what: fact.is === 'nma-version' ? 'NMA version' : 'architecture',
    value: fact.is === 'nma-version' ? fact.version : fact.architecture,
    line: fact.line,
  }));
  return rows.filter(
    (row, index) => rows.findIndex((one) => one.what === row.what && one.value === row.value) === index,
  );
}

/** A loop says the same of every turn: once is enough. */
function distinct(findings: readonly Finding[]): Finding[] {
  const seen = new Set<string>();
  return findings.filter((one) => {
    const key = [one.line, one.code, one.evidence[0]?.observed, one.did, one.summary].join(' ');
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

const order = ['order', 'detection', 'taint'] as const;

function summaryOf(findings: readonly Finding[], reading: Reading): string {
  const broken = order.flatMap((link) =>
    findings.filter((one) => one.link === link && one.result === 'broken'),
  );
  const [first] = broken.toSorted(
    (left, right) =>
      Number(left.certainty === 'likely') - Number(right.certainty === 'likely') ||
      order.indexOf(left.link) - order.indexOf(right.link),
  );
  if (first !== undefined)
    return `The chain ends at ${first.link}: ${causes[first.code as keyof typeof causes].title}. ${first.summary}`;
  if (findings.length === 0)
    return reading.deeds.length > 0
      ? 'What was read only looks, and shows nothing that is wrong.'
      : 'Nothing in the text was understood.';
  const [other] = findings;
  return `Nothing in the text is a broken link. ${other?.summary ?? ''}`;
}
