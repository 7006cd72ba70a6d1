import { join } from 'node:path';
import t from 'tap';
import { parseAllDocuments } from 'yaml';
import { chart, findHelm } from '../charts/helm.ts';
import { objectsIn, only, release, template } from '../charts/render.ts';
import { valueSets } from '../charts/value-sets.ts';
import { startControlPlane } from './controlplane/start.ts';
import { kubectlOf } from './kubectl.ts';
import { podOf } from './kubelet.ts';

t.setTimeout(900_000);
const helm = findHelm();
const plane = await startControlPlane();
t.teardown(() => plane.stop());

const kubectl = kubectlOf(plane);

/** The kinds of the Prometheus operator and of cert-manager, without what their definitions say about the content. */
const foreign = ['PodMonitor', 'ServiceMonitor', 'PrometheusRule', 'Certificate'].map((kind) => {
  const group = kind === 'Certificate' ? 'cert-manager.io' : 'monitoring.coreos.com';
  const plural = `${kind.toLowerCase()}s`;
  const schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    },
  };
});

for (const object of foreign) await kubectl(['apply', '-f', '-'], JSON.stringify(object));
await kubectl(['apply', '--server-side', '-f', join(chart, 'crds')]);
await kubectl(['wait', '--for=condition=Established', '--timeout=300s', 'crd', '--all']);
for (const namespace of [release.namespace, 'monitoring']) await kubectl(['create', 'namespace', namespace]);

