import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { detectionPages } from './diagnosis/pages/detection.ts';
import { missedLinkPages } from './diagnosis/pages/missed-links.ts';
import { orderPages } from './diagnosis/pages/order.ts';
import type { CausePage } from './diagnosis/pages/page.ts';
import { repairPages } from './diagnosis/pages/repair.ts';
import type { Rule } from './diagnosis/rule.ts';
import { rules } from './diagnosis/rules.ts';
import { causes as foundByWhy } from './why/causes.ts';

/** What stands about each cause, by its code. */
export const causePages: Readonly<Record<string, CausePage>> = {
  ...orderPages,
  ...detectionPages,
  ...repairPages,
  ...missedLinkPages,
};

const verdicts = {
  fail: 'the drill fails',
  inconclusive: 'the drill is inconclusive: it hides a reaction rather than prevents it',
  error: 'the drill could not be run',
} as const;

const links = {
  order: 'The order: carried out, and where NMA reads?',
  detection: 'Detection: did NMA react, and was it seen?',
  taint: 'Repair: does the controller take the node?',
  drain: 'Drain: have its pods left the node?',
  reboot: 'Reboot: has the same node started again?',
  termination: 'Termination: are Node and NodeClaim gone?',
  replacement: 'Replacement: did another node come?',
} as const;

/** All causes as a page for people (Markdown). Pure: the same rules make the same page. */
export function renderCausePage(): string {
  const onlyWhy = Object.entries(foundByWhy).filter(([code]) => causePages[code] === undefined);
  return `${[
    '# Causes',
    'Made from the rules in `coordinator/diagnosis/rules/` and `coordinator/why/causes.ts` by `npm run docs:causes`; a test fails when it is stale. Do not edit.',
    'Drills, `doctor`, `why`, preflight and reports name a cause by its code. A cause is **proven** or **likely** (then the observation that is missing is named), and whatever the evidence rules out is listed as refuted. The order is that of the chain: the first proven cause is the explanation, the others are found besides.',
    [
      '| Code | What is wrong |',
      '| --- | --- |',
      ...rules.map(({ code, title }) => `| [\`${code}\`](#${code}) | ${title} |`),
    ].join('\n'),
    ...Object.entries(links).flatMap(([link, heading]) => [
      `## ${heading}`,
      ...rules.filter((rule) => rule.link === link).map(section),
    ]),
    '## Found by `why` alone',
    'What somebody did by hand, as `why` names it beside the causes above.',
    ...onlyWhy.map(([code, { link, title }]) => `### ${code}\n\n${title}. Link: \`${link}\`.`),
  ].join('\n\n')}\n`;
}

function section({ code, title, link, verdict, mayBlock }: Rule): string {
  const page = causePages[code];
  if (page === undefined)
    throw new Error(`there is no page for ${code}: add it to coordinator/diagnosis/pages/`);
  return [
    `### ${code}`,
    `${title}. Link: \`${link}\`; ${verdicts[verdict]}.${mayBlock === undefined ? '' : ' Where it is proven before anything is injected, the drill is refused.'}`,
    [
      `* Seen: ${page.symptom}`,
      `* Proven by: ${page.proof}`,
      `* Ruled out by: ${page.refuted}`,
      `* What to do: ${page.remedy}`,
    ].join('\n'),
  ].join('\n\n');
}

// Not `import.meta.main`: that is false below launch.mjs, which says in argv what it runs.
if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(fileURLToPath(new URL('./diagnosis/CAUSES.md', import.meta.url)), renderCausePage());
