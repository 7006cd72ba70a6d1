import { execFileSync } from 'node:child_process';
import t from 'tap';
import type { Counts } from './suite.ts';

/** In a process of its own: what it prints of failures is TAP. */
function countsOf(file: string): Counts {
  const program = `const { runAlone } = await import(${JSON.stringify(import.meta.resolve('./suite.ts'))});
    console.log(JSON.stringify(await runAlone(${JSON.stringify(file)})));`;
  const words = ['--input-type=module', '--eval', program];
  const output = execFileSync(process.execPath, words, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as Counts;
}

t.test('what comes after its test has ended is a failure, though tap’s exit code is 0', async (t) => {
  const first = "import t from 'tap';\nawait t.test('first', async (t) => { t.pass(); });\n";
  const folder = t.testdir({
    'whole.mjs': first,
    'late.mjs': `${first}t.end();\nvoid t.test('late', async (t) => { t.fail(); });\n`,
    'failing.mjs': `${first}await t.test('second', async (t) => { t.fail(); });\n`,
  });
  for (const [name, passed, failed] of [
    ['whole', 1, 0],
    ['late', 1, 1],
    ['failing', 1, 1],
  ] as const)
    t.strictSame(countsOf(`${folder}/${name}.mjs`), { passed, failed, skipped: 0 }, name);
});
