import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { agentSelector } from '../../coordinator/view/kinds.ts';
import { optInLabel, optInValue } from '../../coordinator/view/node.ts';
import { chart, findHelm } from './helm.ts';
import { at, objectsIn, only, template } from './render.ts';
import { valueSets } from './value-sets.ts';

const helm = findHelm();
if (!('because' in helm)) {
  t.test('helm lint has nothing to say', async (t) => {
    const { code, stdout } = await helm(['lint', '--strict', chart]);
    t.equal(code, 0, stdout);
    t.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
  });

  for (const { name, values, shows } of valueSets) {
    t.test(name, async (t) => {
      const { code, stdout, stderr } = await template(helm, values);
      t.equal(code, 0, stderr);
      for (const [found, wanted] of shows(objectsIn(stdout))) t.strictSame(found, wanted);
    });
  }

  t.test('what the chart does not know is rejected by its name', async (t) => {
    const rows = [
      // N16: placeholders and what is no name of an image.
      ...[
        '',
        'REGISTRY/xidrill-agent',
        '<registry>/xidrill-agent',
        'r.example/xidrill agent',
        'r.example/',
        'r.example/a:v1',
      ].map((name) => [{ 'agent.image.repository': name }, /at '\/agent\/image\/repository'/] as const),
      [
        { 'coordinator.image.repository': 'ACCOUNT.dkr.ecr.REGION.amazonaws.com/Xidrill' },
        /image\/repository'/,
      ],
      [{ 'agent.amred': true }, /at '\/agent'.*'amred'/],
      [{ 'agent.image.registry': 'x' }, /at '\/agent\/image'.*'registry'/],
      [{ 'coordinator.replica': 2 }, /at '\/coordinator'.*'replica'/],
      [{ armed: true }, /'armed'/],
      [{ 'agent.armed': 'yes' }, /at '\/agent\/armed': got string, want boolean/],
      [{ 'coordinator.avoidGpuNodes': 'never' }, /at '\/coordinator\/avoidGpuNodes'/],
      [{ 'agent.kernelLog': 'kmsg' }, /at '\/agent\/kernelLog'/],
      [{ 'tls.source': 'nowhere' }, /at '\/tls\/source'/],
      [{ 'tls.source': 'secret' }, /tls\.coordinator\.existingSecret: name the Secret/],
      [{ 'tls.source': 'cert-manager' }, /tls\.certManager\.issuerRef\.name: name the issuer/],
      [{ 'auth.audience': 'a b' }, /at '\/auth\/audience'/],
      [
        { 'auth.audience': 'one', 'auth.agentAudience': 'one' },
        /auth\.agentAudience: the same as auth\.audience/,
      ],
      [{ 'tls.source': null }, /at '\/tls'.*'source'/],
      [{ 'tls.agent.existingSecret': 'mine' }, /tls\.agent\.existingSecret: .*tls\.source=secret/],
      [{ 'tls.certManager.issuerRef.name': 'mine' }, /issuerRef\.name: .*tls\.source=cert-manager/],
      [{ 'tls.agent.serverName': '*.example' }, /at '\/tls\/agent\/serverName'/],
      [
        { 'agent.dcgm.sidecar.enabled': false, 'agent.dcgm.sidecar.engine.enabled': true },
        /engine comes from the same image/,
      ],
      [{ 'agent.serviceAccount.create': false }, /serviceAccount\.name: .*every pod of the namespace/],
      [
        { 'agent.serviceAccount.name': 'one', 'coordinator.serviceAccount.name': 'one' },
        /agent\.serviceAccount\.name, coordinator\.serviceAccount\.name: both are one/,
      ],
      [{ 'agent.podLabels': { 'app.kubernetes.io/component': 'x' } }, /at '\/agent\/podLabels'/],
      [{ commonLabels: { 'app.kubernetes.io/name': 'x' } }, /at '\/commonLabels'/],
      [{ 'agent.extraEnv': [{ name: 'NODE_NAME', value: 'x' }] }, /at '\/agent\/extraEnv\/0\/name'/],
      [{ 'agent.updateStrategy.rollingUpdate.maxUnavailable': '0%' }, /maxUnavailable/],
      [{ 'networkPolicy.apiServer.ports': null }, /at '\/networkPolicy\/apiServer'.*'ports'/],
      [{ 'networkPolicy.apiServer.ports': [] }, /at '\/networkPolicy\/apiServer\/ports'/],
      [{ 'networkPolicy.apiServer.cidrs': ['10.0.0.5'] }, /at '\/networkPolicy\/apiServer\/cidrs\/0'/],
      [{ 'agent.port': null }, /at '\/agent'.*'port'/],
      [{ imagePullSecrets: [123] }, /at '\/imagePullSecrets\/0'/],
      [{ fullnameOverride: '1x' }, /at '\/fullnameOverride'/],
      [{ 'coordinator.replicas': 0 }, /at '\/coordinator\/replicas'.*minimum/],
      [{ 'agent.updateStrategy.rollingUpdate.maxUnavailable': 'many' }, /maxUnavailable/],
      [{ 'agent.dcgm.sidecar.image.tag': '' }, /agent\.dcgm\.sidecar\.image\.tag: name the DCGM version/],
      [
        { 'agent.nodes.labels': null, 'agent.nodes.instanceTypes': [] },
        /agent\.nodes: with neither labels nor instanceTypes no node matches/,
      ],
      [{ 'repair.eks.cluster': 'gpu-1' }, /repair\.eks\.region: is needed/],
      [{ 'repair.eks.roleArn': 'drills' }, /at '\/repair\/eks\/roleArn'/],
      [{ 'repair.karpenterPolicies': [{ type: 'Ready' }] }, /at '\/repair\/karpenterPolicies\/0'/],
    ] as const;
    for (const [values, says] of rows) {
      const { code, stderr } = await template(helm, values);
      t.not(code, 0, JSON.stringify(values));
      t.match(stderr, says);
    }
  });

  t.test('the words of chart and programs are the same', async (t) => {
    const { stdout } = await template(helm, {});
    const objects = objectsIn(stdout);
    const agent = only(objects, 'DaemonSet');
    const selector = agentSelector.split(',').map((pair) => pair.split('=', 2) as [string, string]);
    for (const [key, value] of selector)
      t.equal((at(agent, 'spec.template.metadata.labels') as Record<string, string>)[key], value);
    t.equal(at(agent, 'spec.template.spec.containers.0.ports.0.name'), 'agent');
    const [away] = at(
      only(objects, 'Deployment'),
      'spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.0.matchExpressions',
    ) as readonly unknown[];
    t.strictSame(away, { key: optInLabel, operator: 'NotIn', values: [optInValue] });
  });

  t.test(
    'certificates are of their own authority, for the names that callers use, and new each time',
    async (t) => {
      const seen = new Set<string>();
      for (const _ of [1, 2]) {
        const objects = objectsIn((await template(helm, { 'tls.validDays': 30 })).stdout);
        for (const [component, host, other] of [
          ['agent', 'xidrill-agent', 'drills-xidrill-coordinator'],
          ['coordinator', 'drills-xidrill-coordinator.gpu-drills.svc', 'xidrill-agent'],
        ] as const) {
          const secret = only(objects, 'Secret', `drills-xidrill-${component}-tls`);
          t.equal(secret.type, 'kubernetes.io/tls');
          const pem = (key: string) =>
            Buffer.from((secret.data as Record<string, string>)[key] ?? '', 'base64').toString();
          const [authority, own] = [new X509Certificate(pem('ca.crt')), new X509Certificate(pem('tls.crt'))];
          t.ok(own.checkIssued(authority) && own.verify(authority.publicKey));
          t.ok(own.checkPrivateKey(createPrivateKey(pem('tls.key'))));
          t.equal(own.checkHost(host), host);
          t.equal(own.checkHost(other), undefined);
          const days = (Date.parse(own.validTo) - Date.now()) / 86_400_000;
          t.ok(days > 29 && days <= 30, `${days} days`);
          seen.add(own.fingerprint256).add(authority.fingerprint256);
        }
      }
      t.equal(seen.size, 8);
    },
  );
} else t.pass('', { skip: helm.because });

