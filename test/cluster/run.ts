import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { add, type Counts, report, root, runAlone, runTap } from '../suite.ts';
import { controllerBinaries, controlPlaneBinaries } from './controlplane/build.ts';
import { karpenterOf, karpenterVersions, kwokProgram } from './karpenter/build.ts';
import { findPromtool } from './promtool.ts';
import { findPython } from './schemathesis/install.ts';

/** `npm run test:cluster`: builds the control plane and Karpenter where the cache has none, then the tests on them. */
const log = (line: string) => process.stdout.write(`${line}\n`);
await controlPlaneBinaries({ log });
const asked = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const all = readdirSync(join(root, 'test/cluster')).filter((name) => name.endsWith('.test.ts'));
const files = asked.length > 0 ? asked : all.map((name) => `test/cluster/${name}`);
// Minutes on a machine that never built them, which no test's time limit allows for.
if (files.some((file) => file.includes('/karpenter-'))) {
  await controllerBinaries({ log });
  await kwokProgram(log);
  for (const version of karpenterVersions)
    if (files.some((file) => file.includes(`/karpenter-${version}.`))) await karpenterOf(version, log);
}
// Karpenter's files wait for its own clocks most of their time, so they run beside the others, one after the other.
const besides = files.filter((file) => file.includes('/karpenter-'));
const others = files.filter((file) => !besides.includes(file));
const ran: Counts[] = [];
const runBesides = async () => {
  for (const file of besides) ran.push(await runAlone(file));
};
const runOthers = async () => {
  if (others.length > 0) ran.push(await runTap(others, ['--disable-coverage', '--jobs=1', '--timeout=600']));
};
await Promise.all([runBesides(), runOthers()]);
const counts = ran.reduce(add, { passed: 0, failed: 0, skipped: 0 });
report(counts);
// What the tests need was built above; only a machine without Python or promtool may skip, and only what needs them.
const mayHaveSkipped = [await findPython(), await findPromtool()].some((found) => 'because' in found);
if (counts.skipped > 0 && !mayHaveSkipped)
  process.stdout.write('FAILED  tests were skipped on a machine that has what they need\n');
process.exit(counts.failed > 0 || (counts.skipped > 0 && !mayHaveSkipped) || counts.passed === 0 ? 1 : 0);
