import t, { type Test } from 'tap';
import { createEksNodeGroups } from '../../../coordinator/eks/sdk.ts';
import { type EksAnswer, startEks } from './stand-in.ts';

/** The SDK's default chain reads the environment; nothing of this machine's may come in. */
function withEnvironment(t: Test, values: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) delete process.env[name];
  Object.assign(process.env, { AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/dev/null' }, values);
  process.env.AWS_SHARED_CREDENTIALS_FILE = '/dev/null';
  t.teardown(() => {
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name];
    Object.assign(process.env, before);
  });
}

const keys = { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' };

async function ask(t: Test, answer: (before: number) => EksAnswer, timeoutMs?: number) {
  const eks = await startEks(({ before }) => answer(before));
  t.teardown(() => eks.close());
  const groups = createEksNodeGroups({
    cluster: 'prod',
    region: 'ap-northeast-2',
    endpoint: eks.url,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  return { found: await groups.repairConfig('gpu'), requests: eks.requests };
}

t.test('what EKS says of a group, signed and over HTTP', async (t) => {
  withEnvironment(t, keys);
  const rows: readonly (readonly [sent: object, found: object])[] = [
    [{}, { enabled: false }],
    [{ nodeRepairConfig: {} }, { enabled: false }],
    [{ nodeRepairConfig: { enabled: true } }, { enabled: true }],
    [
      { nodeRepairConfig: { enabled: true, maxUnhealthyNodeThresholdCount: 3 } },
      { enabled: true, maxUnhealthyNodeThresholdCount: 3 },
    ],
    [
      {
        nodeRepairConfig: {
          enabled: true,
          maxUnhealthyNodeThresholdPercentage: 50,
          maxParallelNodesRepairedCount: 1,
          nodeRepairConfigOverrides: [
            {
              nodeMonitoringCondition: 'AcceleratedHardwareReady',
              nodeUnhealthyReason: 'NvidiaXID79Error',
              minRepairWaitTimeMins: 30,
              repairAction: 'NoAction',
            },
            { nodeMonitoringCondition: 'KernelReady', nodeUnhealthyReason: 'X', repairAction: 'Dance' },
            { nodeUnhealthyReason: 'without a condition' },
          ],
        },
      },
      {
        enabled: true,
        maxUnhealthyNodeThresholdPercentage: 50,
        nodeRepairConfigOverrides: [
          {
            nodeMonitoringCondition: 'AcceleratedHardwareReady',
            nodeUnhealthyReason: 'NvidiaXID79Error',
            minRepairWaitTimeMins: 30,
            repairAction: 'NoAction',
          },
          { nodeMonitoringCondition: 'KernelReady', nodeUnhealthyReason: 'X' },
        ],
      },
    ],
  ];
  for (const [nodegroup, expected] of rows) {
    const { found, requests } = await ask(t, () => ({ nodegroup }));
    t.strictSame(found, expected, JSON.stringify(nodegroup));
    t.strictSame(requests, [{ line: 'GET /clusters/prod/node-groups/gpu', signed: true }]);
  }
});

t.test('what cannot be read is a reason with the command that shows it', async (t) => {
  withEnvironment(t, keys);
  const error = (status: number, type: string) => () => ({ status, type, message: 'so it says' });
  const rows = [
    ['denied', error(403, 'AccessDeniedException'), /eks:DescribeNodegroup \(so it says\)$/, 1],
    ['absent', error(404, 'ResourceNotFoundException'), /no such cluster or node group/, 1],
    ['throttled', error(429, 'ThrottlingException'), /throttled, also when it was asked again/, 3],
    ['broken', error(500, 'ServerException'), /ServerException: so it says/, 3],
  ] as const;
  for (const [name, answer, because, times] of rows) {
    const { found, requests } = await ask(t, answer);
    t.match(found, {
      unread: because,
      remedy:
        'aws eks describe-nodegroup --cluster-name prod --nodegroup-name gpu --query nodegroup.nodeRepairConfig',
    });
    t.equal(requests.length, times, `${name}: asked ${times} times`);
  }
  t.match((await ask(t, () => 'silent', 300)).found, { unread: /no answer in time/ });
  const passing = await ask(t, (before) =>
    before === 0
      ? error(429, 'ThrottlingException')()
      : { nodegroup: { nodeRepairConfig: { enabled: true } } },
  );
  t.strictSame(passing.found, { enabled: true }, 'throttling that passes is no reason');
});

t.test('without credentials nothing is sent', async (t) => {
  withEnvironment(t, {});
  const { found, requests } = await ask(t, () => ({ nodegroup: {} }));
  t.match(found, { unread: /no AWS credentials were found/ });
  t.strictSame(requests, []);
});