t.test('every object of the schema says which keys it knows', async (t) => {
  const schema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8')) as object;
  // Kubernetes' own objects, whose keys the API server knows.
  const free = new Set([
    'global',
    'nodeAffinity',
    'podAffinity',
    'podAntiAffinity',
    'valueFrom',
    'namespaceSelector',
    'podSelector',
    'items',
  ]);
  const visit = (node: unknown, path: readonly string[]): void => {
    if (typeof node !== 'object' || node === null) return;
    const { type, additionalProperties } = node as { type?: unknown; additionalProperties?: unknown };
    if (type === 'object' && !free.has(path.at(-1) ?? ''))
      t.ok(
        additionalProperties === false || typeof additionalProperties === 'object',
        `${path.join('.')} rejects or types what it does not know`,
      );
    for (const [key, value] of Object.entries(node)) visit(value, [...path, key]);
  };
  visit(schema, []);
});

t.test('version and licence follow package.json', async (t) => {
  const { version, license } = JSON.parse(readFileSync(join(chart, '../../package.json'), 'utf8')) as Record<
    string,
    string
  >;
  t.match(parse(readFileSync(join(chart, 'Chart.yaml'), 'utf8')), {
    version,
    appVersion: version,
    annotations: { 'artifacthub.io/license': license },
  });
});
