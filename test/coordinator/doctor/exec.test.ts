import t from 'tap';
import { createPodExec } from '../../../coordinator/cluster/exec.ts';
import { readOnlyCalls } from '../../../coordinator/doctor/engines.ts';
import type { DoctorReport } from '../../../coordinator/doctor/report.ts';
import type { ExecCall } from '../../../coordinator/rehearsal/apiserver/exec.ts';
import { discoveries, fieldGroups } from '../../agent/dcgm/recorded.ts';
import { fleet } from './rig.ts';

const of = { healthy: 3, arm: 0, role: 0, tainted: 1, karpenter: 0 };
/** `dcgmi -v` of DCGM 4.6.0 (dcgm-measured.md). */
const version = 'Local build info:\nVersion : 4.6.0\n\nHostengine build info:\nVersion : 4.6.0\n';
const detectionOf = (report: DoctorReport, node: string) =>
  report.nodes.find((one) => one.node === node)?.links.detection;

t.test('--exec asks the host engine of each node, by calls that only read', async (t) => {
  const calls: ExecCall[] = [];
  const { doctor } = await fleet(t, {
    of,
    exec: async (call) => {
      calls.push(call);
      const words = call.command.slice(1).join(' ');
      if (words === '-v') return { stdout: version, exitCode: 0 };
      if (words === 'discovery -l')
        return call.pod.endsWith('-2')
          ? {
              stdout: '',
              stderr: 'Error: unable to establish a connection to the specified host',
              exitCode: 255,
            }
          : { stdout: discoveries[1] ?? '', exitCode: 0 };
      return { stdout: call.pod.endsWith('-0') ? fieldGroups.withNma : fieldGroups.without, exitCode: 0 };
    },
  });
  const plain = await doctor('-o', 'json');
  t.same(calls, [], 'without --exec nothing is run');
  t.equal(detectionOf(JSON.parse(plain.out) as DoctorReport, 'healthy-1')?.state, 'ok');
  const { code, out, err } = await doctor('--exec', '-o', 'json');
  t.equal(code, 1, err);
  const report = JSON.parse(out) as DoctorReport;
  t.match(detectionOf(report, 'healthy-0'), {
    state: 'ok',
    because: /NMA is connected to host engine 4\.6\.0 with 1 GPUs/,
  });
  t.match(detectionOf(report, 'healthy-1'), {
    state: 'broken',
    causes: [
      {
        code: 'nobody-listens',
        evidence: [
          {},
          {
            source: 'kubectl -n kube-system exec dcgm-server-healthy-1 -- dcgmi fieldgroup -l',
            observed: /^no field group "watch"/,
          },
        ],
      },
    ],
  });
  t.match(detectionOf(report, 'healthy-2'), {
    state: 'unknown',
    open: [{ code: 'nobody-listens', because: /exit code 255: Error: unable to establish/ }],
  });
  t.match(detectionOf(report, 'tainted-0')?.causes[0]?.code, 'dcgm-server-missing', 'no pod, no call');
  const allowed = Object.values(readOnlyCalls).map((call) => call.join(' '));
  for (const { command, namespace, container } of calls) {
    t.ok(allowed.includes(command.join(' ')), command.join(' '));
    t.equal(namespace, 'kube-system');
    t.ok(container);
  }
});

t.test('without the right it is a question with the command that shows it', async (t) => {
  const { doctor } = await fleet(t, {
    of,
    mayRead: ({ subresource }) => subresource !== 'exec',
    exec: async () => ({ stdout: '', exitCode: 0 }),
  });
  const { code, out } = await doctor('--exec', '--node', 'healthy-0', '-o', 'json');
  t.equal(code, 3);
  const report = JSON.parse(out) as DoctorReport;
  t.match(report.notRead, [
    { what: 'exec in pods', command: /^kubectl auth can-i create pods\/exec -n kube-system/ },
  ]);
  t.equal(detectionOf(report, 'healthy-0')?.state, 'unknown');
});

t.test('a command that hangs, or prints without end, or is not in the list', async (t) => {
  const { server } = await fleet(t, {
    of,
    exec: ({ command }) =>
      command.includes('-v')
        ? new Promise(() => {})
        : Promise.resolve({ stdout: 'x'.repeat(100_000), exitCode: 0 }),
  });
  const calls = Object.values(readOnlyCalls);
  const container = { namespace: 'kube-system', pod: 'dcgm-server-healthy-0', container: 'c' };
  const source = { url: server.url, token: 'reader' };
  const exec = createPodExec(source, calls, { timeoutMs: 300, mostBytes: 10_000 });
  await t.rejects(exec(container, readOnlyCalls.version), { message: /no end within 300 ms/ });
  await t.rejects(exec(container, readOnlyCalls.gpus), { message: /more than 10000 bytes/ });
  const before = server.requests.length;
  for (const command of [
    ['dcgmi', 'test', '--inject', '--gpuid', '0', '-f', '230', '-v', '79'],
    ['dcgmi', 'discovery', '-l', '; reboot'],
    ['sh', '-c', 'dcgmi -v'],
    ['dcgmi'],
  ])
    await t.rejects(exec(container, command), { message: /not one of the commands that only read/ });
  t.equal(server.requests.length, before, 'it is not even sent');
});
