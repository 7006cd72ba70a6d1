import type { Explanation } from '../store/explanation.ts';
import { verdictOf } from './build.ts';
import { markdown, markdownCode } from './escape.ts';
import type { ExperimentReport, Report, ReportNode, SuiteReport } from './model.ts';
import { causeAddress, faultText, linkMarks, linkText, secondsText, verdictMarks } from './words.ts';

/** A report as Markdown, for an issue, a wiki or the summary of a pipeline. */
export function renderMarkdownReport(report: Report): string {
  const parts = report.kind === 'SuiteReport' ? suiteParts(report) : experimentParts(report, '#');
  return `${parts.join('\n\n')}\n`;
}

function suiteParts(report: SuiteReport): readonly string[] {
  const { name, run, verdict, summary, drills, latencies } = report;
  const rows = drills.map((drill) => {
    const of = verdictOf(drill);
    const { fault, summary = '' } = drill.report ?? {};
    const text = drill.skipped ?? drill.error ?? summary;
    return `| ${verdictMarks[of ?? 'skipped']} ${of ?? 'not run'} | ${markdown(drill.name)} | ${fault === undefined ? '' : markdown(faultText(fault))} | ${markdown(text)} |`;
  });
  const times = latencies.map(({ link, samples }) => {
    const sorted = samples.map(({ seconds }) => seconds).toSorted((left, right) => left - right);
    const median = sorted[Math.floor((sorted.length - 1) / 2)];
    return `| ${markdown(link)} | ${sorted.length} | ${secondsText(sorted[0])} | ${secondsText(median)} | ${secondsText(sorted.at(-1))} |`;
  });
  return [
    `# ${verdictMarks[verdict]} Suite ${markdown(name)}: ${markdown(summary)}`,
    `Run ${markdown(run)}${report.startedAt === null ? '' : `, ${markdown(`${report.startedAt} to ${report.endedAt ?? 'now'}`)}`}.`,
    ['| Verdict | Drill | Fault | Why |', '| --- | --- | --- | --- |', ...rows].join('\n'),
    ...(times.length === 0
      ? []
      : [
          [
            '| Link | Reached | Fastest | Median | Slowest |',
            '| --- | ---: | ---: | ---: | ---: |',
            ...times,
          ].join('\n'),
        ]),
    ...drills.flatMap(({ report: one }) => (one === null ? [] : experimentParts(one, '##'))),
  ];
}

function experimentParts(report: ExperimentReport, level: string): readonly string[] {
  const { name, verdict, summary, fault, startedAt, endedAt, seconds, explanation, nodes, skipped } = report;
  return [
    `${level} ${verdictMarks[verdict ?? 'running']} ${markdown(name)}: ${verdict ?? 'running'}`,
    markdown(summary),
    `Fault ${markdown(faultText(fault))}, injected: ${report.injected}${startedAt === null ? '' : `, ${markdown(`${startedAt} to ${endedAt ?? 'now'}`)}`}${seconds === null ? '' : ` (${secondsText(seconds)})`}.`,
    ...(explanation === null ? [] : explanationParts(explanation, verdict !== 'pass', `${level}#`)),
    ...nodes.flatMap((node) => nodeParts(node, nodes.length > 1, `${level}#`)),
    ...(skipped.length === 0
      ? []
      : [
          `${level}# Nodes left out`,
          list(skipped.map(({ node, code, because }) => `${node}: ${code}, ${because}`)),
        ]),
  ];
}

function list(items: readonly string[]): string {
  return items.map((item) => `* ${markdown(item)}`).join('\n');
}

function explanationParts(explanation: Explanation, isLinked: boolean, level: string): readonly string[] {
  const { code, evidence, remedy, commands = [], refuted, alsoFound } = explanation;
  const furtherCommands = alsoFound.flatMap((one) => one.commands ?? []);
  const section = (title: string, items: readonly string[]) =>
    items.length === 0 ? [] : [`${level} ${title}`, list(items)];
  return [
    ...(isLinked ? [`Cause: [${markdown(code)}](${causeAddress(encodeURIComponent(code))})`] : []),
    ...(remedy === '' && commands.length === 0 ? [] : [`${level} What to do`]),
    ...(remedy === '' ? [] : [markdown(remedy)]),
    ...(commands.length === 0 ? [] : [markdownCode(commands)]),
    ...section(
      'Evidence',
      evidence.map(({ source, observed, at }) => `${source}: ${observed} (${at})`),
    ),
    ...section(
      'Also found',
      alsoFound.map((one) => `${one.code}: ${one.summary} ${one.remedy}`),
    ),
    ...(furtherCommands.length === 0 ? [] : [markdownCode(furtherCommands)]),
    ...section(
      'Ruled out',
      refuted.map((one) => `${one.code}: ${one.because}`),
    ),
  ];
}

function nodeParts(node: ReportNode, hasOwn: boolean, level: string): readonly string[] {
  const { verdict, links, receipts, explanation } = node;
  const pool = node.pool === null ? '' : ` (${node.pool})`;
  const rows = links.map(
    (link) =>
      `| ${linkMarks[link.state]} ${link.state} | ${markdown(link.id)} | ${secondsText(link.seconds)} | ${markdown(`${link.at ?? ''} ${link.clock ?? ''}`)} | ${markdown(linkText(link))} |`,
  );
  const written = receipts.flatMap(({ receipt }) =>
    receipt.surfaces.map(
      (one) =>
        `order ${receipt.orderId} ${receipt.method}, ${one.surface}: ${one.outcome}; ${one.written ?? one.message ?? 'nothing was written'}; read back ${JSON.stringify(one.readBack ?? null)}; undo: ${one.undo}`,
    ),
  );
  return [
    `${level} Node ${markdown(`${node.node}${pool}`)}: ${verdict ?? 'running'}`,
    ...(hasOwn && explanation !== null
      ? [`${markdown(explanation.code)}: ${markdown(explanation.summary)}`]
      : []),
    ['| State | Link | After | At | Why |', '| --- | --- | ---: | --- | --- |', ...rows].join('\n'),
    ...(written.length === 0 ? [] : [`${level}# Receipts`, list(written)]),
  ];
}
