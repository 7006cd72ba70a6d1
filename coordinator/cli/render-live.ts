import { visible } from '../../shared/printable.ts';
import type { Claim } from '../live/claims.ts';
import type { LiveAnswer } from '../live/live.ts';
import { renderWhy } from './render.ts';
import { questions, renderGroup, renderNotRead, someOf } from './render-doctor.ts';
import { type Look, labelled, paint, wrap } from './text.ts';

const marks = { broken: '✗', works: '✓', open: '?' } as const;
const colours = { broken: 31, works: 32, open: 33 } as const;
const nowWords: Readonly<Record<Claim['now'], string>> = {
  still: 'still so',
  'no-longer': 'no longer so',
  open: 'not known',
};

/** The answer of both: what the cluster shows now first, then what the text says. */
export function renderLive(answer: LiveAnswer, look: Look): string {
  const { result, summary, live, pasted } = answer;
  const parts = [
    paint(wrap(`${marks[result]} ${visible(summary)}`, '', '  ', look.width), colours[result], look),
    [
      wrap(`From the cluster, read ${live.at}:`, '', '  ', look.width),
      ...nodeLines(live, look),
      ...live.absent.map(({ name, because }) => labelled('not here', `${name}: ${because}`, look)),
      ...live.differs.map(({ what, pasted: was, now, source }) =>
        labelled('differs', `${what}: the text has ${was}, the cluster ${now} (${source})`, look),
      ),
      ...live.claims.flatMap((claim) => claimLines(claim, look)),
    ].join('\n'),
    ...live.links.map((group) =>
      [questions[group.link], renderGroup(group, { ...look, isWide: false })].join('\n'),
    ),
    ...(live.notRead.length === 0 ? [] : [renderNotRead(live, look)]),
    'From the text:',
    renderWhy(pasted, look).trimEnd(),
  ];
  return `${parts.join('\n\n')}\n`;
}

function nodeLines({ nodes }: LiveAnswer['live'], look: Look): readonly string[] {
  const reasons = [...new Set(nodes.map(({ because }) => because))];
  if (nodes.length === 0) return [labelled('nodes', 'none', look)];
  return reasons.map((because) => {
    const names = nodes.filter((one) => one.because === because).map(({ node }) => node);
    return labelled('nodes', `${someOf(names)}: ${because}`, look);
  });
}

function claimLines(
  { code, line, file, now, nodes, because, evidence }: Claim,
  look: Look,
): readonly string[] {
  const place = file === undefined ? `line ${line}` : `${file}:${line}`;
  const on = nodes.length === 1 ? '' : ` on ${nodes.length} nodes`;
  return [
    labelled('now', `${place}, ${code}: ${nowWords[now]}${on}: ${because}`, look),
    ...evidence.map((one) => labelled('proof', `${one.source}: ${one.observed}`, look)),
  ];
}
