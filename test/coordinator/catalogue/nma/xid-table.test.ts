import t from 'tap';
import { findNmaVersion, nmaVersions } from '../../../../coordinator/catalogue/nma/versions.ts';
import { previewPlan } from '../../../../coordinator/preview/preview.ts';
import { readXidTable } from './xid-table.ts';

const rows = readXidTable();

/** Of the page, read by eye: that the file is read as it is meant. */
t.test('the table', async (t) => {
  t.same(
    [...new Set(rows.map(({ nma }) => nma))],
    nmaVersions.map(({ version }) => version),
    'every known version has its expectations',
  );
  t.equal(rows.length, nmaVersions.length * 176);
  const fatal = (nma: string) =>
    rows.filter((row) => row.nma === nma && row.policy.kind === 'condition').map((row) => row.xid);
  t.same(fatal('1.6.3'), [13, 31, 48, 63, 64, 74, 79, 94, 95, 119, 120, 121, 140]);
  t.equal(fatal('1.6.4').length, 14);
  t.equal(fatal('1.7.2').length, 21);
  const one = (nma: string, xid: number) => rows.find((row) => row.nma === nma && row.xid === xid);
  t.same(one('1.7.0', 79), {
    nma: '1.7.0',
    column: '1.7.0',
    engine: '4.6.1',
    xid: 79,
    policy: {
      kind: 'condition',
      type: 'AcceleratedHardwareReady',
      reason: 'NvidiaXID79Error',
      message: 'detected XID-79 on the instance, review kernel logs for additional information.',
    },
    health: {
      kind: 'condition',
      type: 'AcceleratedHardwareReady',
      reason: 'DCGMHealthCode120',
      message: 'DCGM detected issues in health check system with error code 120',
    },
  });
  t.match(one('1.6.6', 94)?.health, { kind: 'condition', reason: 'DCGMHealthCode101' });
  t.match(one('1.7.0', 94)?.health, { kind: 'event', reason: 'DCGMHealthCode131' });
  t.equal(one('1.7.0', 109)?.health, undefined);
});

t.test('the plan expects what the table says, for every version and every Xid', async (t) => {
  const differing = rows.flatMap(({ nma, engine, xid, policy, health }) => {
    const plan = previewPlan({
      spec: { fault: { name: 'xid', parameters: { xid } } },
      node: 'n1',
      orderId: `o-${xid}`,
      marker: 'abc123',
      context: { nma: findNmaVersion(nma) },
    });
    const { kind, type, reason, message } = plan.expectation;
    const shown = plan.reactions.map(({ appearsAs, type, reason, message }) => ({
      kind: appearsAs,
      type,
      reason,
      message,
    }));
    const planned = { expected: { kind, type, reason, message }, shown };
    const table = { expected: policy, shown: health === undefined ? [policy] : [policy, health] };
    return JSON.stringify(planned) === JSON.stringify(table) ? [] : [{ nma, engine, xid, planned, table }];
  });
  t.same(differing, []);
});

t.test('a version that is not known is said to be unknown, and lowers the confidence', async (t) => {
  const digest = `602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/eks-node-monitoring-agent@sha256:${'ab'.repeat(32)}`;
  const last = nmaVersions.at(-1)?.version ?? '';
  const table: [text: string, judgedAs: string, note: string | RegExp][] = [
    [digest, last, `names no version; judged as ${last}, the newest known`],
    ['1.5.9', '1.4.3', /1\.5\.9 is not known; judged as 1\.4\.3, the nearest .*judged as 1\.6\.0/],
    ['1.0.0', '1.4.3', /1\.0\.0 is not known; judged as 1\.4\.3, the oldest known; .*judged as 1\.6\.0/],
    ['1.6.9', '1.6.7', /1\.6\.9 is not known; judged as 1\.6\.7, the nearest known before it/],
    ['999.0.0', last, `999.0.0 is not known; judged as ${last}, the newest known`],
  ];
  for (const [text, judgedAs, note] of table) {
    const nma = findNmaVersion(text);
    t.equal(nma.row.version, judgedAs, `${text}: ${nma.note}`);
    const { confidence } = previewPlan({
      spec: { fault: { name: 'xid', parameters: { xid: 79 } } },
      node: 'n1',
      orderId: 'o-1',
      marker: 'abc123',
      context: { nma },
    });
    t.match(confidence, { level: 'low' }, text);
    t.match(confidence.because.join('; '), note, text);
  }
});
