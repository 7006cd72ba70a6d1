import type { CauseCode } from '../../../coordinator/why/causes.ts';

const gate = (value: string) => ({ name: 'FEATURE_GATES', value });

/** A pasted text, and what must come out for one of its pieces. */
export type InputRow = {
  readonly input: string;
  readonly code: CauseCode;
  /** In what it did, or in why nothing followed. */
  readonly says: RegExp;
  /** One of the commands. */
  readonly run: RegExp;
};

const inject = 'dcgmi test --inject --gpuid 0';
const server = 'kubectl -n kube-system exec dcgm-server-7xk2p --';
const xidLine = 'NVRM: Xid (PCI:0000:00:1f): 79, pid=1234, GPU has fallen off the bus.';

const describe = `Name:               ip-10-0-1-23.ec2.internal
Conditions:
  Type                       Status  LastHeartbeatTime                 LastTransitionTime                Reason                             Message
  ----                       ------  -----------------                 ------------------                ------                             -------
  MemoryPressure             False   Mon, 01 Dec 2025 03:04:59 +0000   Mon, 01 Dec 2025 01:00:00 +0000   KubeletHasSufficientMemory         kubelet has sufficient memory available
  AcceleratedHardwareReady   True    Mon, 01 Dec 2025 02:32:26 +0000   Mon, 01 Dec 2025 01:00:00 +0000   NvidiaGPUIsReady                   Monitoring for the Nvidia GPU system is active`;

const node = (condition: string, labels = 'kubernetes.io/arch: amd64', arch = 'amd64') => `apiVersion: v1
kind: Node
metadata:
  name: gpu-1
  labels:
    ${labels}
    node.kubernetes.io/instance-type: g5.xlarge
status:
  nodeInfo:
    architecture: ${arch}
  conditions:
  - type: Ready
    status: "True"
    reason: KubeletReady
    message: kubelet is posting ready status
    lastHeartbeatTime: "2025-12-01T03:04:59Z"
    lastTransitionTime: "2025-12-01T01:00:00Z"
${condition}`;
const gpuCondition = (
  status: string,
  reason: string,
  beat = '2025-12-01T03:04:00Z',
) => `  - type: AcceleratedHardwareReady
    status: "${status}"
    reason: ${reason}
    message: text
    lastHeartbeatTime: "${beat}"
    lastTransitionTime: "2025-12-01T01:00:00Z"`;

