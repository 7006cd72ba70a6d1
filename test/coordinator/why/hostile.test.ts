import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { Value } from 'typebox/value';
import { WhyAnswer } from '../../../coordinator/why/finding.ts';
import { explainText } from '../../../coordinator/why/why.ts';
import { distorted, fuzzRuns, tryAll } from '../../mutations.ts';
import { root } from '../../suite.ts';
import { inputs } from './inputs.ts';
import { story } from './story.ts';

const steps = ([1, 2, 3, 4, 5, 6] as const).map((step) => `${story[step].did}\n${story[step].saw}`);
const texts = [...inputs.map(({ input }) => input), ...steps];

/** Every other run, 10,000 texts; of `npm run fuzz` 40,000, because the runner ends a file after two minutes. */
const share = Math.max(2, Math.ceil(fuzzRuns / 40_000));

/** What a claim rests on stands in the text, at that line. */
function assertSourced(text: string, answer: WhyAnswer): void {
  const lines = text.split(/\r\n|[\r\n]/);
  for (const { code, evidence } of answer.findings) {
    const own = evidence.filter(({ source }) => source === 'input');
    if (own.length === 0) throw new Error(`${code} rests on nothing in the text`);
    for (const { line = 0, observed } of own)
      if (!lines[line - 1]?.includes(observed)) throw new Error(`${code}: line ${line} has no "${observed}"`);
    for (const { source, observed } of evidence)
      if (source === '' || (observed === '' && source !== 'input')) throw new Error(`${code}: an empty fact`);
  }
}

t.test('mutated inputs: no throw, no claim without a line of the text', async (t) => {
  let runs = 0;
  tryAll(distorted(...texts), ({ text }) => {
    runs += 1;
    if (runs % share !== 0) return;
    const answer = explainText(text);
    assertSourced(text, answer);
    if (!Value.Check(WhyAnswer, answer)) throw new Error('the answer is not of its own schema');
  });
  t.ok(runs >= fuzzRuns, `${runs} texts, every ${share}th explained`);
});

t.test('several inputs mixed line by line', async () => {
  const lines = texts.flatMap((text) => text.split('\n'));
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...lines), { maxLength: 12 }), (chosen) => {
      const text = chosen.join('\n');
      assertSourced(text, explainText(text));
    }),
    { numRuns: 1000, seed: 1117 },
  );
});

t.test('texts that are made to take long are explained in seconds', async (t) => {
  const long = 390_000;
  const rows: Readonly<Record<string, string>> = {
    brackets: '['.repeat(long),
    braces: '{"a":'.repeat(long / 5),
    'open braces on each line': '{\n'.repeat(long / 2),
    quotes: `echo "${"'".repeat(1000)}\n`.repeat(300),
    'open loops': 'for x in a b; do\n'.repeat(20_000),
    substitutions: `echo ${'$('.repeat(50_000)}`,
    backticks: '`dcgmi test --inject -f 1 -v 2` '.repeat(10_000),
    'nested shells': `${'bash -c "'.repeat(20_000)}`,
    sudo: `${'sudo '.repeat(70_000)}dcgmi`,
    'soft lockups': `watchdog: BUG: soft lockup - ${' stuck for ! ['.repeat(70)}\n`.repeat(300),
    segfaults: `traps: ${'segfault at in libnccl'.repeat(45)}\n`.repeat(300),
    'Xid heads': `NVRM: Xid (PCI:0000:00:1f${'NVRM: Xid ('.repeat(80)}\n`.repeat(400),
    'Xid writes': `echo "NVRM: Xid (PCI:0000:00:1f): 31, ${'Xid): '.repeat(60)}" > /dev/kmsg\n`.repeat(800),
    words: `karpenter ${'repairs node heartbeat other '.repeat(130)}\n`.repeat(90),
    'one line': 'x '.repeat(long / 2),
    'event rows': `Warning KernelReady ${'a  '.repeat(1000)}\n`.repeat(120),
    'yaml anchors': `a: &a [${'x,'.repeat(9)}x]\n${Array.from({ length: 9 }, (_, at) => `settings: &b${at} [${'*a,'.repeat(9)}*a]`).join('\n')}`,
    'many injections': 'dcgmi test --inject --gpuid 0 -f 230 -v 79; '.repeat(8000),
    'long loop':
      'for x in {1..999999}; do for y in {1..999999}; do dcgmi test --inject -f $x -v $y; done; done',
    deep: `kind: Node\nstatus: ${'['.repeat(20_000)}`,
    unicode: '\u202e\ud800'.repeat(50_000),
  };
  for (const [name, text] of Object.entries(rows)) {
    const from = process.cpuUsage();
    const answer = explainText(text);
    const took = process.cpuUsage(from).user / 1000;
    assertSourced(text, answer);
    // Of the processor. Far above what it takes (under a second each), far below what a pattern that runs away would take.
    t.ok(took < 20_000, `${name}: ${text.length} characters in ${Math.round(took)} ms`);
    t.comment(`${name}: ${Math.round(took)} ms, ${answer.findings.length} findings`);
  }
});

t.test('nothing that is pasted is executed', async (t) => {
  const dangerous = [
    ...texts,
    'dcgmi $(touch /tmp/xidrill-was-here) `touch /tmp/xidrill-was-here`; touch /tmp/xidrill-was-here',
    'bash -c "touch /tmp/xidrill-was-here" && kubectl delete node gpu-1',
    '!!js/function "function() { process.exit(7) }"\nkind: !!js/eval 1',
  ];
  // Node's permission model ends the program at the first process, thread, native add-on or written file.
  const script = `
    import { explainText } from ${JSON.stringify(join(root, 'coordinator/why/why.ts'))};
    let text = '';
    for await (const part of process.stdin) text += part;
    const codes = JSON.parse(text).map((one) => explainText(one).findings.map(({ code }) => code));
    process.stdout.write(JSON.stringify(codes));`;
  // The test runner's own hooks need more rights than that, hence the empty environment.
  const out = execFileSync(
    'env',
    ['-i', process.execPath, '--permission', '--allow-fs-read=*', '--input-type=module', '--eval', script],
    { input: JSON.stringify(dangerous), encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'] },
  );
  t.same(
    JSON.parse(out),
    dangerous.map((text) => explainText(text).findings.map(({ code }) => code)),
    'it comes to the same answers without any right',
  );
});

t.test('a secret in a pasted line is not in the answer', async (t) => {
  const secret = 'hunter2hunter2';
  for (const line of [
    `export AWS_SECRET_ACCESS_KEY=${secret}; dcgmi test --inject --gpuid 0 -f 150 -v 48`,
    `PGPASSWORD='${secret}' psql`,
    `kubectl --token ${secret} frobnicate`,
    `curl -H "Authorization: Bearer ${secret}" https://user:${secret}@host/`,
  ])
    t.notMatch(JSON.stringify(explainText(line)), secret, line);
  t.match(
    explainText(`TOKEN=${secret} dcgmi test --inject --gpuid 0 -f 150 -v 48`).findings,
    [{ code: 'field-is-another-quantity' }],
    'and what it did is read all the same',
  );
});
