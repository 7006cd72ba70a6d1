import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { root } from '../../../suite.ts';

/** Newer than all others, and with a rule of its own: Xid 13 and no other is fatal. */
const madeUp = '99.9.9';
const row = `  { version: '${madeUp}', released: '2027-01-01', knownFrom: 'source', fatalXids: [13], notes: ['made up'] },`;

const tree = t.testdir();
for (const name of ['agent', 'coordinator', 'shared', 'test', 'charts', 'README.md', 'package.json'])
  cpSync(join(root, name), join(tree, name), { recursive: true });
symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
const versionsFile = join(tree, 'coordinator/catalogue/nma/versions.ts');
const source = readFileSync(versionsFile, 'utf8');
const end = source.indexOf('\n];', source.indexOf('const releases'));
writeFileSync(versionsFile, `${source.slice(0, end)}\n${row}${source.slice(end)}`);

/** A module of the copy, which knows the made-up version. */
const fromCopy = (path: string) => import(pathToFileURL(join(tree, path)).href);

t.test('a version that is one row is found, planned, shown and rehearsed', async (t) => {
  const { findNmaVersion } = (await fromCopy(
    'coordinator/catalogue/nma/versions.ts',
  )) as typeof import('../../../../coordinator/catalogue/nma/versions.ts');
  t.match(findNmaVersion(`v${madeUp}-eksbuild.1`), {
    exact: true,
    row: { version: madeUp, arm64Gate: false },
  });
  t.match(findNmaVersion('nightly').note, `judged as ${madeUp}, the newest known`);
  t.equal(findNmaVersion(undefined).row.version, madeUp);

  const { rehearse } = (await fromCopy(
    'test/coordinator/catalogue/nma/rehearsal.ts',
  )) as typeof import('./rehearsal.ts');
  const { plan, carryOut, look, secondsUntil, restore } = rehearse(t, { nma: madeUp });

  for (const [xid, kind, reason] of [
    [79, 'event', 'NvidiaXID79Warning'],
    [13, 'condition', 'NvidiaXID13Error'],
  ] as const) {
    await restore();
    const { order, expectation, confidence } = plan('xid', { xid });
    t.match(expectation, { kind, reason });
    t.equal(confidence.level, 'medium', 'sure of the version, not of a node without inventory');
    const before = await look();
    await carryOut(order);
    t.type(await secondsUntil(expectation, before), 'number', `${reason} came`);
  }

  const { faults } = (await fromCopy(
    'coordinator/catalogue/catalogue.ts',
  )) as typeof import('../../../../coordinator/catalogue/catalogue.ts');
  const { describeFault } = (await fromCopy(
    'coordinator/catalogue/describe.ts',
  )) as typeof import('../../../../coordinator/catalogue/describe.ts');
  for (const fault of faults) t.equal(describeFault(fault).reactions.at(-1)?.to, madeUp, fault.name);
  const { renderFaultPage } = (await fromCopy(
    'coordinator/catalogue/page.ts',
  )) as typeof import('../../../../coordinator/catalogue/page.ts');
  const page = renderFaultPage(faults, []);
  t.match(page, `in versions 1.6.0 to ${madeUp}`);
  t.match(page, `| ${madeUp} | 2027-01-01 | [source]`);
  t.match(page, `from ${madeUp}: event \`NvidiaXID79Warning\``);
});

t.test('and the table tests miss its expectations', async (t) => {
  for (const [file, missing] of [
    ['xid-table.test.ts', 'every known version has its expectations'],
    ['versions.test.ts', 'what differs between the versions'],
  ] as const) {
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(tree, 'test/coordinator/catalogue/nma', file)],
      { cwd: tree, encoding: 'utf8', env: { ...process.env, TAP: '1', TAP_DIAG: '1' } },
    );
    t.not(status, 0, file);
    t.match(stdout, `not ok`);
    t.match(stdout, new RegExp(`not ok \\d+ - ${missing}`), file);
  }
});
