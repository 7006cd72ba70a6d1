import { writeFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import type { DoctorReport } from '../../../coordinator/doctor/report.ts';
import { causes, kinds } from './fleet.ts';
import { counts, fleet, kubeconfigOf, run } from './rig.ts';

t.test('each kind of node has its cause, and equal nodes are one line', async (t) => {
  const { server, doctor } = await fleet(t);
  const before = server.requests.length;
  const { code, out, err } = await doctor('-o', 'json');
  t.equal(code, 1, err);
  const report = JSON.parse(out) as DoctorReport;
  const asked = server.requests.slice(before);
  t.same(
    asked
      .filter(({ verb }) => verb !== 'list' && verb !== 'get')
      .map(({ method, url }) => `${method} ${url}`),
    [],
    'nothing is written, and nothing is watched',
  );
  t.ok(asked.length <= 12, `${asked.length} requests`);
  for (const kind of kinds) {
    const nodes = report.nodes.filter(({ node }) => node.startsWith(`${kind}-`));
    t.equal(nodes.length, counts[kind], kind);
    for (const link of ['detection', 'taint'] as const)
      for (const { links } of nodes)
        t.same(
          links[link].causes.map((cause) => cause.code),
          causes[kind][link],
          `${kind} ${link}`,
        );
  }
  t.match(report, {
    result: 'broken',
    summary: '14 GPU nodes: faults are detected on 6, repair follows on 0 (not known on 12).',
    counts: { nodes: 15, gpuNodes: 14, asked: 14 },
    notRead: [],
  });
  const detection = report.groups.filter(({ link }) => link === 'detection');
  t.same(
    detection.map(({ state, nodes, causes }) => [state, nodes.length, causes[0]?.code ?? '']).toSorted(),
    [
      ['broken', 2, 'dcgm-server-missing'],
      ['broken', 3, 'arm64-gate'],
      ['broken', 3, 'credentials-broken'],
      ['ok', 6, ''],
    ],
    'healthy nodes of all owners are one group',
  );
  const role = detection.find(({ causes }) => causes[0]?.code === 'credentials-broken');
  t.match(role?.causes[0], {
    certainty: 'proven',
    commands: [
      'kubectl -n kube-system annotate serviceaccount eks-node-monitoring-agent eks.amazonaws.com/role-arn-',
      'kubectl -n kube-system rollout restart daemonset eks-node-monitoring-agent',
    ],
  });
  const gate = report.groups.find(({ causes }) => causes[0]?.code === 'karpenter-gate-off');
  t.match(gate, { link: 'taint', owner: 'Karpenter node pool gpu', state: 'broken', nodes: { length: 2 } });
});

t.test('for people: text, wide, Markdown, YAML; colours and widths', async (t) => {
  const { doctor, kubeconfig } = await fleet(t);
  const { out } = await doctor();
  t.match(out, /^✗ 14 GPU nodes: /);
  t.match(out, /✗ +3 nodes {2}arm64-gate: .*\n +nodes +arm-0, arm-1, arm-2\n/);
  t.match(out, /also +dcgm-server-missing/);
  t.match(out, /\? +4 nodes {2}managed node group gpu-healthy: repair-not-enabled/);
  t.match(out, /run +aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name gpu-healthy /);
  t.match(out, /page +coordinator\/diagnosis\/CAUSES\.md#arm64-gate/);
  t.notMatch(out, '\u001b');
  const wide = await doctor('-o', 'wide');
  t.match(wide.out, /NODE +ORDER +DETECTION +TAINT +OWNER +CAUSES\n/);
  t.match(wide.out, /role-0 +– +✗ +\? +managed node group gpu-role +credentials-broken,repair-not-enabled/);
  const markdown = await doctor('-o', 'markdown');
  t.match(markdown.out, /^# ✗ 14 GPU nodes/);
  t.match(markdown.out, /```sh\naws eks update-addon /);
  const yaml = parse((await doctor('-o', 'yaml')).out) as DoctorReport;
  t.equal(yaml.schema, 'xidrill.dev/doctor/v1');
  t.equal(yaml.nodes.length, 14);
  const narrow = await run(['--kubeconfig', kubeconfig], 72, true);
  t.match(narrow.out, '\u001b[31m');
  const long = narrow.out
    .replaceAll(/\u001b\[\d+m/g, '')
    .split('\n')
    .filter((line) => line.length > 72 && line.trim().includes(' ') && !line.includes('   run  '));
  t.same(
    long.filter((line) => line.trim().split(' ').filter(Boolean).length > 2),
    [],
    'only single words are longer',
  );
});

t.test('nodes and selectors', async (t) => {
  const { doctor } = await fleet(t);
  const one = JSON.parse((await doctor('--node', 'karpenter-1', '-o', 'json')).out) as DoctorReport;
  t.same(
    one.nodes.map(({ node }) => node),
    ['karpenter-1'],
  );
  const chosen = await doctor('-l', 'eks.amazonaws.com/nodegroup in (gpu-arm)', '-o', 'json');
  t.equal((JSON.parse(chosen.out) as DoctorReport).nodes.length, 3);
  t.match(await doctor('--node', 'nothere'), { code: 2, err: /there is no node "nothere"/ });
  t.match(await doctor('-l', 'a in ('), { code: 2, err: /selector|parse/i });
  t.match(await doctor('--node', 'a', '-l', 'b=c'), { code: 2, err: /either/ });
  t.match(await doctor('-l', 'no=such'), { code: 3, out: /None of the 14 GPU nodes is selected/ });
  const plain = await fleet(t, { of: { healthy: 0, arm: 0, role: 0, tainted: 0, karpenter: 0 } });
  t.match(await plain.doctor(), { code: 3, out: /None of the 1 nodes shows an NVIDIA GPU/ });
});

t.test('what may not be read is a question with the missing right, never a cause', async (t) => {
  const without = async (...resources: readonly string[]) => {
    const { doctor } = await fleet(t, {
      mayRead: ({ resource }) => !resources.includes(resource),
      of: { healthy: 2, arm: 0, role: 0, tainted: 0, karpenter: 1 },
    });
    const { code, out } = await doctor('-o', 'json');
    return { code, report: JSON.parse(out) as DoctorReport };
  };
  const noNodes = await without('nodes');
  t.match(noNodes, {
    code: 3,
    report: {
      summary: /^Nothing can be judged: nodes cannot be read/,
      notRead: [{ what: 'list nodes', command: 'kubectl auth can-i list nodes --all-namespaces' }],
    },
  });
  const noPods = await without('pods');
  t.equal(noPods.code, 1, 'the gate of Karpenter is known all the same');
  for (const { links } of noPods.report.nodes) t.equal(links.detection.state, 'unknown');
  t.match(noPods.report.notRead, [{ command: 'kubectl auth can-i list pods -n xidrill' }, {}]);
  const noDeployments = await without('deployments');
  t.equal(noDeployments.code, 3);
  t.match(noDeployments.report.notRead, [
    { command: 'kubectl auth can-i list deployments.apps --all-namespaces' },
  ]);
  const pool = noDeployments.report.nodes.find(({ node }) => node.startsWith('karpenter'));
  t.match(pool?.links.taint, { state: 'unknown', causes: { length: 0 } });
  const noAccount = await without('serviceaccounts', 'configmaps');
  t.match(
    noAccount.report.nodes.map(({ links }) => links.detection.state),
    ['ok', 'ok', 'ok'],
    'fresh heartbeats show that neither stands in the way',
  );
  t.match(noAccount.report.notRead, [
    { command: 'kubectl auth can-i get serviceaccounts -n kube-system' },
    { command: 'kubectl auth can-i get configmaps -n kube-system' },
  ]);
});

t.test('no cluster, no such context, no credentials, usage', async (t) => {
  const { doctor, kubeconfig } = await fleet(t);
  t.match(await doctor('--context', 'other'), {
    code: 4,
    err: /no context "other"; there are reader, nobody/,
  });
  t.match(await doctor('--context', 'nobody'), { code: 4, err: /401/ });
  t.match(await run(['--kubeconfig', '/nothing/there']), { code: 4, err: /cannot be used/ });
  const away = `${kubeconfig}-away`;
  writeFileSync(away, kubeconfigOf('http://127.0.0.1:9'));
  t.match(await run(['--kubeconfig', away]), { code: 4, err: /does not answer/ });
  t.match(await run(['-o', 'xml']), { code: 2, err: /"xml" is none of text/ });
  t.match(await run(['--nothing']), { code: 2, err: /usage: xidrill doctor/ });
  t.match(await run(['--help']), { code: 0, out: /exit code/ });
});
