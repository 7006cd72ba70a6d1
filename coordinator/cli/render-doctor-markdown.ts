import { visible } from '../../shared/printable.ts';
import type { DoctorGroup, DoctorReport } from '../doctor/report.ts';
import { marks, questions, someOf } from './render-doctor.ts';
import { pageOf } from './text.ts';

/** A report as Markdown for an issue or a wiki: a table of the groups, then what to do about each cause. */
export function renderMarkdown(report: DoctorReport): string {
  const { groups, notRead } = report;
  const rows = groups.map(
    (group) =>
      `| ${marks[group.state]} | ${group.nodes.length} | ${cell(questions[group.link])} | ${cell(whatOf(group))} | ${cell(someOf(group.nodes))} |`,
  );
  const causes = groups.filter(({ causes }) => causes.length > 0);
  return [
    `# ${marks[report.result]} ${escaped(report.summary)}`,
    `Read ${report.at} by \`xidrill doctor\`.`,
    ['| | Nodes | Link | Finding | Which |', '| --- | ---: | --- | --- | --- |', ...rows].join('\n'),
    ...causes.map(renderCauses),
    ...(notRead.length === 0
      ? []
      : [
          [
            '## What may not be read',
            '',
            ...notRead.map(
              ({ what, because, command }) =>
                `* ${escaped(what)}: ${escaped(because)}\n  \`${visible(command)}\``,
            ),
          ].join('\n'),
        ]),
    '',
  ]
    .join('\n\n')
    .trimEnd()
    .concat('\n');
}

function whatOf({ owner, causes, open, because }: DoctorGroup): string {
  const codes = [...causes, ...open].map(({ code, title }) => `${code}: ${title}`);
  return `${owner === '' ? '' : `${owner}: `}${codes.join('; ') || because}`;
}

function renderCauses({ causes, example, nodes }: DoctorGroup): string {
  return causes
    .map(({ code, title, certainty, summary, evidence, remedy, commands }) =>
      [
        `## [${code}](${pageOf(code)}): ${escaped(title)}`,
        `${certainty === 'likely' ? 'Likely, on' : 'On'} ${nodes.length} nodes, such as ${escaped(example)}. ${escaped(summary)}`,
        evidence.map(({ source, observed }) => `* ${escaped(source)}: ${escaped(observed)}`).join('\n'),
        escaped(remedy),
        ...(commands.length === 0 ? [] : [['```sh', ...commands.map(visible), '```'].join('\n')]),
      ].join('\n\n'),
    )
    .join('\n\n');
}

function cell(text: string): string {
  return escaped(text).replaceAll('|', '\\|');
}

/** What Markdown or HTML in it would obey. */
function escaped(text: string): string {
  return visible(text).replace(/[\\`*_[\]<>#&]/g, (character) => `\\${character}`);
}
