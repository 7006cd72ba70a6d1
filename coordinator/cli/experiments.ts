import { createRealClock } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import { visible } from '../../shared/printable.ts';
import { connect } from '../drilling/connect.ts';
import { abort, isOver, type Progress, readProgress, restore } from '../drilling/progress.ts';
import { createStore, type Experiment } from '../store/store.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { printed } from './drill.ts';
import { exitOf, followDrill, type LivePorts } from './follow.ts';
import { lookOf, type Ports } from './ports.ts';
import { renderColumns } from './render-doctor.ts';
import { renderChain, renderEnd } from './render-drill.ts';

const outputOption = { output: { type: 'string', short: 'o', default: 'text' } } as const;
const options = { ...clusterOptions, ...outputOption } as const;

const listHelp = (xidrill: string) => `usage: ${xidrill} list [-o text|wide|name|json|yaml]

The experiments, the newest first.

${clusterHelp}`;

/** All experiments of the namespace, the newest first. */
export function runList(argv: readonly string[], ports: Ports): Promise<number> {
  return withArguments({ name: 'list', help: listHelp, options }, argv, ports, async ({ values, words }) => {
    if (words.length > 0) throw usage(`list takes no words; ${ports.program} show NAME shows one`);
    const output = outputOf(values.output, ['text', 'wide', 'name', 'json', 'yaml']);
    const found = await createStore(connect(values), values.namespace).listExperiments();
    const experiments = found.toSorted((left, right) => (createdAt(left) < createdAt(right) ? 1 : -1));
    if (output === 'name')
      for (const { metadata } of experiments) ports.print(`experiment.xidrill.dev/${metadata.name}\n`);
    else if (output === 'json' || output === 'yaml')
      ports.print(await printed({ items: experiments } as never, output));
    else ports.print(`${renderColumns([heading(output), ...experiments.map((one) => row(one, output))])}\n`);
    return 0;
  });
}

function heading(output: string): readonly string[] {
  return [
    'NAME',
    'PHASE',
    'VERDICT',
    'FAULT',
    'NODES',
    'AGE',
    ...(output === 'wide' ? ['CAUSE', 'SUMMARY'] : []),
  ];
}

function row({ metadata, spec, status }: Experiment, output: string): readonly string[] {
  const age = (Date.now() - Date.parse(createdAt({ metadata }))) / 1000;
  return [
    metadata.name,
    status?.phase ?? 'Pending',
    status?.verdict ?? '–',
    spec.fault.name,
    String(status?.selected?.length ?? 0),
    Number.isNaN(age) ? '–' : renderDuration(Math.max(0, Math.floor(age))),
    ...(output === 'wide' ? [status?.explanation?.code ?? '–', status?.explanation?.summary ?? '–'] : []),
  ].map(visible);
}

function createdAt({ metadata }: Pick<Experiment, 'metadata'>): string {
  return metadata.creationTimestamp ?? '';
}

const showHelp = (xidrill: string) => `usage: ${xidrill} show NAME [-o text|json|yaml|junit|markdown|html]

One experiment: the chain of each node with its times, verdict and explanation. junit, markdown and html are its report; ${xidrill} report
NAME has that as JSON too.

${clusterHelp}
exit code: as of drill where it has a verdict, else 0
`;

/** One experiment as it stands. */
export function runShow(argv: readonly string[], ports: Ports): Promise<number> {
  return withArguments({ name: 'show', help: showHelp, options }, argv, ports, async ({ values, words }) => {
    const name = nameOf('show', words, ports);
    const output = outputOf(values.output, ['text', 'json', 'yaml', 'junit', 'markdown', 'html']);
    const progress = await readProgress(connect(values), values.namespace, name);
    const { experiment } = progress;
    if (output === 'text') {
      const look = lookOf(ports);
      const lasted = isOver(progress) ? (experiment.status?.endedAt ?? '') : new Date().toISOString();
      const seconds = (Date.parse(lasted) - Date.parse(createdAt(experiment))) / 1000;
      const height = Number.POSITIVE_INFINITY;
      const chain = renderChain(progress, { ...look, height }, Math.max(0, seconds || 0));
      ports.print(`${chain.join('\n')}\n${renderEnd(progress, look)}`);
    } else if (output === 'json' || output === 'yaml') ports.print(await printed(progress as never, output));
    else ports.print(await reportText(progress, output));
    const { verdict } = experiment.status ?? {};
    return verdict === undefined ? 0 : exitOf(verdict);
  });
}

