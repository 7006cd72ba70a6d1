import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import type { Ports } from '../../../coordinator/cli/ports.ts';
import { runWhy } from '../../../coordinator/cli/why.ts';
import type { WhyAnswer } from '../../../coordinator/why/finding.ts';
import { root } from '../../suite.ts';

const run = promisify(execFile);

type Ran = { readonly code: number; readonly out: string; readonly err: string };

async function why(
  argv: readonly string[],
  given: Partial<Ports> & { readonly input?: string } = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const { input = '', ...ports } = given;
  const code = await runWhy(argv, {
    program: 'xidrill',
    readInput: async () => input,
    readFile: async (path) => {
      throw new Error(`ENOENT: no such file, open '${path}'`);
    },
    print: (text) => {
      out += text;
    },
    complain: (text) => {
      err += text;
    },
    isTerminal: false,
    width: undefined,
    isColoured: false,
    ...ports,
  });
  return { code, out, err };
}

const wrong = 'dcgmi test --inject --gpuid 0 -f 150 -v 48';

t.test('text by argument, by file and on standard input; the exit code is the result', async (t) => {
  const byArgument = await why([wrong]);
  t.equal(byArgument.code, 1);
  t.match(byArgument.out, /field-is-another-quantity \(order\)[\s\S]*GPU temperature[\s\S]*-f 230 -v 48/);
  t.equal((await why([], { input: wrong })).out, byArgument.out);
  const byFile = await why(['-f', 'notes.txt'], { readFile: async () => `\n${wrong}` });
  t.match(byFile.out, /notes\.txt:2 {2}dcgmi test/, 'named by its file and its line there');
  const right = 'kubectl -n kube-system exec dcgm-server-x -- dcgmi test --inject --gpuid 0 -f 230 -v 79';
  t.equal((await why([right])).code, 0);
  t.equal((await why(['what is this?'])).code, 3);
});

t.test('several texts are one: what one says counts for the others', async (t) => {
  const files = new Map([
    ['pod.txt', 'image: eks-node-monitoring-agent:v1.6.3-eksbuild.1'],
    ['did.txt', 'echo "NVRM: Xid (PCI:0000:00:1f): 31, x" | sudo tee /dev/kmsg'],
  ]);
  const { out } = await why(['-f', 'pod.txt', '-f', 'did.txt', '-o', 'json'], {
    readFile: async (path) => files.get(path) ?? '',
  });
  const answer = JSON.parse(out) as WhyAnswer;
  t.same(answer.known, [{ what: 'NMA version', value: '1.6.3-eksbuild.1', line: 1, file: 'pod.txt' }]);
  const [line] = answer.findings;
  t.match(line?.summary, /NMA 1\.6\.3 sets AcceleratedHardwareReady to False/);
  t.match(line?.evidence.slice(0, 2), [
    { file: 'did.txt', line: 1 },
    { file: 'pod.txt', line: 1 },
  ]);
});

t.test('usage and errors', async (t) => {
  for (const argv of [['-o', 'yaml', 'x'], ['--nothing'], ['  ']])
    t.match(await why(argv), { code: 2, out: '', err: /usage: / }, argv.join(' '));
  t.match(await why(['--help']), { code: 0, out: /exit code/ });
  t.match(await why(['-f', 'missing']), { code: 4, out: '', err: /ENOENT/ });
  t.match(await why(['x'.repeat(500_000)]), { code: 2, out: '', err: /at most 400000/ });
});

t.test('what is pasted cannot steer the terminal, and lines fit it', async (t) => {
  const hostile = `${wrong} \u001b[31mred\u001b]0;title\u0007 \u202egnp.exe`;
  const { out } = await why([hostile], { width: 80 });
  t.notMatch(out, /[\u001b\u0007\u202e]/);
  t.match(out, /\\u001b/);
  const wide = out.split('\n').filter((line) => line.length > 80 && !/^ +run /.test(line));
  t.same(wide, [], 'only commands, which are copied, are longer');
  t.match((await why([wrong], { isColoured: true })).out, /\u001b\[31m/);
});

t.test('the program itself', async (t) => {
  const cli = (...args: string[]) =>
    run(process.execPath, [join(root, 'coordinator/cli/main.ts'), ...args]).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (thrown: { code: number; stdout: string; stderr: string }) => thrown,
    );
  t.match(await cli('why', wrong), { code: 1, stdout: /field 230 = 48/ });
  t.match(await cli('nothing'), { code: 2, stderr: /no command "nothing"/ });
  t.match(await cli('--help'), { code: 0, stdout: /why/ });
});
