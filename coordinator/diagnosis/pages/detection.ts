import type { CausePage } from './page.ts';

/** Causes that keep NMA from noticing, or its reaction from being seen. */
export const detectionPages: Readonly<Record<string, CausePage>> = {
  'kernel-log-not-read': {
    symptom: 'The line is in `dmesg`, and nothing follows.',
    proof:
      'It is an Xid line and went to the kernel log only. No version of NMA has a pattern for Xid lines; it gets Xids from the host engine, field 230.',
    refuted: 'The Xid went into the host engine as well, or the line is one that NMA has a rule for.',
    remedy: 'Inject into the host engine that NMA listens on: fault `xid` with `surfaces: ["dcgm"]`.',
  },
  'observation-gap': {
    symptom: 'The drill is inconclusive although nothing else is wrong.',
    proof:
      'The watch of nodes or events was broken during the wait, and what came and went in that time is lost.',
    refuted: 'The node was watched without a gap since the injection.',
    remedy:
      'Look at what is left: `kubectl -n default get events --field-selector involvedObject.name=NODE`; drill again.',
  },
  'node-replaced': {
    symptom: 'The node looks healthy, and it is another one.',
    proof: 'The uid of the Node is not that of the drill, or it was created after the injection.',
    refuted: 'The uid is the same.',
    remedy: 'See who replaced it in its events, then drill the new node.',
  },
  'reason-replaced': {
    symptom: 'The condition is False with another reason than expected.',
    proof: 'Its message contains the message of the drilled fault, which it did not before.',
    refuted: 'The message does not contain it, or the condition is True.',
    remedy: 'Expect the message instead of the reason, or drill an Xid that leaves nothing in the engine.',
  },
  'event-instead-of-condition': {
    symptom: 'The condition stays True, and an event is there.',
    proof: 'The table of the running NMA version has a Warning for the fault, or the event was seen.',
    refuted: 'This version does set the condition for the fault.',
    remedy: 'Expect an event, or leave the expectation out: the version then decides.',
  },
  'condition-instead-of-event': {
    symptom: 'No event comes, and the condition turned False.',
    proof:
      'The table of the running NMA version has a fatal reason for the fault, or the condition was seen.',
    refuted: 'This version does send an event for the fault.',
    remedy: 'Expect the condition, or leave the expectation out: the version then decides.',
  },
  'event-combined': {
    symptom: 'The event is missing on a node with many Warnings.',
    proof: 'An event with the prefix `(combined from similar events)`, or NMA’s own line that it sent one.',
    refuted: 'No such event was seen on the node.',
    remedy: 'Wait 10 min without Warnings and drill again, or expect a fault that ends in the condition.',
  },
  'late-reaction': {
    symptom: 'The drill failed, and the reaction is there now.',
    proof: 'The expected reaction, with a time after the end of the wait.',
    refuted: 'It is not there after the wait either.',
    remedy: 'Wait longer: `expectation: {"within": …}`.',
  },
  'other-reaction': {
    symptom: 'NMA reacted, and the drill failed all the same.',
    proof:
      'A condition or event of NMA between injection and end of the wait, with another reason, type or message.',
    refuted: 'NMA reported nothing else in that time.',
    remedy: 'Expect what came, or leave the expectation out: the version then decides.',
  },
  'reason-not-given': {
    symptom: 'The expected reason never comes.',
    proof:
      'The table of the running NMA version has other reasons for the fault; proven where no known version has the expected one.',
    refuted: 'This version has the reason for the fault.',
    remedy: 'Take the reason that the explanation names, or leave the expectation out.',
  },
  'earlier-reaction': {
    symptom: 'The expected event is there, and it is too old.',
    proof: 'Its time is before the injection, and it has not come again.',
    refuted: 'No report of the same fault is older than the injection.',
    remedy: 'See who else injects there, wait 10 min and drill again.',
  },
  'credentials-broken': {
    symptom:
      'Pods Running; `AcceleratedHardwareReady` stays True; heartbeats of NMA’s conditions are old; the log may have `executable …chroot failed` or `No such file or directory: …/serviceaccount/token`. Events still come.',
    proof:
      'The ServiceAccount carries `eks.amazonaws.com/role-arn`, or the pod the variables of IRSA or Pod Identity, and the newest heartbeat is older than 5 min 15 s; or the log line, newer than the last heartbeat.',
    refuted: 'Neither ServiceAccount nor pod carries a role, or conditions are being written.',
    remedy:
      'Remove the annotation or the association and restart NMA’s pods. NMA needs no role; the ClusterRole is not the cause: conditions are written with the kubelet’s identity.',
  },
  'nma-not-running': {
    symptom: 'No pod of NMA on the node, or one that is not Running and Ready.',
    proof: 'The pod’s phase; or no pod, no fresh heartbeat, and a DaemonSet that leaves the node out.',
    refuted:
      'The pod is Running and Ready, or NMA shows itself alive by a fresh heartbeat. Open where pods may not be listed.',
    remedy: 'Describe the pod, or compare the DaemonSet’s selector and affinity with the node.',
  },
  'nma-not-installed': {
    symptom: 'No node has NMA’s conditions.',
    proof:
      'Neither its DaemonSet nor a pod of it in any namespace. Only likely: it may run under other labels.',
    refuted: 'There is a DaemonSet, a pod, or a fresh heartbeat.',
    remedy:
      '`aws eks create-addon --cluster-name CLUSTER --addon-name eks-node-monitoring-agent`, without a role.',
  },
  'arm64-gate': {
    symptom: 'An arm64 GPU node whose `AcceleratedHardwareReady` is True whatever happens.',
    proof:
      'The node is arm64 and the version of NMA is one that switches its GPU loops off there; or the log line `NVIDIA-based monitoring is disabled for the arm64 architecture`.',
    refuted:
      'The node is amd64, the node is one of EKS Auto Mode, or the version detects GPU faults on arm64.',
    remedy: 'Update NMA to v1.7.2 or later, or drill an amd64 GPU node.',
  },
  'monitor-disabled': {
    symptom: 'One of NMA’s conditions is missing or no longer written.',
    proof: '`monitors.<name>.enabled: false` in NMA’s ConfigMap, and no fresh condition of it.',
    refuted: 'The configuration does not disable it, or the running NMA writes its condition.',
    remedy: 'Set it to true and restart NMA: it reads its configuration once.',
  },
  'monitor-not-registered': {
    symptom: 'The node has a GPU and no `AcceleratedHardwareReady`, while other conditions are fresh.',
    proof:
      'The log line `no nvidia hardware detected`, or the condition of another monitor in its place; likely by its absence alone.',
    refuted: 'The condition is there and fresh. Open where NMA writes no condition at all.',
    remedy: 'Restart NMA now that the driver is loaded: it looks once, at its start.',
  },
  'nma-not-writing': {
    symptom: 'NMA’s pod runs, and what the conditions say is old.',
    proof:
      'The newest heartbeat of its conditions is older than 5 min 15 s, its slowest renewal, while the kubelet’s is fresh.',
    refuted:
      'A condition was written since. Open where the kubelet’s heartbeat is as old: then the node or its clock is off.',
    remedy: 'Read its log for `managed conditions`, then restart it.',
  },
  'dcgm-server-missing': {
    symptom: 'NMA runs and writes, and no GPU fault is ever seen.',
    proof:
      'No pod with `k8s-app=dcgm-server` is Running and Ready on the node: likely. Proven with the agent’s list of processes, or NMA’s own `DCGMError`.',
    refuted: 'Such a pod runs, or NMA listens on another engine. Open where pods may not be listed.',
    remedy:
      'The explanation names what keeps it off the node: a taint that it does not tolerate, its affinity, `dcgmAgent.enabled=false`.',
  },
  'engine-lost': {
    symptom: '`AcceleratedHardwareReady` is False with `DCGMError`, or what was injected vanished.',
    proof:
      'That condition, and nothing newer against it; or the engine’s pod started after the injection; likely by NMA’s log line alone.',
    refuted: 'NMA is connected to an engine now.',
    remedy: 'Restart the engine, wait until it is Ready, then restart NMA; drill again a minute later.',
  },
  'engine-without-gpus': {
    symptom: 'The host engine answers and has no GPU.',
    proof:
      'The agent’s inventory: NVML lists GPUs, NMA’s engine none, with DCGM’s own answer for each that it cannot read.',
    refuted: 'The engine has GPUs. Open without the agent’s inventory.',
    remedy: 'Give its container the NVIDIA runtime class, or reboot the node where a GPU is lost.',
  },
  'gpu-missing': {
    symptom: 'A fault of one GPU shows nothing, others do.',
    proof:
      'The agent’s inventory: NVML and NMA’s engine do not list the same GPUs, or fewer than the instance type has.',
    refuted: 'Both list the same. Open without the agent’s inventory.',
    remedy:
      'A GPU that the engine lacks comes back when the engine starts again; one that NVML lacks has fallen off the bus: replace the node.',
  },
  'already-false': {
    symptom: 'The condition was False before, and nothing new can be seen.',
    proof:
      'The condition as it stood before: NMA never sets it back, and a further fault does not move its transition.',
    refuted: 'It was True before the injection.',
    remedy: 'Restart the host engine, then NMA; wait 6 min; or drill a node that is True.',
  },
  'nma-just-started': {
    symptom: 'Nothing follows, once.',
    proof: 'NMA’s pod started less than 36 s before the injection, or after it. Only likely.',
    refuted: 'It ran for longer.',
    remedy: 'Wait a minute and drill again.',
  },
  'wait-too-short': {
    symptom: 'The drill failed sooner than a healthy NMA may need.',
    proof: 'The wait against the documented window of the reaction. Only likely.',
    refuted: 'It waited for longer than the worst case.',
    remedy: 'Wait for as long as the explanation says: `expectation: {"within": …}`.',
  },
};