/** Rendered only where it is asked for: other forms of output need no part of it. */
async function reportText({ experiment, injections }: Progress, format: string): Promise<string> {
  const { renderReport, reportFormats } = await import('../report/formats.ts');
  const { experimentReport } = await import('../report/build.ts');
  const found = reportFormats.find((one) => one === format);
  if (found === undefined) throw usage(`--output: "${format}" is none of ${reportFormats.join(', ')}`);
  return renderReport(experimentReport(experiment, injections), found);
}

const reportHelp = (xidrill: string) => `usage: ${xidrill} report NAME [-o markdown|json|junit|html]
       ${xidrill} report --schema

Everything about an experiment as a file: verdict, explanation, the chain with its times, evidence, receipts. HTML is one file without
script and network, for a browser or a printer. The same experiment gives the same bytes.

  -o, --output O     markdown (default), json, junit or html
      --schema       the JSON Schema of the JSON form, of experiments and of suites
${clusterHelp}`;

/** The report of one experiment. */
export function runReport(argv: readonly string[], ports: Ports): Promise<number> {
  const options = {
    ...clusterOptions,
    output: { type: 'string', short: 'o', default: 'markdown' },
    schema: { type: 'boolean', default: false },
  } as const;
  return withArguments(
    { name: 'report', help: reportHelp, options },
    argv,
    ports,
    async ({ values, words }) => {
      if (values.schema) {
        const { reportJsonSchema } = await import('../report/json-schema.ts');
        ports.print(`${JSON.stringify(reportJsonSchema(), null, 2)}\n`);
        return 0;
      }
      const name = nameOf('report', words, ports);
      ports.print(
        await reportText(await readProgress(connect(values), values.namespace, name), values.output),
      );
      return 0;
    },
  );
}

const watchHelp = (xidrill: string) => `usage: ${xidrill} watch NAME

Shows an experiment until its verdict. Ctrl-C asks once whether to abort.

${clusterHelp}
exit code: as of drill
`;

/** Follows an experiment. */
export function runWatch(argv: readonly string[], ports: LivePorts): Promise<number> {
  const command = { name: 'watch', help: watchHelp, options: clusterOptions };
  return withArguments(command, argv, ports, async ({ values, words }) => {
    const options = { cluster: connect(values), namespace: values.namespace, clock: createRealClock() };
    return (await followDrill({ ...options, name: nameOf('watch', words, ports) }, ports)).code;
  });
}

const abortHelp = (xidrill: string) => `usage: ${xidrill} abort NAME

Ends an experiment; what was injected stays, and values that are sustained end.

${clusterHelp}`;

/** Asks that an experiment end. */
export function runAbort(argv: readonly string[], ports: Ports): Promise<number> {
  const command = { name: 'abort', help: abortHelp, options: clusterOptions };
  return withArguments(command, argv, ports, async ({ values, words }) => {
    const name = nameOf('abort', words, ports);
    await abort(connect(values), values.namespace, name);
    ports.print(`${name} is being aborted\n`);
    return 0;
  });
}

const restoreHelp = (xidrill: string) => `usage: ${xidrill} restore NAME

Takes back what an experiment left on its nodes: at its end where it runs, else now. The coordinator proves it.

${clusterHelp}`;

/** Asks that the nodes of an experiment be restored. */
export function runRestore(argv: readonly string[], ports: Ports): Promise<number> {
  const command = { name: 'restore', help: restoreHelp, options: clusterOptions };
  return withArguments(command, argv, ports, async ({ values, words }) => {
    const name = nameOf('restore', words, ports);
    await restore(connect(values), values.namespace, name);
    ports.print(`${name} is being restored; ${ports.program} show ${name} shows it\n`);
    return 0;
  });
}

function nameOf(command: string, words: readonly string[], { program }: Ports): string {
  const [name, ...more] = words;
  if (name === undefined || more.length > 0)
    throw usage(`${command} takes the name of one experiment`, `${program} list shows them`);
  return name;
}

function outputOf(given: string, allowed: readonly string[]): string {
  if (!allowed.includes(given)) throw usage(`--output: "${given}" is none of ${allowed.join(', ')}`);
  return given;
}
