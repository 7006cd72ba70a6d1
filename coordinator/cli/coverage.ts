import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { visible } from '../../shared/printable.ts';
import { faults } from '../catalogue/catalogue.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { connect } from '../drilling/connect.ts';
import { type Coverage, type CoverageCell, coverageOf } from '../report/coverage.ts';
import { createStore } from '../store/store.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { printed } from './drill.ts';
import type { Ports } from './ports.ts';
import { renderColumns, someOf } from './render-doctor.ts';

const outputs = ['text', 'wide', 'json', 'yaml'];

const help = (xidrill: string) => `usage: ${xidrill} coverage [-o text|wide|json|yaml]

Each fault with each pool of nodes: when a drill last proved that it is detected there, how fast, or never. From the experiments that
are stored; what the coordinator has removed (--keep-ended, 30 days) counts no more.

  -o, --output O         text (default), wide (a line also for each fault that was never drilled), json, yaml
${clusterHelp}`;

/** Fault × pool as a table. */
export function runCoverage(argv: readonly string[], ports: Ports): Promise<number> {
  const options = { ...clusterOptions, output: { type: 'string', short: 'o', default: 'text' } } as const;
  return withArguments({ name: 'coverage', help, options }, argv, ports, async ({ values, words }) => {
    const { output, namespace } = values;
    if (words.length > 0) throw usage('coverage takes no words');
    if (!outputs.includes(output)) throw usage(`--output: "${output}" is none of ${outputs.join(', ')}`);
    const cluster = connect(values);
    const [injections, nodes] = await Promise.all([
      createStore(cluster, namespace).listInjections(),
      listNodes(cluster),
    ]);
    const coverage = coverageOf({ rows: faults, nodes, injections });
    if (output === 'json' || output === 'yaml') ports.print(await printed(coverage as never, output));
    else ports.print(renderCoverage(coverage, output === 'wide', Date.now()));
    if (nodes === undefined)
      ports.complain('pools that were never drilled are not known: kubectl auth can-i list nodes\n');
    return 0;
  });
}

/** undefined: the caller may not list them. */
async function listNodes(cluster: Cluster): Promise<readonly KubeObject[] | undefined> {
  try {
    return (await cluster.list('nodes')).items;
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'cluster_refused') return undefined;
    throw thrown;
  }
}

const marks: Readonly<Record<CoverageCell['state'], string>> = {
  proven: '✓',
  broken: '✗',
  undecided: '?',
  never: '–',
};

function renderCoverage({ pools, cells }: Coverage, isWide: boolean, now: number): string {
  const shown = cells.filter(({ state }) => isWide || state !== 'never');
  const lines = shown.flatMap(({ byXid = [], ...cell }) => [
    cell,
    ...byXid.map(({ xid, ...standing }) => ({ ...standing, fault: `${cell.fault} ${xid}`, pool: cell.pool })),
  ]);
  const rows = lines.map(({ fault, pool, state, lastProven, last, runs, passes }) =>
    [
      `${marks[state]} ${state}`,
      fault,
      pool,
      lastProven === null ? 'never' : agoText(lastProven.at, now),
      lastProven === null || lastProven.seconds === null ? '–' : renderDuration(lastProven.seconds),
      runs === 0 ? '–' : `${passes}/${runs}`,
      lastText(last),
    ].map(visible),
  );
  const table =
    rows.length === 0
      ? 'No drill has ended.\n'
      : `${renderColumns([['STATE', 'FAULT', 'POOL', 'PROVEN', 'DETECTED IN', 'PASSED', 'LAST'], ...rows])}\n`;
  const never = pools.flatMap(({ pool, nodes, drillAllowed }) => {
    const names = cells
      .filter((cell) => cell.pool === pool && cell.state === 'never')
      .map(({ fault }) => fault);
    if (names.length === 0 || isWide) return [];
    const closed = drillAllowed === 0 ? '; none of its nodes may be drilled' : '';
    return [
      visible(`${pool}, ${nodes} nodes: ${names.length} faults never drilled: ${someOf(names)}${closed}`),
    ];
  });
  return `${table}${never.map((line) => `${line}\n`).join('')}`;
}

function lastText(last: CoverageCell['last']): string {
  if (last === null) return '';
  if (last.expected === 'ignored') return `${last.verdict}, the injection alone`;
  return last.verdict === 'pass' ? '' : `${last.verdict}: ${last.code ?? ''}`;
}

function agoText(at: string, now: number): string {
  const seconds = (now - Date.parse(at)) / 1000;
  return Number.isNaN(seconds) ? at : `${renderDuration(Math.max(0, Math.floor(seconds)))} ago`;
}