if ('because' in helm) t.pass('', { skip: helm.because });
else {
  for (const { name, values } of valueSets) {
    t.test(`the API server takes: ${name}`, async (t) => {
      const { stdout } = await template(helm, values);
      const answer = await plane.kubectl(
        ['create', '--dry-run=server', '--validate=strict', '-f', '-', '-o', 'name'],
        // One list: kubectl then sends everything, whatever fails.
        JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objectsIn(stdout) }),
      );
      t.equal(answer.stderr, '', 'neither an error nor a warning');
      t.equal(answer.exitCode, 0);
      t.equal(
        answer.stdout.trim().split('\n').length,
        parseAllDocuments(stdout).length,
        'every object was taken',
      );
    });
  }

  t.test('the API server would have said what is wrong', async (t) => {
    const { stdout } = await template(helm, {});
    const wrong = stdout.replace('hostPID: true', 'hostPidd: true');
    const answer = await plane.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], wrong);
    t.not(answer.exitCode, 0);
    t.match(answer.stderr, /hostPidd/);
  });

  const dryInstall = async (...more: string[]) => {
    const args = ['install', release.name, chart, '-n', release.namespace, '--dry-run=server', ...more];
    const { code, stdout, stderr } = await helm(args, { KUBECONFIG: plane.kubeconfigPath });
    if (code !== 0) throw new Error(stderr);
    return stdout.slice(stdout.indexOf('NOTES:'));
  };
  const node = (name: string, labels: Record<string, string>) =>
    kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name, labels } }),
    );

  t.test('the notes say what this cluster lacks, and the next command', async (t) => {
    const empty = await dryInstall();
    t.notMatch(empty, /WARNING/, 'a cluster without nodes, or none that can be seen, proves nothing');
    t.match(empty, /The agents are DISARMED/);

    await node('plain', {});
    t.match(
      await dryInstall(),
      /WARNING: none of the 1 nodes has one of the labels .*nvidia\.com\/gpu\.present/,
    );

    await node('gpu', { 'node.kubernetes.io/instance-type': 'g5.xlarge' });
    const ready = await dryInstall();
    t.notMatch(ready, /WARNING/);
    t.match(ready, 'kubectl label node gpu xidrill.dev/drill=allowed');

    await kubectl(['delete', 'node', 'plain']);
    await node('gpu', { 'node.kubernetes.io/instance-type': 'g5.xlarge', 'xidrill.dev/drill': 'allowed' });
    const pending = await dryInstall();
    t.match(pending, /WARNING: no node is left for the coordinator/);
    t.match(pending, 'These nodes may be drilled: gpu');
    await node('gpu', { 'node.kubernetes.io/instance-type': 'g5.xlarge', 'xidrill.dev/drill': '' });

    // The label that the notes ask for takes the last place of the coordinator.
    await node('plain', { 'xidrill.dev/drill': 'allowed' });
    t.match(await dryInstall(), /WARNING: no node is left for the coordinator/);
    await node('plain', { 'xidrill.dev/drill': '', 'eks.amazonaws.com/compute-type': 'fargate' });
    t.notMatch(await dryInstall(), /WARNING/);
    t.match(
      await dryInstall('--set=agent.nodeSelector.pool=nope'),
      /WARNING: none of the 2 nodes has the labels of agent\.nodeSelector/,
    );
    await kubectl(['delete', 'node', 'gpu']);
    const everywhere = '--set=agent.nodes.all=true';
    t.match(
      await dryInstall(everywhere),
      /WARNING: none of the 1 nodes .* may run an agent/,
      'Fargate runs none',
    );
    await kubectl(['delete', 'node', 'plain']);

    const labels = { 'app.kubernetes.io/name': 'eks-node-monitoring-agent' };
    const monitor = {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name: 'monitor', namespace: 'monitoring', labels },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'b' }] } },
      },
    };
    await kubectl(['apply', '-f', '-'], JSON.stringify(monitor));
    t.match(
      await dryInstall(),
      /WARNING: the EKS Node Monitoring Agent is in namespace monitoring[\s\S]*nma\.namespace=monitoring/,
    );
    t.notMatch(await dryInstall('--set=nma.namespace=monitoring'), /WARNING/);
    await kubectl(['-n', 'monitoring', 'delete', 'daemonset', 'monitor']);
  });

  t.test('who may do everything in one namespace, and nothing else, installs without roles', async (t) => {
    const account = ['-n', release.namespace];
    await kubectl([...account, 'create', 'serviceaccount', 'landlord']);
    await kubectl(
      ['apply', '-f', '-'],
      JSON.stringify({
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: 'landlord', namespace: release.namespace },
        rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
      }),
    );
    await kubectl([
      ...account,
      'create',
      'rolebinding',
      'landlord',
      '--role=landlord',
      `--serviceaccount=${release.namespace}:landlord`,
    ]);
    const user = `--kube-as-user=system:serviceaccount:${release.namespace}:landlord`;
    const notes = await dryInstall('--set=rbac.create=false', '--skip-crds', user);
    t.match(notes, /The agents are DISARMED/);
  });

  t.test('a release may have any name that its objects can have', async (t) => {
    const named = (name: string) => helm(['template', name, chart, '-n', '123']);
    await kubectl(['create', 'namespace', '123']);
    const dotted = await named('my.rel');
    const answer = await plane.kubectl(
      ['create', '--dry-run=server', '--validate=strict', '-f', '-', '-o', 'name'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objectsIn(dotted.stdout) }),
    );
    t.match(answer, { stderr: '', exitCode: 0, stdout: /service\/my-rel-xidrill-coordinator/ });
    for (const name of ['123', '1e3'])
      t.match(await named(name), { stderr: /must begin with a letter/ }, name);
  });

  t.test('the notes say what would keep agents away without a word', async (t) => {
    const level = 'pod-security.kubernetes.io/enforce';
    const enforce = (value: string) =>
      kubectl(['label', 'namespace', release.namespace, '--overwrite', `${level}=${value}`]);
    const pod = JSON.stringify(
      podOf(only(objectsIn((await template(helm, {})).stdout), 'DaemonSet'), 'p', 'n'),
    );
    const admitted = async () => (await plane.kubectl(['create', '--dry-run=server', '-f', '-'], pod)).stderr;

    for (const value of ['baseline', 'restricted']) {
      await enforce(value);
      t.match(await admitted(), /forbidden: violates PodSecurity/, 'the API server really does');
      const notes = await dryInstall();
      t.match(notes, new RegExp(`WARNING: the API server refuses [\\s\\S]*level ${value}`));
      t.match(notes, `kubectl label namespace ${release.namespace} --overwrite ${level}=privileged`);
    }
    await enforce('privileged');
    t.equal(await admitted(), '');
    t.notMatch(await dryInstall(), /WARNING/);

    const monitored = '--set=agent.podMonitor.enabled=true';
    t.match(await dryInstall(monitored), /WARNING: agent\.podMonitor .*\bextraFrom\b/);
    const peer = '--set-json=agent.networkPolicy.extraFrom=[{"podSelector":{}}]';
    for (const more of [peer, '--set=agent.networkPolicy.enabled=false'])
      t.notMatch(await dryInstall(monitored, more), /WARNING/);
    await kubectl(['label', 'namespace', release.namespace, `${level}-`]);
  });
}
