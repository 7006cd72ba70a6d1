import type { Row } from '../rows.ts';
import type { DrillMeasured } from './drill.ts';

/** What one drill on so many targets may take; the numbers are the product's promises for two shared processors. */
const promised: Readonly<Record<number, number>> = { 100: 6, 1000: 60 };
const requestsPerTarget = 6;
/** With 1,000 nodes in its view. */
const peakBelowMiB = 300;
const detectionBelowMs = 100;

/** One drill as lines of the table. */
export function drillRows(drill: DrillMeasured): readonly Row[] {
  const { xid, targets, requests, cpu, storedAfterMs, loop, verdicts } = drill;
  const title = `Xid ${xid} on ${targets}`;
  const total = [...requests.values()].reduce((sum, count) => sum + count, 0);
  const below = promised[targets];
  return [
    {
      name: `${title}: POST → all verdicts`,
      value: drill.seconds,
      unit: 's',
      ...(below !== undefined && { target: { below } }),
      note: Object.entries(verdicts)
        .map(([verdict, count]) => `${count} ${verdict}`)
        .join(', '),
    },
    { name: `${title}: passed`, value: verdicts.pass ?? 0, unit: '', target: { atLeast: targets } },
    {
      name: `${title}: API requests per target`,
      value: total / targets,
      unit: 'requests',
      target: { atMost: requestsPerTarget },
      note: [...requests].map(([name, count]) => `${name} ${count}`).join(', '),
    },
    { name: `${title}: LISTs`, value: listsOf(drill), unit: '' },
    { name: `${title}: requests refused or failed`, value: drill.refusedRequests, unit: '' },
    {
      name: `${title}: coordinator, peak memory`,
      value: drill.peakMiB,
      unit: 'MiB',
      target: { below: peakBelowMiB },
    },
    { name: `${title}: reaction sent → verdict sent, p50`, value: storedAfterMs.p50, unit: 'ms' },
    {
      name: `${title}: reaction sent → verdict sent, p99`,
      value: storedAfterMs.p99,
      unit: 'ms',
      note: `${storedAfterMs.count} reactions, all at once: how late the last ones are is throughput`,
    },
    { name: `${title}: event loop delay, p99`, value: loop.p99, unit: 'ms' },
    { name: `${title}: event loop delay, longest`, value: loop.max, unit: 'ms' },
    {
      name: `${title}: processor time, all`,
      value: Object.values(cpu).reduce((sum, seconds) => sum + seconds, 0),
      unit: 's',
      note: 'half of it is what two processors need at least',
    },
    ...Object.entries(cpu).map(
      ([process, seconds]): Row => ({
        name: `${title}: processor time, ${process}`,
        value: seconds,
        unit: 's',
      }),
    ),
  ];
}

/** The number of LISTs must not depend on the number of targets. */
export function listRow(drills: readonly DrillMeasured[]): readonly Row[] {
  const few = drills.toSorted((left, right) => left.targets - right.targets)[0];
  const many = drills.toSorted((left, right) => right.targets - left.targets)[0];
  if (few === undefined || many === undefined || few.targets === many.targets) return [];
  return [
    {
      name: `LISTs for ${many.targets} targets more than for ${few.targets}`,
      value: listsOf(many) - listsOf(few),
      unit: '',
      target: { atMost: listsAlike },
    },
  ];
}

/** Requests of other work that happen to fall into a longer time, such as a watch that lists again. */
const listsAlike = 5;

/** Without the looks at the kill switch: a LIST of one ConfigMap each 400 ms, whatever is drilled (coordinator/run/kill-switch.ts). */
function listsOf({ requests }: DrillMeasured): number {
  return [...requests].reduce(
    (sum, [name, count]) => sum + (name.startsWith('list ') && name !== 'list configmaps' ? count : 0),
    0,
  );
}

/** Reactions that come one after the other, so that nothing but the way from watch to write is in it. */
export function detectionRows(drill: DrillMeasured, everyMs: number, nodes: number): readonly Row[] {
  const { p50, p99, count } = drill.storedAfterMs;
  const title = `verdict stored after the change was sent, ${nodes} nodes watched`;
  return [
    { name: `${title}, p50`, value: p50, unit: 'ms' },
    {
      name: `${title}, p99`,
      value: p99,
      unit: 'ms',
      target: { below: detectionBelowMs },
      note: `${count} reactions, one every ${everyMs} ms, seen by a watch of another process`,
    },
  ];
}