/** One row an input; each kind of input and each code at least once. */
export const inputs: readonly InputRow[] = [
  // dcgmi test --inject: field and value
  {
    input: `${inject} -f 150 -v 48`,
    code: 'field-is-another-quantity',
    says: /GPU temperature in °C; 48 °C is healthy/,
    run: /-f 230 -v 48/,
  },
  {
    input: `${inject} --field 111 --value 999`,
    code: 'field-is-another-quantity',
    says: /memory clock in MHz/,
    run: /-f 319/,
  },
  {
    input: `sudo /usr/bin/${inject} -f 241 -v 0`,
    code: 'field-is-another-quantity',
    says: /field 241/i,
    run: /dcgmi test/,
  },
  {
    input: `${inject} -f xid_errors -v 79`,
    code: 'field-unknown',
    says: /number 230; by its name/,
    run: /-f 230/,
  },
  {
    input: `${inject} -f 850 -v 1`,
    code: 'field-unknown',
    says: /defined in no DCGM version/,
    run: /introspect/,
  },
  { input: `${inject} -f 1,2 -v 1`, code: 'field-unknown', says: /field group/, run: /introspect/ },
  {
    input: `${inject} -f 230 -v abc`,
    code: 'value-misread',
    says: /What the engine holds is 0, and it reports that as Xid 0/,
    run: /-v NUMBER/,
  },
  { input: `${inject} -f 230 -v 48abc`, code: 'value-misread', says: /holds is 48/, run: /-f 230/ },
  { input: `${inject} -f 230 -v 0x30`, code: 'value-misread', says: /holds is 0/, run: /-f 230/ },
  { input: `${inject} -f 319 -v 1.9`, code: 'value-misread', says: /holds is 1/, run: /-f 319/ },
  { input: `${inject} -f 230`, code: 'inject-refused', says: /exit code 254/, run: /-v VALUE/ },
  {
    input: 'dcgmi test --inject -g 0 -f 230 -v 79',
    code: 'inject-refused',
    says: /never a group/,
    run: /--gpuid 0 -f 230 -v 79/,
  },
  {
    input: 'dcgmi test --inject -f 230 -v 79',
    code: 'gpuid-default',
    says: /takes 1, not 0/,
    run: /discovery -l/,
  },
  {
    input: 'dcgmi test --inject --gpuid 0x10 -f 230 -v 79',
    code: 'gpuid-default',
    says: /0x10 is 16/,
    run: /discovery -l/,
  },
  {
    input: `${server} ${inject} -f 202 -v 5 --offset 3600`,
    code: 'offset-mutes',
    says: /3600 s ahead/,
    run: /-f 202 -v 5/,
  },
  // … and its place
  {
    input: `${inject} -f 230 -v 79`,
    code: 'engine-not-known',
    says: /does not say where this ran/,
    run: /fieldgroup -l/,
  },
  {
    input: `kubectl exec -n monitoring dcgm-exporter-abc -- ${inject} -f 319 -v 4`,
    code: 'wrong-engine',
    says: /engine of dcgm-exporter/,
    run: /k8s-app=dcgm-server.*-f 319 -v 4/,
  },
  {
    input: `kubectl -n gpu-operator exec ds/nvidia-dcgm -- ${inject} -f 230 -v 79`,
    code: 'wrong-engine',
    says: /GPU Operator/,
    run: /introspect/,
  },
  {
    input: `docker exec -it dcgm-exporter ${inject} -f 230 -v 79`,
    code: 'wrong-engine',
    says: /dcgm-exporter/,
    run: /-f 230 -v 79/,
  },
  {
    input: `kubectl debug node/gpu-1 -it --image=nvidia/dcgm -- bash\nnv-hostengine &\n${inject} -f 230 -v 79`,
    code: 'wrong-engine',
    says: /started by hand/,
    run: /dcgm-server/,
  },
  { input: 'nv-hostengine -n -b ALL -p 5556 &', code: 'wrong-engine', says: /port 5556/, run: /discovery/ },
  {
    input: `kubectl exec -it dcgm-exporter-1 -- bash\n${inject} -f 319 -v 4\nexit`,
    code: 'wrong-engine',
    says: /dcgm-exporter/,
    run: /-f 319 -v 4/,
  },
  {
    input: `kubectl exec dcgm-exporter-1 -- sh -c "${inject} -f 319 -v 4"`,
    code: 'wrong-engine',
    says: /dcgm-exporter/,
    run: /-f 319/,
  },
  // … and what NMA shows
  {
    input: `${server} ${inject} -f 230 -v 79`,
    code: 'reaches-nma',
    says: /reason NvidiaXID79Error/,
    run: /AcceleratedHardwareReady/,
  },
  {
    input: `${server} ${inject} -f 230 -v 13`,
    code: 'event-instead-of-condition',
    says: /condition up to NMA 1\.6\.3 and an event from 1\.6\.4/,
    run: /get events/,
  },
  {
    input: `NMA v1.6.2\n${server} ${inject} -f 230 -v 13`,
    code: 'reaches-nma',
    says: /NMA 1\.6\.2 sets .* NvidiaXID13Error/,
    run: /AcceleratedHardwareReady/,
  },
  {
    input: `${server} ${inject} -f 150 -v 120`,
    code: 'event-instead-of-condition',
    says: /NvidiaThermalError/,
    run: /get events/,
  },
  {
    input: `${server} ${inject} -f 311 -v 1`,
    code: 'sample-too-short',
    says: /asks every 5 minutes/,
    run: /for i in/,
  },
  {
    input: `for x in 48 79; do ${server} ${inject} -f 230 -v $x; sleep 1; done`,
    code: 'policy-slot',
    says: /1 s after the first/,
    run: /sleep 6/,
  },
  {
    input: `for x in 150; do ${inject} -f $x -v 50; done`,
    code: 'field-is-another-quantity',
    says: /field 150/i,
    run: /-f 150 -v 101/,
  },
  {
    input: 'XID=48\ndcgmi test --inject --gpuid 0 -f 150 -v $XID',
    code: 'field-is-another-quantity',
    says: /field 230 = 48/,
    run: /-f 230 -v 48/,
  },
  {
    input: 'dcgmi test --inject --gpuid 0 -f 150 -v $XID',
    code: 'engine-not-known',
    says: /variable that the text does not set/,
    run: /^$/,
  },
  {
    input: `${inject} -f 54 -v GPU-1`,
    code: 'field-not-injectable',
    says: /every reader would lose this GPU/,
    run: /-f 230/,
  },
  // dcgmi otherwise
  { input: 'dcgmi test --pause', code: 'engine-paused', says: /Stopped all readings/, run: /--resume/ },
  {
    input: 'dcgmi dmon -e 230',
    code: 'sample-overwritten',
    says: /overwrites an injected value/,
    run: /introspect/,
  },
  {
    input: 'dcgmi health -g 2 -s a',
    code: 'watches-only',
    says: /NMA switches its own watches/,
    run: /health -g 0 -c/,
  },
  {
    input: 'Successfully injected field info.',
    code: 'stored-only',
    says: /stored a value/,
    run: /introspect/,
  },
  {
    input: 'Error: Unable to inject info. Return: Bad parameter passed to function',
    code: 'inject-refused',
    says: /no GPU of this id/,
    run: /discovery/,
  },
  {
    input: 'Error: unable to establish a connection to the specified host: localhost',
    code: 'no-host-engine',
    says: /No nv-hostengine listens/,
    run: /dcgm-server/,
  },
  {
    input: 'Error: Unable to get field info for entity ID: 0. Return: Field is not being watched',
    code: 'wrong-engine',
    says: /not its engine/,
    run: /introspect/,
  },
  {
    input: '0 GPUs found (Active).',
    code: 'engine-without-gpus',
    says: /without GPUs answers/,
    run: /delete pod/,
  },
  {
    input: 'Error: Health watches not enabled. Please enable watches.',
    code: 'wrong-engine',
    says: /without them is not NMA/,
    run: /health -g 0/,
  },
  // the kernel log
  {
    input: `echo "<3>${xidLine}" | sudo tee /dev/kmsg`,
    code: 'kernel-log-not-read',
    says: /cannot trigger it for any Xid/,
    run: /-f 230 -v 79/,
  },
  {
    input: `kubectl debug node/gpu-1 -it --image=busybox -- sh -c 'echo "${xidLine}" > /host/dev/kmsg'`,
    code: 'kernel-log-not-read',
    says: /kernel log/,
    run: /-v 79/,
  },
  {
    input: `cat <<EOF > /dev/kmsg\n${xidLine}\nEOF`,
    code: 'kernel-log-not-read',
    says: /No NMA version/,
    run: /-v 79/,
  },
  {
    input: `printf '${xidLine}' > /dev/kmsg`,
    code: 'kernel-log-refused',
    says: /Without a line break/,
    run: /tee/,
  },
  {
    input: `sudo echo "${xidLine}" > /dev/kmsg`,
    code: 'kernel-log-refused',
    says: /before sudo/,
    run: /sudo tee/,
  },
  {
    input: 'echo "NVRM: Xid (PCI:0000:00:1f): 119, x" | tee /dev/kmsg',
    code: 'xid-wedges-engine',
    says: /stops calling the driver/,
    run: /reboot/,
  },
  {
    input: 'echo "watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [VM Thread:4054]" > /dev/kmsg',
    code: 'nma-reads-it',
    says: /SoftLockup/,
    run: /get events/,
  },
  {
    input: JSON.stringify({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      reportingController: 'eks-node-monitoring-agent',
      reason: 'AcceleratedHardwareReady',
      note: 'NvidiaXID13Warning: detected unknown XID-13',
      regarding: { kind: 'Node', name: 'n1' },
    }),
    code: 'nma-reacted',
    says: /NvidiaXID13Warning|Detection works/,
    run: /kubectl/,
  },
  ...[
    { env: [gate('NodeRepair=false'), gate('StaticCapacity=true, NodeRepair = True')] },
    { env: [gate('NodeRepair=false')], args: ['--feature-gates', 'NodeRepair=1'] },
  ].map(
    (container): InputRow => ({
      input: JSON.stringify({
        kind: 'Deployment',
        spec: {
          template: { spec: { containers: [{ image: 'x/karpenter/controller:1.14.1', ...container }] } },
        },
      }),
      code: 'karpenter-gate-on',
      says: /taints and replaces/,
      run: /budgets/,
    }),
  ),
  // Lines of the kernel as people paste them, with nothing in front.
  ...(
    [
      ['nf_conntrack: nf_conntrack: table full, dropping packet', /judged as .*ConntrackExceededKernel/],
      ['INFO: task nvidia-smi:1234 blocked for more than 120 seconds.', /AppBlocked/],
      ['blk_update_request: I/O error, dev nvme1n1, sector 12345', /BlockDeviceIOError/],
      [
        'python3[4321]: segfault at 7f79 ip 00007f sp 00007f error 4 in libnccl.so.2[7f7c+d3]',
        /AppCrash|NCCL/,
      ],
    ] as const
  ).map(([input, says]): InputRow => ({ input, code: 'nma-reads-it', says, run: /get events/ })),
  {
    input: 'kernel: NEURON_HW_ERR=DMA_ERROR affecting neuron devices',
    code: 'nma-reads-it',
    says: /NeuronDMAError/,
    run: /status\.conditions/,
  },
  {
    input: 'echo "hello kernel" > /dev/kmsg',
    code: 'nobody-reads-it',
    says: /no rule for this line/,
    run: /soft lockup/,
  },
  { input: `logger "${xidLine}"`, code: 'not-the-kernel-log', says: /not into the kernel log/, run: /-v 79/ },
  {
    input: `logger -p kern.err -t kernel "${xidLine}"`,
    code: 'not-the-kernel-log',
    says: /No program can log as facility kern/,
    run: /-v 79/,
  },
  {
    input: "logger -t kubelet 'fork/exec /usr/bin/runc: resource temporarily unavailable'",
    code: 'nma-reads-it',
    says: /ForkFailedOutOfPIDs/,
    run: /status\.conditions/,
  },
  {
    input: 'echo "Unable to reach API Server" | sudo tee -a /var/log/aws-routed-eni/ipamd.log',
    code: 'nma-reads-it',
    says: /IPAMDNotReady/,
    run: /kubectl/,
  },
  {
    input: `[ 1234.567890] ${xidLine}`,
    code: 'driver-reported',
    says: /does not read this line/,
    run: /-v 79/,
  },
  {
    input: `Dec 01 02:00:00 ip-10-0-1-23 kernel: ${xidLine}`,
    code: 'driver-reported',
    says: /If the driver printed it/,
    run: /-v 79/,
  },
  { input: `3,4242,987654321,-;${xidLine}`, code: 'driver-reported', says: /Xid 79/, run: /-v 79/ },
  {
    input: 'nvidia-smi -q',
    code: 'nothing-injected',
    says: /shows nothing of what is injected/,
    run: /introspect/,
  },
  // the add-on
  {
    input: 'eksctl create addon --cluster c --name eks-node-monitoring-agent',
    code: 'role-not-needed',
    says: /without an IAM role/,
    run: /daemonset/,
  },
  {
    input:
      'aws eks create-addon --cluster-name c --addon-name eks-node-monitoring-agent --service-account-role-arn arn:aws:iam::1:role/x',
    code: 'credentials-broken',
    says: /needs no role/,
    run: /role-arn-/,
  },
  {
    input:
      'eksctl create iamserviceaccount --cluster c --namespace kube-system --name eks-node-monitoring-agent --attach-policy-arn p --approve',
    code: 'credentials-broken',
    says: /IRSA/,
    run: /rollout restart/,
  },
  {
    input:
      'aws eks create-pod-identity-association --cluster-name c --namespace kube-system --service-account eks-node-monitoring-agent --role-arn r',
    code: 'credentials-broken',
    says: /Pod Identity/,
    run: /delete-pod-identity-association/,
  },
  {
    input:
      'kubectl -n kube-system annotate sa eks-node-monitoring-agent eks.amazonaws.com/role-arn=arn --overwrite',
    code: 'credentials-broken',
    says: /Annotated/,
    run: /role-arn-/,
  },
  {
    input: 'kubectl -n kube-system annotate sa eks-node-monitoring-agent eks.amazonaws.com/role-arn-',
    code: 'role-not-needed',
    says: /remedy/,
    run: /rollout restart/,
  },
  {
    input:
      'apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: eks-node-monitoring-agent\n  annotations:\n    eks.amazonaws.com/role-arn: arn:aws:iam::1:role/x',
    code: 'credentials-broken',
    says: /IRSA/,
    run: /role-arn-/,
  },
  {
    input: 'kubectl patch clusterrole eks-node-monitoring-agent --type=json -p=[]',
    code: 'cluster-role-not-the-cause',
    says: /changes nothing/,
    run: /serviceaccount/,
  },
  {
    input:
      "[Errno 2] No such file or directory: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token'\npanic: exit status 255",
    code: 'credentials-broken',
    says: /chroot on the host/,
    run: /role-arn-/,
  },
  {
    input:
      '{"level":"error","ts":"2025-12-01T02:00:00Z","msg":"failed to report managed conditions","error":"getting credentials: exec: executable /opt/bin/chroot failed with exit code 2"}',
    code: 'credentials-broken',
    says: /Events still work/,
    run: /rollout restart/,
  },
  // NMA's log, objects, events
  {
    input:
      '{"level":"info","ts":"2025-12-01T02:00:00Z","msg":"NVIDIA-based monitoring is disabled for the arm64 architecture in this version of the agent"}',
    code: 'arm64-gate',
    says: /no GPU on arm64/,
    run: /v1\.7\.2/,
  },
  {
    input:
      '{"level":"info","msg":"skipping monitor registration: no nvidia hardware detected","monitor":"nvidia"}',
    code: 'monitor-not-registered',
    says: /once, at its start/,
    run: /delete pod/,
  },
  {
    input: '{"level":"info","msg":"monitors disabled by configuration","plugins":["nvidia"]}',
    code: 'monitor-disabled',
    says: /switches monitors off/,
    run: /kubectl/,
  },
  {
    input: '{"level":"error","msg":"failed to reconcile DCGM state","error":"x"}',
    code: 'engine-lost',
    says: /no connection to its host engine/,
    run: /dcgm-server/,
  },
  {
    input: '{"level":"info","msg":"condition has not met MinOccurrences","occurrences":1}',
    code: 'not-often-enough',
    says: /only after several/,
    run: /kubectl/,
  },
  {
    input: '{"level":"info","msg":"sending condition to exporter","condition":{"Reason":"NvidiaXID79Error"}}',
    code: 'nma-reacted',
    says: /detection works/,
    run: /kubectl/,
  },
  {
    input: '2025/12/01 02:00:00 Listening for violations...',
    code: 'nma-listens',
    says: /registered for its policies/,
    run: /logs/,
  },
  { input: describe, code: 'nma-not-writing', says: /32 min 33 s/, run: /rollout restart/ },
  {
    input: node(gpuCondition('True', 'NvidiaGPUIsReady', '2025-12-01T02:32:26Z')),
    code: 'nma-not-writing',
    says: /not writing/,
    run: /logs/,
  },
  {
    input: node(gpuCondition('True', 'NvidiaGPUIsReady')),
    code: 'nma-writes',
    says: /59 s older/,
    run: /get events/,
  },
  {
    input: node(gpuCondition('False', 'NvidiaXID79Error'), 'eks.amazonaws.com/nodegroup: g1'),
    code: 'already-false',
    says: /NMA did react.*replace after 10 min.*managed node group g1/s,
    run: /rollout restart/,
  },
  {
    input: node(gpuCondition('False', 'DCGMError')),
    code: 'already-false',
    says: /no action for this reason/,
    run: /kubectl/,
  },
  {
    input: `image: eks-node-monitoring-agent:v1.6.7-eksbuild.1\n${node(gpuCondition('True', 'NvidiaGPUIsReady'), 'kubernetes.io/arch: arm64', 'arm64')}`,
    code: 'arm64-gate',
    says: /no GPU fault can ever be seen/,
    run: /update-addon/,
  },
  {
    input: node(''),
    code: 'monitor-not-registered',
    says: /has GPUs and no AcceleratedHardwareReady/,
    run: /logs/,
  },
  {
    input: JSON.stringify(
      {
        type: 'AcceleratedHardwareReady',
        status: 'False',
        reason: 'NvidiaXID48Error',
        lastTransitionTime: '2025-12-01T01:00:00Z',
      },
      null,
      2,
    ),
    code: 'already-false',
    says: /NvidiaXID48Error/,
    run: /rollout/,
  },
  {
    input:
      '2m          Warning   AcceleratedHardwareReady   node/gpu-1   NvidiaXID31Warning: detected unknown XID-31 on the instance',
    code: 'nma-reacted',
    says: /NvidiaXID31Warning as an event/,
    run: /get events/,
  },
  {
    input: 'kubectl get events -A --field-selector reason=NvidiaXID79Error',
    code: 'looked-elsewhere',
    says: /reason is the condition type/,
    run: /-n default/,
  },
  {
    input: 'kubectl -n kube-system get events',
    code: 'looked-elsewhere',
    says: /namespace default/,
    run: /-n default/,
  },
  { input: 'kubectl describe node gpu-1', code: 'looked-elsewhere', says: /uid/, run: /get events/ },
  {
    input: "kubectl patch node gpu-1 --subresource=status -p '{}'",
    code: 'condition-overwritten',
    says: /does not last/,
    run: /230 -v 109/,
  },
  // values
  {
    input: 'nodeAgent:\n  monitors:\n    nvidia:\n      enabled: false',
    code: 'monitor-disabled',
    says: /monitor nvidia/,
    run: /configmap/,
  },
  { input: 'dcgmAgent:\n  enabled: false', code: 'engine-lost', says: /dcgm-server/, run: /daemonset/ },
  {
    input: 'helm upgrade nma ./chart --set nodeAgent.monitors.nvidia.enabled=false',
    code: 'monitor-disabled',
    says: /nvidia/,
    run: /restart/,
  },
  // repair
  {
    input: 'settings:\n  featureGates:\n    nodeRepair: false',
    code: 'karpenter-gate-off',
    says: /repairs no node/,
    run: /nodeRepair=true/,
  },
  {
    input: 'helm upgrade karpenter k --set settings.featureGates.nodeRepair=true',
    code: 'karpenter-gate-on',
    says: /taints and replaces/,
    run: /budgets/,
  },
  {
    input:
      'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: karpenter\nspec:\n  template:\n    spec:\n      containers:\n      - image: public.ecr.aws/karpenter/controller:1.8.0\n        env:\n        - name: FEATURE_GATES\n          value: NodeRepair=false,SpotToSpotConsolidation=false',
    code: 'karpenter-gate-off',
    says: /NodeRepair is off/,
    run: /nodeRepair=true/,
  },
  {
    input: '{"level":"INFO","message":"deleting unhealthy node","controller":"node.health"}',
    code: 'karpenter-repairing',
    says: /Repair works/,
    run: /nodeclaims/,
  },
  {
    input: 'Warning NodeRepairBlocked node/gpu-1 more than 20% nodes are unhealthy in the nodepool',
    code: 'repair-threshold',
    says: /20 %/,
    run: /custom-columns/,
  },
  {
    input:
      'aws eks update-nodegroup-config --cluster-name c --nodegroup-name g --node-repair-config enabled=true',
    code: 'repair-not-due',
    says: /waits 10 min/,
    run: /describe-nodegroup/,
  },
  {
    input:
      'aws eks update-nodegroup-config --cluster-name c --nodegroup-name g --node-repair-config enabled=false',
    code: 'repair-not-enabled',
    says: /off/,
    run: /enabled=true/,
  },
  {
    input:
      'apiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata:\n  name: gpu\nspec:\n  disruption:\n    budgets:\n    - nodes: "0"',
    code: 'repair-budget',
    says: /budget of 0/,
    run: /nodepools/,
  },
];
