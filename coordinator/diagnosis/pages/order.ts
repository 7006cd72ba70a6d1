import type { CausePage } from './page.ts';

/** Causes that keep the injection from being carried out, or from going where NMA reads. */
export const orderPages: Readonly<Record<string, CausePage>> = {
  'agent-unknown': {
    symptom: 'The drill ends at once with an error; no agent is named for the node.',
    proof:
      'No ready pod of the agent is on the node and no `--agent NODE=URL` is given, or the agent at the given address is that of another node.',
    refuted: 'An agent of that node answers. Open where pods may not be listed.',
    remedy:
      'Compare `nodeSelector` and tolerations of the agent’s DaemonSet with the node, or give the coordinator `--agent NODE=URL`.',
  },
  'agent-unreachable': {
    symptom: 'The order was sent, or not even that, and no answer came.',
    proof:
      'The connection failed or timed out. Whether anything was injected is not known where the order may have arrived.',
    refuted: 'The agent answered the inventory or the order.',
    remedy:
      'Look at the agent’s pod on that node and at network policies. The same order id may be sent again: it is carried out once.',
  },
  'agent-answer-invalid': {
    symptom: 'The agent answers, and the drill says that the answer cannot be used.',
    proof:
      'The answer does not fit the schema of the agent’s API: another version, or something else at that address.',
    refuted: 'The answer fits.',
    remedy: 'Bring agent and coordinator to the same version; see what listens at the address.',
  },
  'kill-switch': {
    symptom: 'Nothing is injected; drills end as errors.',
    proof: 'The agent refused the order with `kill_switch_engaged`.',
    refuted: 'The agent carried the order out.',
    remedy:
      '`kubectl -n xidrill get configmap xidrill-killswitch -o yaml` shows who engaged it and why; delete it, or set `engaged: "false"`, when the drill may run.',
  },
  'agent-disarmed': {
    symptom: 'The agent answers and refuses every injection.',
    proof: 'The inventory says that the agent is not armed, or the order was refused with `agent_disarmed`.',
    refuted: 'The agent is armed.',
    remedy: '`helm upgrade … --set agent.armed=true`, or start the agent with `--arm`.',
  },
  'node-not-opted-in': {
    symptom: 'The agent of one node refuses, those of others do not.',
    proof: 'The agent runs with `--opt-in-file` and the file is not on its node.',
    refuted: 'The agent carried the order out.',
    remedy: 'The owner of the node makes the file, or another node is chosen.',
  },
  'policy-refused': {
    symptom: 'The agent answers 403 to the coordinator.',
    proof:
      'The order was refused with `policy_refused`, or the inventory shows as much before it: the caller is not the coordinator that the agent was told of, and no rule of its policy allows it.',
    refuted: 'The agent carried the order out, or its inventory shows methods that the coordinator may call.',
    remedy:
      'Give the agent `--coordinator-user` with the coordinator’s user, as the chart does, or a rule in its `--policy-file`.',
  },
  'agent-incapable': {
    symptom: 'The agent refuses because it lacks a program, a right or a device.',
    proof:
      'The refusal or the inventory names what is missing, such as `nsenter`, `dcgmi` or `/dev/kmsg`. It says nothing about NMA.',
    refuted: 'The agent can ask the host engines of its node.',
    remedy: 'Run the agent as its chart does: root, privileged, `hostPID: true`, from its own image.',
  },
  'field-is-another-quantity': {
    symptom: '`dcgmi` says "Successfully injected", and nothing follows.',
    proof:
      'The field’s unit and the rules of DCGM and NMA: nobody reacts to that value of that field. 150 is a temperature in °C, 111 a clock in MHz.',
    refuted: 'Somebody reacts to that value of that field.',
    remedy:
      'An Xid goes into field 230, an uncorrectable ECC error into 319. `dcgmi test --inject --gpuid 0 -f 230 -v 79`.',
  },
  'wrong-engine': {
    symptom:
      '`dcgmi` says "Successfully injected", in the pod of dcgm-exporter or in a debug container, and nothing follows.',
    proof:
      'The engine that took the value has no watcher, and NMA is a client of another engine of the node.',
    refuted: 'NMA listens on the engine that took the value.',
    remedy:
      'Inject into NMA’s engine: the one in the dcgm-server pod of the node. Xidrill takes it by itself where no engine is named.',
  },
  'engine-elsewhere': {
    symptom: 'The node has host engines, and none of them makes NMA react.',
    proof: 'NMA’s `DCGM_ADDRESS` names another host, and NMA is a client of none of the node’s engines.',
    refuted:
      'NMA listens on an engine of the node, whatever the address says. Open where the engines could not be listed.',
    remedy: 'Inject into the engine at that address, or give NMA an engine on the node.',
  },
  'nobody-listens': {
    symptom: 'The injection is refused, or goes into an engine and nothing follows.',
    proof: 'Every engine of the node was asked, and NMA is a client of none.',
    refuted: 'NMA listens on an engine of the node. Open where an engine could not be asked.',
    remedy:
      'Read NMA’s log for `dcgm`; it tries to connect once a minute. Get NMA and dcgm-server running first.',
  },
  'log-file-missing': {
    symptom: 'A fault that is written into a log file shows nothing.',
    proof: 'The file that NMA follows is not on the node.',
    refuted: 'The line was written and read back.',
    remedy: 'Drill a node that has the component whose log it is.',
  },
  'journal-missing': {
    symptom: 'A line for the journal was written, and NMA shows nothing.',
    proof: 'The agent looked for the record in the journal that NMA reads and did not find it.',
    refuted: 'The record was found, with its cursor.',
    remedy: 'Let journald store what is sent to it (`Storage=`, rate limits), then drill again.',
  },
  'journal-unread': {
    symptom: 'A line for the journal was written, and it is not known whether it arrived.',
    proof: 'The journal could not be read by the agent.',
    refuted: 'The record was found, or found missing.',
    remedy: 'Give the agent what it lacks, or look on the node: `journalctl -t kubelet -n 5`.',
  },
  'injection-not-proven': {
    symptom: 'The agent tried, and the drill is inconclusive.',
    proof: 'The order failed after something may have been written, or the read-back did not show it.',
    refuted: 'Written and read back.',
    remedy: 'See the message of the surface in the receipt; drill again with a new order.',
  },
  'injection-refused': {
    symptom: 'The agent refused, and the reason has no cause of its own.',
    proof: 'The refusal, with its reason and message.',
    refuted: 'Written and read back.',
    remedy: 'Correct what the message names; the refusal has a remedy of its own where there is one.',
  },
  'injection-interrupted': {
    symptom: 'A sustained value ended before its time.',
    proof: 'The receipt: its state is `interrupted`, or a refresh failed, or somebody stopped it.',
    refuted: 'What had to last did, with the number of refreshes.',
    remedy:
      'See why the agent started again or what the last refresh failed with; drill again and leave `StopInjection` out.',
  },
};
