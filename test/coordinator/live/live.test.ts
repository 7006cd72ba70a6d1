import t from 'tap';
import { runWhy } from '../../../coordinator/cli/why.ts';
import type { LiveAnswer } from '../../../coordinator/live/live.ts';
import { fleet, run } from '../doctor/rig.ts';

const { kubeconfig, server } = await fleet(t);
const at = ['--kubeconfig', kubeconfig];

/** `why --live` on the fleet. */
const why = (...argv: readonly string[]) => run([...argv, ...at], undefined, false, runWhy);
const live = async (...argv: readonly string[]) => {
  const { code, out, err } = await why('--live', '-o', 'json', ...argv);
  if (out === '') throw new Error(err);
  return { code, answer: JSON.parse(out) as LiveAnswer };
};

const staleOn = (node: string) =>
  JSON.stringify({
    kind: 'Node',
    metadata: { name: node, labels: { 'node.kubernetes.io/instance-type': 'g5.xlarge' } },
    status: {
      conditions: [
        { type: 'Ready', status: 'True', lastHeartbeatTime: '2025-12-01T03:04:59Z' },
        {
          type: 'AcceleratedHardwareReady',
          status: 'True',
          reason: 'NvidiaGPUIsReady',
          lastHeartbeatTime: '2025-12-01T02:32:26Z',
        },
      ],
    },
  });

t.test('what the text shows is refuted where the cluster shows otherwise now', async (t) => {
  const { code, answer } = await live(staleOn('healthy-1'));
  t.same(answer.live.nodes, [{ node: 'healthy-1', because: 'the text has its name' }]);
  t.match(
    answer.pasted.findings.find(({ code }) => code === 'nma-not-writing'),
    { result: 'broken' },
    'the text alone stays as it is',
  );
  t.match(
    answer.live.claims.find(({ code }) => code === 'nma-not-writing'),
    { now: 'no-longer', nodes: ['healthy-1'], line: 1 },
  );
  t.match(answer.summary, /No longer so in the cluster: nma-not-writing/);
  t.equal(code, 0, 'fresh beats pasted');
});

t.test('and confirmed where it is still so, with the sources of both', async (t) => {
  const { code, answer } = await live(
    '-',
    'aws eks create-addon --addon-name eks-node-monitoring-agent --service-account-role-arn arn:aws:iam::1:role/x',
    'kubectl get node role-2',
  );
  t.equal(code, 1);
  const claim = answer.live.claims.find(({ code }) => code === 'credentials-broken');
  t.match(claim, { now: 'still', nodes: ['role-2'] });
  t.ok((claim?.evidence.length ?? 0) > 0, 'proof of the cluster');
  for (const { evidence } of answer.pasted.findings)
    t.ok(
      evidence.some(({ source }) => source === 'input'),
      'a finding of the text rests on its lines',
    );
  t.match(answer.summary, /broken now at detection on role-2: credentials-broken/);
  t.same(
    answer.live.links.map(({ link }) => link),
    ['detection'],
    'the link that the text is about, and no other',
  );
});

t.test('the text is judged by what runs in the cluster', async (t) => {
  const claimed =
    'image: eks-node-monitoring-agent:v1.8.0\n[1.2] NVRM: Xid (PCI:0000:00:1e): 79, pid=1, name=x, GPU has fallen off the bus.';
  const { answer } = await live(claimed, '--node', 'arm-0');
  t.match(
    answer.live.differs.find(({ what }) => what === 'NMA version'),
    { pasted: '1.8.0', now: /^v?1\.4\.3/, source: /NMA on node arm-0/ },
  );
  t.match(
    answer.live.links.flatMap(({ causes }) => causes.map(({ code }) => code)),
    ['arm64-gate', 'dcgm-server-missing'],
  );
});

t.test('how a node is named, and one that is gone', async (t) => {
  const byPod = await live('kubectl -n kube-system logs dcgm-server-healthy-2');
  t.same(byPod.answer.live.nodes, [
    { node: 'healthy-2', because: 'the pod dcgm-server-healthy-2 runs there' },
  ]);
  const gone = await live('kubectl get node ip-10-0-3-17.ap-northeast-2.compute.internal');
  t.same(gone.answer.live.nodes, []);
  t.match(gone.answer.live.absent, [{ name: 'ip-10-0-3-17.ap-northeast-2.compute.internal' }]);
  t.equal(gone.code, 3);
  const none = await live('dcgmi test --inject --gpuid 0 -f 150 -v 48');
  t.equal(none.answer.live.nodes.length, 14, 'every GPU node');
  t.match(none.answer.summary, /^The chain ends at order: /, 'what was done wrong stays wrong');
  t.match(await why('--live', 'x', '--node', 'nothere'), { code: 2, err: /there is no node "nothere"/ });
  t.match(await why('x', '--node', 'role-1'), { code: 2, err: /--live only/ });
  t.match(await why('--live', 'x', '--context', 'nobody'), { code: 4, err: /401/ });
});

t.test('as text, and nothing is written', async (t) => {
  const before = server.requests.length;
  const { out } = await why('--live', staleOn('role-0'));
  t.match(out, /^✗ The chain is broken now at detection on role-0: credentials-broken/);
  t.match(out, /From the cluster, read [\s\S]*now +line 1, nma-not-writing: still so[\s\S]*From the text:/);
  t.same(
    server.requests.slice(before).filter(({ verb }) => verb !== 'list' && verb !== 'get'),
    [],
  );
});

t.test('what may not be read leaves it open', async (t) => {
  const blind = await fleet(t, {
    mayRead: ({ resource }) => resource !== 'nodes',
    of: { healthy: 1, arm: 0, role: 0, tainted: 0, karpenter: 0 },
  });
  const { code, out } = await run(
    ['--live', staleOn('healthy-0'), '--kubeconfig', blind.kubeconfig],
    undefined,
    false,
    runWhy,
  );
  t.equal(code, 1, 'what the text shows is all there is');
  t.match(out, /The cluster says nothing: nodes cannot be read/);
  t.match(out, /check +kubectl auth can-i list nodes --all-namespaces/);
});
