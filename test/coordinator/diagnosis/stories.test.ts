import t from 'tap';
import { explain, preflight } from '../../../coordinator/diagnosis/explain.ts';
import { forecastRepair } from '../../../coordinator/repair/forecast.ts';
import type { Explanation } from '../../../coordinator/store/explanation.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import {
  before,
  type Change,
  deafEngine,
  engine,
  facts,
  inventory,
  kernelResult,
  nmaImage,
  peers,
  planned,
  pod,
  reacted,
  receipt,
  refusedDrill,
  silent,
  staleConditions,
  version,
} from './builder.ts';

/**
 * The six steps of one EKS user's account (December 2025, add-on 1.4.3, ap-northeast-2): each looked right, none said
 * what was wrong.
 */
const storyPod = 'eks-node-monitoring-agent-7x2';
const image = nmaImage('v1.4.3-eksbuild.1');
const tokenFile = '/var/run/secrets/eks.amazonaws.com/serviceaccount/token';

/** g5g.xlarge with one T4G, everything of NMA Running. */
function storyNode(change: Change = {}): Facts {
  return facts({
    ...change,
    node: {
      name: 'ip-10-0-1-7',
      architecture: 'arm64',
      instanceType: 'g5g.xlarge',
      labels: { 'eks.amazonaws.com/nodegroup': 'gpu-arm' },
      ...change.node,
    },
    nma: {
      version: version('v1.4.3-eksbuild.1'),
      pod: pod(storyPod, { image }),
      dcgmServer: { daemonSet: true, pod: undefined },
      ...change.nma,
    },
    agent: { inventory: inventory({ architecture: 'arm64', engines: [] }), ...change.agent },
  });
}

const withRole = {
  serviceAccount: {
    namespace: 'kube-system',
    name: 'eks-node-monitoring-agent',
    annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::111122223333:role/nma' },
  },
  pod: pod(storyPod, {
    image,
    environment: {
      HOST_ROOT: '/host',
      AWS_ROLE_ARN: 'arn:aws:iam::111122223333:role/nma',
      AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    },
    volumes: ['host-root', 'aws-iam-token'],
  }),
  log: [
    `[Errno 2] No such file or directory: '${tokenFile}'`,
    'panic: exit status 255',
    '{"level":"error","msg":"failed to report managed conditions","error":"failed to get server groups: getting credentials: exec: executable /opt/amazon/bin/chroot failed with exit code 2"}',
  ],
};

const stuckTrue = staleConditions(32 * 60 + 33, {
  reason: 'NvidiaAcceleratedHardwareIsReady',
  message: 'Monitoring for the Nvidia AcceleratedHardware system is active',
});

const sources = ({ evidence }: Explanation) => evidence.map(({ source }) => source);
const codes = (rows: readonly { readonly code: string }[]) => rows.map(({ code }) => code);

