import t from 'tap';
import { findNmaVersion } from '../../coordinator/catalogue/nma/versions.ts';
import { type Rehearsal, rehearse } from '../coordinator/catalogue/nma/rehearsal.ts';
import { readXidTable, type TableRow } from '../coordinator/catalogue/nma/xid-table.ts';

/** From an injection to the next health check, wherever it falls (300 to 360 s after the start), and into the API. */
const healthWaitMs = 375_000;

/** What differs from plan and table; empty: it came as planned, in time, and nothing besides. */
async function drillOf(rehearsal: Rehearsal, { xid, policy, health }: TableRow): Promise<string[]> {
  const { clock, gpu, look, plan, carryOut, secondsUntil } = rehearsal;
  const wrong: string[] = [];
  const { order, expectation, reactions } = plan('xid', { xid });
  const [first, second] = reactions;
  const before = await look();
  if (gpu()?.status !== 'True') wrong.push('the condition was not True before');
  await carryOut(order);
  const from = clock.now();

  const took = await secondsUntil(expectation, before);
  if (took === undefined) return [...wrong, `no ${expectation.reason} in its window`];
  if (took > (first?.window?.worstSeconds ?? 0)) wrong.push(`${expectation.reason} took ${took} s`);
  const between = await look();
  const came = between.events.slice(before.events.length).map(({ message }) => message);
  if (came.length !== (policy.kind === 'event' ? 1 : 0)) wrong.push(`events: ${came.join(' | ')}`);
  if ((gpu()?.status === 'False') !== (policy.kind === 'condition'))
    wrong.push(`the condition is ${gpu()?.status}`);

  if (health !== undefined) {
    const withinSeconds = healthWaitMs / 1000;
    const later = await secondsUntil({ ...health, withinSeconds }, between);
    if (later === undefined) wrong.push(`no ${health.reason} at the health check`);
    if (second?.reason !== health.reason) wrong.push(`the plan has ${second?.reason}, not ${health.reason}`);
  }
  await clock.advance(healthWaitMs - (clock.now() - from));
  const followed = (await look()).events.slice(between.events.length).map(({ message }) => message);
  if (followed.length !== (health?.kind === 'event' ? 1 : 0)) wrong.push(`later: ${followed.join(' | ')}`);
  const turned = [health, policy].find((reaction) => reaction?.kind === 'condition');
  const reason = turned?.reason ?? 'NvidiaGPUIsReady';
  if (gpu()?.reason !== reason) wrong.push(`in the end it is ${gpu()?.reason}, not ${reason}`);
  return wrong;
}

/** Of each column once: what stands for another version shows nothing new. */
const rows = readXidTable().filter(({ nma, column }) => nma === column);
let simulatedMs = 0;
const started = performance.now();

for (const nma of new Set(rows.map((row) => row.nma))) {
  t.test(`every Xid with NMA ${nma}`, async (t) => {
    const own = rows.filter((row) => row.nma === nma);
    t.equal(own.length, 176);
    t.equal(findNmaVersion(nma).row.engineVersion, own[0]?.engine, 'the engine of its chart');
    const rehearsal = rehearse(t, { nma });
    const from = rehearsal.clock.now();
    const nodeNow = async () => {
      const node = await rehearsal.cluster.read('nodes', { name: 'n1' });
      return { labels: node?.metadata.labels, annotations: node?.metadata.annotations, spec: node?.spec };
    };
    const before = await nodeNow();
    const wrong: string[] = [];
    for (const row of own) {
      await rehearsal.restore();
      for (const what of await drillOf(rehearsal, row)) wrong.push(`Xid ${row.xid}: ${what}`);
    }
    simulatedMs += rehearsal.clock.now() - from;
    t.same(wrong, []);
    t.strictSame(await nodeNow(), before, 'nothing else of the node has changed');
  });
}

t.test('and all that at a hundred times the speed of real time, at least', async (t) => {
  const realMs = performance.now() - started;
  const ratio = simulatedMs / realMs;
  t.comment(`${(simulatedMs / 3_600_000).toFixed(1)} h in ${(realMs / 1000).toFixed(1)} s`);
  t.ok(ratio >= 100, `${ratio.toFixed(0)} times`);
});
