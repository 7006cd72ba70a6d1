import t from 'tap';
import { karpenterFacts } from '../../../coordinator/view/object-facts.ts';
import { projectWorkload } from '../../../coordinator/view/projections.ts';

const image = 'public.ecr.aws/karpenter/controller:1.15.0';

function read(container: object, rest: object = {}) {
  return karpenterFacts(
    projectWorkload({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { namespace: 'kube-system', name: 'karpenter' },
      spec: { template: { spec: { containers: [{ name: 'controller', image, ...container }] } } },
      ...rest,
    }),
  );
}

t.test('the gate of NodeRepair, as it is written', async (t) => {
  const env = (value: string) => ({ env: [{ name: 'FEATURE_GATES', value }] });
  const rows: readonly (readonly [container: object, gate: boolean | undefined])[] = [
    [{}, undefined],
    [env('NodeRepair=true'), true],
    [env('StaticCapacity=false,NodeRepair=True'), true],
    [env('NodeRepair=1, StaticCapacity=false'), true],
    [env('NodeRepair=false'), false],
    [env('SpotToSpotConsolidation=true'), undefined],
    // A name that only ends so is another gate.
    [env('XNodeRepair=true'), undefined],
    [{ args: ['--feature-gates=NodeRepair=true'] }, true],
    [{ args: ['--feature-gates', 'NodeRepair=true', '--leader-elect'] }, true],
    [{ args: ['-feature-gates=NodeRepair=true'] }, true],
    [{ command: ['/karpenter', '--feature-gates=NodeRepair=true'] }, true],
    [{ args: ['--aws-feature-gates=NodeRepair=true'] }, undefined],
    [{ args: ['--feature-gates=NodeRepair=false'], ...env('NodeRepair=true') }, false],
    // What stands there twice: the last one holds, for Go's flags as for the kubelet's variables.
    [{ args: ['--feature-gates=NodeRepair=false', '--feature-gates', 'NodeRepair=true'] }, true],
    [{ env: [...env('NodeRepair=true').env, ...env('NodeRepair=false').env] }, false],
    [env('StaticCapacity=false, NodeRepair = true '), true],
    // The kubelet fills in variables.
    [{ args: ['--feature-gates=$(GATES)'], env: [{ name: 'GATES', value: 'NodeRepair=true' }] }, true],
  ];
  for (const [container, gate] of rows) {
    const found = read(container);
    t.equal(found.nodeRepairGate, gate, JSON.stringify(container));
    t.equal(found.settingsUnread, undefined);
  }
});

t.test('a setting from another object is not known, rather than the default', async (t) => {
  const valueFrom = { configMapKeyRef: { name: 'settings', key: 'gates' } };
  for (const container of [
    { env: [{ name: 'FEATURE_GATES', valueFrom }] },
    { envFrom: [{ configMapRef: { name: 'settings' } }] },
    { args: ['--feature-gates=$(GATES)'], env: [{ name: 'GATES', valueFrom }] },
    { args: ['--feature-gates=$(GATES)'] },
  ]) {
    const found = read(container);
    t.equal(found.nodeRepairGate, undefined);
    t.match(found.settingsUnread, { unread: /not read|not in the Deployment/ });
    t.match(found.evidence, /not read|not in the Deployment/);
  }
});

t.test('reboot gate, legacy switch, container, and pods that are ready', async (t) => {
  t.match(
    read({
      env: [
        { name: 'AWS_FEATURE_GATES', value: 'RebootForRepair=true' },
        { name: 'LEGACY_NODE_REPAIR', value: 'true' },
      ],
    }),
    { image, rebootGate: true, legacyRepair: true },
  );
  t.match(read({ args: ['--legacy-node-repair'] }), { legacyRepair: true });
  t.match(read({ args: ['--legacy-node-repair=false'] }), { legacyRepair: false });
  t.match(read({}), { rebootGate: undefined, legacyRepair: false });
  const sidecar = {
    spec: {
      template: {
        spec: {
          containers: [
            { name: 'proxy', image: 'proxy:1' },
            { name: 'controller', image },
          ],
        },
      },
    },
  };
  t.equal(read({}, sidecar).image, image, 'a sidecar in front');
  t.equal(read({}).readyReplicas, undefined, 'a status that nobody has written says nothing');
  t.equal(read({}, { status: { observedGeneration: 1 } }).readyReplicas, 0);
  t.equal(read({}, { status: { observedGeneration: 1, readyReplicas: 2 } }).readyReplicas, 2);
});
