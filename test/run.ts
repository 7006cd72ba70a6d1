import { add, type Counts, couldRunAll, report, runTap, tool } from './suite.ts';

/**
 * `npm test`: types, lint, dead code, then every test that needs neither Go nor a cluster.
 * `npm run test:gpu` (`--gpu`): NVML's contract on the real library. Other arguments are test files.
 */
const args = process.argv.slice(2);
const isGpu = args.includes('--gpu');
const files = args.filter((arg) => !arg.startsWith('--'));

const checks: readonly (readonly [string, readonly string[]])[] = [
  ['tsc', ['--noEmit']],
  ['biome', ['ci', '--colors=off', '--error-on-warnings', '.']],
  ['knip', []],
];

let counts: Counts = { passed: 0, failed: 0, skipped: 0 };
if (isGpu) {
  counts = await runTap(['test/gpu/nvml.test.ts'], ['--disable-coverage', '--jobs=1']);
} else {
  for (const [name, options] of files.length > 0 ? [] : checks) {
    const code = await tool(name, options);
    counts = add(
      counts,
      code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 },
    );
    process.stdout.write(`${code === 0 ? 'ok' : 'FAILED'}  ${name} ${options.join(' ')}\n`);
  }
  counts = add(counts, await runTap(files, files.length > 0 ? ['--disable-coverage'] : []));
  if (counts.skipped > 0 && files.length === 0 && couldRunAll()) {
    process.stdout.write('FAILED  tests were skipped on a machine that has what they need\n');
    counts = add(counts, { passed: 0, failed: 1, skipped: 0 });
  }
}
report(counts);
process.exit(counts.failed > 0 ? 1 : 0);
