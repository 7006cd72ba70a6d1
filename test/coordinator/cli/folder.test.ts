import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { runWhy } from '../../../coordinator/cli/why.ts';
import type { WhyAnswer } from '../../../coordinator/why/finding.ts';
import { run } from '../doctor/rig.ts';

const why = (...argv: readonly string[]) => run(argv, undefined, false, runWhy);

const folder = mkdtempSync(join(tmpdir(), 'xidrill-bundle-'));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));
// The archive has a folder of its own name.
const bundle = join(folder, 'eks_i-0a1b2c3d4e5f60718_2025-12-01');
function put(path: string, text: string): void {
  mkdirSync(dirname(join(bundle, path)), { recursive: true });
  writeFileSync(join(bundle, path), text);
}

const boot = Array.from({ length: 3000 }, (_, line) => `[    ${line}.000000] pci 0000:00:${line}: BAR 0`);
put(
  'kernel/dmesg.current',
  [...boot, '[ 9120.1] NVRM: Xid (PCI:0000:00:1e): 79, pid=1, name=p, GPU has fallen off the bus.', ''].join(
    '\n',
  ),
);
put('kernel/dmesg.human.current', '[Mon Dec  1 03:00:00 2025] NVRM: Xid (PCI:0000:00:1e): 79, x\n');
put(
  'var_log/kube-system_eks-node-monitoring-agent-x_1/agent/0.log',
  '2025-12-01T03:00:00Z stderr F {"level":"info","msg":"NVIDIA-based monitoring is disabled for the arm64 architecture"}\n',
);
put('kubelet/kubelet.log', 'Dec 01 03:00:00 ip-10-0-1-2 kubelet[1]: I1201 ok\n');
put('kubelet/kubeconfig.yaml', 'users: [{name: secret-of-the-node}]\n');
put('gpu/nvidia-bug-report.log.gz', 'x');
put('networking/iptables.txt', 'x');
put('system/instance-id.txt', 'i-0a1b2c3d4e5f60718\n');
put('did.txt', 'dcgmi test --inject --gpuid 0 -f 150 -v 48\n');
writeFileSync(join(folder, '..', 'xidrill-outside.txt'), 'dcgmi test --inject --gpuid 0 -f 111 -v 999\n');
t.teardown(() => rmSync(join(folder, '..', 'xidrill-outside.txt'), { force: true }));
symlinkSync('../../xidrill-outside.txt', join(bundle, 'outside.txt'));
symlinkSync('/etc', join(bundle, 'etc'));
execFileSync('mkfifo', [join(bundle, 'pipe.txt')]);

t.test('a bundle of the log collector: known files are read, the others listed', async (t) => {
  const { code, out, err } = await why(`${folder}/`, '-o', 'json');
  t.equal(code, 1, err);
  const answer = JSON.parse(out) as WhyAnswer;
  t.match(
    answer.findings.map(({ file, line, code }) => ({ file, line, code })),
    [
      { file: 'did.txt', line: 1, code: 'field-is-another-quantity' },
      {},
      { file: 'kernel/dmesg.current', line: 3001, code: 'driver-reported' },
      {
        file: 'var_log/kube-system_eks-node-monitoring-agent-x_1/agent/0.log',
        line: 1,
        code: 'arm64-gate',
      },
    ],
    'lines have the number that they have in the file',
  );
  t.same(answer.notUnderstood, []);
  const files = new Map(answer.files?.map(({ file, read, because }) => [file, { read, because }]));
  t.match(files.get('kernel/dmesg.current'), {
    read: true,
    because: /^1 of 3001 lines say/,
  });
  t.match(files.get('kubelet/kubelet.log'), { read: true, because: /^0 of 1 lines/ });
  t.match(files.get('outside.txt'), { read: false, because: /link/ });
  t.match(files.get('etc'), { read: false, because: /link/ });
  t.match(files.get('pipe.txt'), { read: false, because: 'it is no file' });
  for (const name of [
    'kernel/dmesg.human.current',
    'kubelet/kubeconfig.yaml',
    'gpu/nvidia-bug-report.log.gz',
    'networking/iptables.txt',
  ])
    t.equal(files.get(name)?.read, false, name);
  t.notMatch(out, 'secret-of-the-node');
  const { out: text } = await why('-f', bundle);
  t.match(text, /Files that were read:\n[\s\S]*Not read:\n[\s\S]*iptables\.txt: nothing of it is known/);
});

t.test('sizes are bounded, and said', async (t) => {
  const storm = join(folder, 'storm');
  mkdirSync(join(storm, 'kernel'), { recursive: true });
  const line = (at: number) => `[${at}.0] NVRM: Xid (PCI:0000:00:1e): 31, pid=${at}`;
  writeFileSync(
    join(storm, 'kernel/dmesg.current'),
    Array.from({ length: 5000 }, (_, at) => line(at)).join('\n'),
  );
  writeFileSync(join(storm, 'huge.txt'), 'x'.repeat(300_001));
  const { out } = await why(storm, '-o', 'json');
  t.match((JSON.parse(out) as WhyAnswer).files, [
    { file: 'huge.txt', read: false, because: 'it has 300001 bytes, at most 300000 are read' },
    {
      file: 'kernel/dmesg.current',
      read: true,
      because: '5000 of 5000 lines say something about the chain, 4800 in the middle were left out',
    },
  ]);
  const empty = join(folder, 'nothing');
  mkdirSync(empty);
  t.match(await why(empty), { code: 3, out: /Nothing in the text was understood/ });
});