t.test('1: a role on the ServiceAccount; nothing is injected', async (t) => {
  const given = facts({ node: { name: 'n1', conditions: stuckTrue }, nma: withRole, drill: planned() });
  const { blocking: found, checks } = preflight(given);
  const blocking = found?.explanation;
  t.equal(blocking?.code, 'credentials-broken');
  if (blocking === undefined) return;
  t.ok(
    sources(blocking).includes(
      'serviceaccounts/kube-system/eks-node-monitoring-agent metadata.annotations[eks.amazonaws.com/role-arn]',
    ),
  );
  t.ok(sources(blocking).includes(`log kube-system/${storyPod}`));
  const heartbeat = blocking.evidence.find(({ source }) => source.endsWith('.lastHeartbeatTime'));
  t.match(heartbeat?.source, /^nodes\/n1 status\.conditions\[/);
  t.match(heartbeat?.observed, /32 min 33 s before/);
  t.ok(
    blocking.evidence.some(({ observed }) => observed.includes(`No such file or directory: '${tokenFile}'`)),
  );
  t.match(blocking.summary, /events still work/);
  t.match(blocking.summary, /ClusterRole is not the cause/);
  t.match(
    blocking.remedy,
    /annotate serviceaccount eks-node-monitoring-agent eks\.amazonaws\.com\/role-arn-/,
  );
  t.match(blocking.remedy, /rollout restart daemonset eks-node-monitoring-agent/);
  t.ok(codes(blocking.refuted).includes('arm64-gate'), 'an amd64 node rules the gate out');
  t.ok(codes(blocking.refuted).includes('nma-not-running'), 'its pod runs');
  const check = checks.find(({ code }) => code === 'credentials-broken');
  t.match(check, { result: 'cause', blocks: true });

  const podIdentity = preflight(
    facts({
      node: { conditions: stuckTrue },
      nma: {
        pod: pod(storyPod, {
          environment: {
            HOST_ROOT: '/host',
            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/var/run/secrets/pods.eks.amazonaws.com/x',
          },
          volumes: ['eks-pod-identity-token'],
        }),
      },
      drill: planned(),
    }),
  );
  t.equal(podIdentity.blocking?.explanation.code, 'credentials-broken');
  t.match(podIdentity.blocking?.explanation.remedy, /delete-pod-identity-association/);
});

t.test('2: an Xid line written to /dev/kmsg by hand', async (t) => {
  const text = 'NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory';
  const expectation = {
    kind: 'event',
    type: 'AcceleratedHardwareReady',
    reason: 'NvidiaXID31Warning',
    withinSeconds: 50,
  } as const;
  const drill = silent({
    fault: 'xid',
    parameters: {},
    expectation,
    receipt: receipt([kernelResult(text)], { text }),
  });
  const explanation = explain(facts({ drill }));
  t.equal(explanation.code, 'kernel-log-not-read');
  t.ok(
    explanation.evidence.some(
      ({ observed }) => observed.includes('sequence 4711') && observed.includes(text),
    ),
    'the line is in the ring',
  );
  t.match(explanation.summary, /No NMA version reads Xid lines/);
  t.match(explanation.summary, /read by .*Meta gcm .*rejected by/);
  t.match(
    explanation.summary,
    /rejected by .*NVSentinel \(it reads the journal, and journald cuts "NVRM:" off/,
  );
  t.match(
    explanation.summary,
    /rejected by gpud \(its pattern does not match the address 00000000:00:1F\.0\)/,
  );
  t.match(explanation.summary, /DCGM’s host engine \(it takes only Xid 79, 119, 120\)/);
  t.match(explanation.summary, /prints the address as 0000:00:1f, not 00000000:00:1F\.0/);
  t.match(explanation.remedy, /"surfaces": \["dcgm"\]/);
  t.match(
    explanation.remedy,
    /Expect an event, not a condition: NMA v1\.6\.5-eksbuild\.1 sends "NvidiaXID31Warning/,
  );
  t.match(explanation.remedy, /Xid 31 is a condition up to NMA 1\.6\.3 and an event since 1\.6\.4/);
  t.ok(codes(explanation.refuted).includes('nma-not-running'));
  t.ok(codes(explanation.refuted).includes('injection-not-proven'));

  const onStoryNode = explain(storyNode({ node: { conditions: stuckTrue }, nma: withRole, drill }));
  t.equal(onStoryNode.code, 'kernel-log-not-read', 'what was done comes before what is broken besides');
  t.ok(codes(onStoryNode.alsoFound).includes('arm64-gate'));
  const [credentials] = onStoryNode.alsoFound.filter(({ code }) => code === 'credentials-broken');
  t.match(credentials?.commands?.[0], /^kubectl /, 'with what can be copied');
  t.ok(credentials?.commands?.every((command) => credentials.remedy.includes(command)));
});

t.test('3: fields 150 and 111, in an engine of one’s own', async (t) => {
  const didYouMean = [{ field: 230, name: 'DCGM_FI_DEV_XID_ERROR', value: '48', because: 'Xid 48' }];
  const message = 'field 150 is the GPU temperature in °C; 48 °C is healthy; did you mean 230 = 48 (Xid 48)?';
  const refused = explain(
    facts({
      drill: refusedDrill(
        'field_value_no_effect',
        message,
        { fieldId: 150, didYouMean },
        { parameters: { field: 150, value: 48 } },
      ),
    }),
  );
  t.equal(refused.code, 'field-is-another-quantity');
  t.match(refused.evidence[0], { source: 'agent n1', observed: /150 is the GPU temperature/ });
  t.match(refused.remedy, /field 230 = 48/);

  const clock = explain(
    facts({ drill: planned({ fault: 'dcgm-field', parameters: { field: 111, value: 999 } }) }),
  );
  t.equal(clock.code, 'field-is-another-quantity', 'the catalogue knows it before the agent is asked');
  t.match(clock.summary, /field 111 is .*clock.*MHz/);
  t.match(clock.remedy, /319/);
  const temperature = explain(
    facts({ drill: planned({ fault: 'dcgm-field', parameters: { field: 150, value: 48 } }) }),
  );
  t.match(temperature.summary, /field 150 is .*temperature.*°C.*healthy/);
  t.match(temperature.remedy, /field 230 = 48/);

  const own = engine({ ...deafEngine, podUid: 'uid-of-debug', pid: 31_337 });
  const inOwnEngine = explain(
    facts({
      agent: { inventory: inventory({ engines: [own, engine()] }) },
      drill: refusedDrill(
        'nobody_listens',
        'the host engine with pid 31337 has no listener',
        {},
        { parameters: { xid: 48, surfaces: ['dcgm'], engine: { pid: 31_337 } } },
      ),
    }),
  );
  t.equal(inOwnEngine.code, 'wrong-engine');
  t.match(
    inOwnEngine.summary,
    /pid 31337 in pod uid-of-debug has no listener\. NMA’s engine is pid 4242 in pod kube-system\/dcgm-server-a at 127\.0\.0\.1:5555/,
  );
});

t.test('4: the engine of dcgm-exporter', async (t) => {
  const details = {
    engines: [
      {
        pid: 777,
        podUid: 'uid-of-dcgm-exporter-x',
        address: '127.0.0.1:5556',
        listened: false,
        evidence: deafEngine.nma.evidence,
      },
      {
        pid: 4242,
        podUid: 'uid-of-dcgm-server-a',
        address: '127.0.0.1:5555',
        listened: true,
        evidence: engine().nma.evidence,
      },
    ],
    listenedPid: 4242,
  };
  const explanation = explain(
    facts({
      drill: refusedDrill('nobody_listens', 'the host engine with pid 777 has no listener', details, {
        fault: 'dcgm-field',
        parameters: { field: 319, value: 4, engine: { pid: 777 } },
      }),
    }),
  );
  t.equal(explanation.code, 'wrong-engine');
  t.ok(sources(explanation).includes('agent n1 ListHostEngines pid 777'));
  const right = explanation.evidence.find(({ source }) => source === 'agent n1 ListHostEngines pid 4242');
  t.match(
    right?.observed,
    /NMA listens: field group "watch" \(112, 856, 857, 170, 174\); watchers: 1 on field 856/,
  );
  t.match(explanation.remedy, /"pid": 4242/);
  t.ok(codes(explanation.refuted).includes('field-is-another-quantity'), '319 = 4 is a fault');
});

t.test('5: the condition is True, and old, on arm64', async (t) => {
  const given = storyNode({ node: { conditions: stuckTrue }, drill: planned() });
  const blocking = preflight(given).blocking?.explanation;
  t.equal(blocking?.code, 'arm64-gate');
  if (blocking === undefined) return;
  t.match(
    blocking.evidence[0],
    {
      source: 'nodes/ip-10-0-1-7 status.conditions[AcceleratedHardwareReady].lastHeartbeatTime',
      observed: /32 min 33 s before/,
    },
    'the heartbeat comes first',
  );
  t.ok(sources(blocking).includes('nodes/ip-10-0-1-7 status.nodeInfo.architecture'));
  t.ok(sources(blocking).includes(`pods/kube-system/${storyPod} image`));
  t.match(blocking.summary, /no GPU fault can ever be seen on this node/);
  t.match(blocking.summary, /AcceleratedHardwareReady is True all the same/);
  t.match(blocking.remedy, /v1\.7\.2 or later/);
  t.match(blocking.remedy, /amd64 GPU node/);
  t.ok(codes(blocking.alsoFound).includes('nma-not-writing'));
  t.ok(codes(blocking.alsoFound).includes('dcgm-server-missing'));
  t.ok(codes(blocking.refuted).includes('credentials-broken'));

  const fixed = preflight(
    storyNode({
      nma: {
        version: version('v1.7.2-eksbuild.1'),
        dcgmServer: { daemonSet: true, pod: pod('dcgm-server-a') },
      },
      agent: { inventory: inventory() },
      drill: planned(),
    }),
  );
  t.equal(fixed.blocking, undefined, 'with v1.7.2 and fresh heartbeats nothing blocks');
});

t.test('6: the node was to be replaced', async (t) => {
  const conditions = [
    ...facts().node.conditions.filter(({ type }) => type !== 'AcceleratedHardwareReady'),
    {
      type: 'AcceleratedHardwareReady',
      status: 'False',
      reason: 'NvidiaXID79Error',
      message: 'detected XID-79 on the instance, review kernel logs for additional information.',
      lastHeartbeatTime: before(60),
      lastTransitionTime: before(1200),
    },
  ];
  const karpenter = {
    deployment: 'kube-system/karpenter',
    image: 'public.ecr.aws/karpenter/controller:1.14.1',
    nodeRepairGate: undefined,
    evidence: 'neither --feature-gates nor FEATURE_GATES is set',
  };
  const gate = explain(facts({ node: { conditions }, repair: { karpenter }, drill: reacted() }));
  t.equal(gate.code, 'karpenter-gate-off');
  t.ok(sources(gate).includes('deployments/kube-system/karpenter'));
  t.match(gate.summary, /NodeRepair.*default is off \(alpha\)/);
  t.match(gate.remedy, /nodeRepair=true/);
  t.match(forecastRepair(facts({ repair: { karpenter } }))[0]?.notes.join(' '), /taints .*does not cordon/);

  const managed = {
    nodeGroup: 'gpu-arm',
    nodePool: undefined,
    karpenter: undefined,
    peers: peers(3, 0),
  };
  const group = explain(facts({ node: { conditions }, repair: managed, drill: reacted() }));
  t.equal(group.code, 'repair-not-enabled');
  t.match(group.remedy, /aws eks describe-nodegroup .*nodeRepairConfig/);
  t.match(group.summary, /waits 10 min/);
  t.ok(codes(group.refuted).includes('repair-threshold'));

  const waiting = explain(
    facts({
      node: { conditions: conditions.map((row) => ({ ...row, lastTransitionTime: before(60) })) },
      drill: reacted(),
    }),
  );
  t.equal(waiting.code, 'repair-not-due');
  t.match(waiting.summary, /Karpenter will replace the node in 9 min/);

  const full = explain(facts({ node: { conditions }, repair: { peers: peers(5, 1) }, drill: reacted() }));
  t.equal(full.code, 'repair-threshold');
});
