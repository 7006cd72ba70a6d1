import { randomBytes } from 'node:crypto';
import { createRealClock } from '../../shared/clock.ts';
import { parseDuration, renderDuration } from '../../shared/duration.ts';
import { visible } from '../../shared/printable.ts';
import { connect } from '../drilling/connect.ts';
import type { Progress } from '../drilling/progress.ts';
import { verdictOf } from '../report/build.ts';
import { type ReportFormat, renderReport, reportFormats } from '../report/formats.ts';
import type { SuiteReport } from '../report/model.ts';
import { createStore } from '../store/store.ts';
import { annotationsOf, experimentName, newestRun, runPattern } from '../suite/experiments.ts';
import { parseSuite, type Suite, SuiteFile, withTags } from '../suite/file.ts';
import { runSuite } from '../suite/run.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { type LivePorts, leftExit, verdictExits } from './follow.ts';
import { lookOf } from './ports.ts';
import { renderNews, verdictMarks } from './render-drill.ts';
import { paint, wrap } from './text.ts';

const options = {
  ...clusterOptions,
  run: { type: 'string' },
  resume: { type: 'boolean', default: false },
  tag: { type: 'string', multiple: true, default: [] as string[] },
  report: { type: 'string', multiple: true, default: [] as string[] },
  timeout: { type: 'string' },
  schema: { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
} as const;

const help = (
  xidrill: string,
) => `usage: ${xidrill} run FILE [--run ID | --resume] [--tag TAG]... [--report FORMAT=FILE]...

Runs the drills of a suite, a YAML file (- is standard input):

  name: nightly
  parallel: 2                  # at the same time; default 1, one after another
  stopOnFail: true             # after a drill that did not pass no further one is started
  defaults:                    # what an Experiment takes, for every drill
    target: {selector: {matchLabels: {pool: gpu}}}
  drills:
    - name: xid-79             # what an Experiment takes, and tags
      tags: [smoke]
      fault: {name: xid, parameters: {xid: 79}}
      expectation: {within: 60s}

Everything in it is checked before anything is created. The names of the Experiments follow from suite, drill and run: whoever runs it
again with the same --run goes on where it was killed, and injects nothing twice. Rights on experiments are all that it takes.

      --run ID           of this run, such as a build number; made if absent, and printed
      --resume           goes on with the newest run of this suite
      --tag TAG          only drills with this tag; may be given several times
      --report FMT=FILE  ${reportFormats.join(', ')}; may be given several times; - is standard output
      --timeout TIME     ends the wait then, such as 2h: what runs goes on, its drill counts as an error (default: no end)
      --schema           the JSON Schema of the file, for an editor
      --dry-run          creates nothing: prints the Experiments as they would be
${clusterHelp}  -h, --help             this text

exit code: the worst verdict: 0 all passed, 1 fail, 3 inconclusive, 4 error or aborted; 2 usage
`;

/** The command; resolves with the exit code. */
export function runRun(argv: readonly string[], ports: LivePorts): Promise<number> {
  return withArguments({ name: 'run', help, options }, argv, ports, async ({ values, words }) => {
    if (values.schema) {
      const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', ...SuiteFile };
      ports.print(`${JSON.stringify(schema, null, 2)}\n`);
      return 0;
    }
    const [file, ...more] = words;
    if (file === undefined || more.length > 0) throw usage(`wanted one file, not ${words.length} words`);
    if (values.run !== undefined && values.resume) throw usage('give either --run or --resume');
    if (values.run !== undefined && !runPattern.test(values.run))
      throw usage(`--run: "${values.run}" is no id: letters, digits, dots, dashes, underscores, at most 63`);
    const reports = values.report.map(reportFrom);
    const patienceMs = values.timeout === undefined ? undefined : parseDuration(values.timeout, '--timeout');
    const suite = withTags(parseSuite(await textOf(file, ports), file), values.tag);
    const cluster = connect(values);
    const { namespace } = values;
    const run = await runOf(values, () => createStore(cluster, namespace).listExperiments(), suite);
    if (values['dry-run']) {
      await printPlan(suite, run, namespace, ports);
      return 0;
    }
    ports.complain(
      `run ${run} of ${suite.name}; it goes on by: ${ports.program} run ${visible(file)} --run ${run}\n`,
    );
    const leaving = new AbortController();
    const clock = createRealClock();
    const ending = new AbortController();
    const late =
      patienceMs === undefined
        ? Promise.resolve()
        : clock.sleep(patienceMs, ending.signal).then(
            () => {
              ports.complain(`--timeout ${values.timeout}: what runs goes on\n`);
              leaving.abort();
            },
            () => undefined,
          );
    const news = createNews(ports);
    const running = runSuite({
      cluster,
      namespace,
      suite,
      run,
      clock,
      signal: leaving.signal,
      onProgress: news,
      onTrouble: (message) => ports.complain(`${message}; trying again\n`),
    });
    const { interrupt, isLeft } = createInterrupt(suite.name, running.abort, leaving, ports);
    const release = ports.onInterrupt(interrupt);
    let report: SuiteReport;
    try {
      report = await running.ended;
    } finally {
      release();
      ending.abort();
      await late;
    }
    for (const { format, path } of reports) {
      const text = renderReport(report, format);
      if (path === '-') ports.print(text);
      else await ports.writeFile(path, text);
    }
    if (!reports.some(({ path }) => path === '-')) ports.print(renderSuite(report, ports));
    return isLeft() ? leftExit : verdictExits[report.verdict];
  });
}

function reportFrom(text: string): { readonly format: ReportFormat; readonly path: string } {
  const at = text.indexOf('=');
  const format = reportFormats.find((one) => one === text.slice(0, at));
  const path = text.slice(at + 1);
  if (format === undefined || path === '')
    throw usage(`--report: "${text}" is not FORMAT=FILE with one of ${reportFormats.join(', ')}`);
  return { format, path };
}

async function textOf(file: string, ports: LivePorts): Promise<string> {
  if (file === '-') return ports.readInput();
  try {
    return await ports.readFile(file);
  } catch (thrown) {
    throw usage(`${file} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

async function runOf(
  { run, resume }: { readonly run?: string | undefined; readonly resume: boolean },
  list: () => Promise<Parameters<typeof newestRun>[0]>,
  suite: Suite,
): Promise<string> {
  if (run !== undefined) return run;
  if (!resume) return randomBytes(4).toString('hex');
  const newest = newestRun(await list(), suite.name);
  if (newest === undefined)
    throw usage(`there is no run of ${suite.name} to resume`, 'leave --resume out to begin one');
  return newest;
}

/** As objects that kubectl takes. */
async function printPlan(suite: Suite, run: string, namespace: string, ports: LivePorts): Promise<void> {
  const { stringify } = await import('yaml');
  for (const drill of suite.drills) {
    const object = {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: {
        name: experimentName(suite.name, drill.name, run),
        namespace,
        annotations: annotationsOf(suite, drill, run),
      },
      spec: drill.spec,
    };
    ports.print(`---\n${stringify(object, { aliasDuplicateObjects: false })}`);
  }
}

/** A line for each change of a drill, with the drill before it. */
function createNews(ports: LivePorts): (drill: string, progress: Progress) => void {
  const before = new Map<string, Progress>();
  return (drill, progress) => {
    for (const line of renderNews(before.get(drill), progress)) ports.complain(`${drill}: ${line}\n`);
    before.set(drill, progress);
  };
}

/** Ctrl-C asks once whether to abort what runs; no, or the next one, leaves it alone. */
function createInterrupt(
  name: string,
  abort: () => Promise<void>,
  leaving: AbortController,
  ports: LivePorts,
): { readonly interrupt: () => void; readonly isLeft: () => boolean } {
  let interrupts = 0;
  let isLeft = false;
  const leave = () => {
    isLeft = true;
    leaving.abort();
  };
  const ask = async () => {
    try {
      if (!(await ports.confirm(`Abort the drills of ${name} that run? What was injected stays. [y/N] `)))
        return leave();
      await abort();
      ports.complain(`${name} is being aborted\n`);
    } catch (thrown) {
      leave();
      ports.complain(`${name} could not be aborted: ${thrown instanceof Error ? thrown.message : thrown}\n`);
    }
  };
  return {
    interrupt: () => {
      interrupts += 1;
      if (interrupts > 1) leave();
      else void ask();
    },
    isLeft: () => isLeft,
  };
}

function renderSuite(report: SuiteReport, ports: LivePorts): string {
  const look = lookOf(ports);
  const width = Math.max(...report.drills.map(({ name }) => name.length));
  const lines = report.drills.map((drill) => {
    const verdict = verdictOf(drill);
    const { latency } = drill.report?.nodes[0] ?? {};
    const time = latency === null || latency === undefined ? '' : ` (${renderDuration(latency.seconds)})`;
    const text = drill.skipped ?? drill.error ?? drill.report?.summary ?? '';
    const mark = verdict === undefined ? '–' : verdictMarks[verdict];
    return wrap(
      visible(`${mark} ${drill.name.padEnd(width)}  ${verdict ?? 'not run'}${time}: ${text}`),
      '',
      '    ',
      look.width,
    );
  });
  const colour = report.verdict === 'pass' ? 32 : 31;
  const last = paint(visible(`${verdictMarks[report.verdict]} ${report.summary}`), colour, look);
  return `${[...lines, last].join('\n')}\n`;
}
