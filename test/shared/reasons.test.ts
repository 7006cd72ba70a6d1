import t from 'tap';
import { causeOf, type Reason, type ReasonVerdict, reasons, rowOf, statusOf } from '../../shared/errors.ts';

type Row = readonly [
  status: number,
  again: 'may pass' | 'stays',
  injected: 'no' | 'if-begun' | 'perhaps',
  verdict: ReasonVerdict,
  cause: string,
];

/**
 * What each reason means, written from the reference pages and not from the table: HTTP status (design §4 and field case
 * N9), whether it passes by itself, whether anything was written (dcgm.md on what dcgmi had done before it failed; kmsg.md
 * on a record that does not come back), what a drill says, and which cause explains it.
 */
const rows: Readonly<Record<Reason, Row>> = {
  malformed_request: [400, 'stays', 'no', 'error', 'malformed-request'],
  port_taken: [400, 'stays', 'no', 'error', 'port-taken'],
  method_unknown: [404, 'stays', 'no', 'error', 'method-unknown'],
  method_not_allowed: [405, 'stays', 'no', 'error', 'method-not-allowed'],
  media_type_unsupported: [415, 'stays', 'no', 'error', 'media-type-unsupported'],
  not_acceptable: [406, 'stays', 'no', 'error', 'not-acceptable'],
  headers_too_large: [431, 'stays', 'no', 'error', 'headers-too-large'],
  request_timeout: [408, 'may pass', 'no', 'error', 'request-timeout'],
  body_too_large: [413, 'stays', 'no', 'error', 'body-too-large'],
  unauthenticated: [401, 'stays', 'no', 'error', 'unauthenticated'],
  permission_denied: [403, 'stays', 'no', 'error', 'permission-denied'],
  host_unknown: [403, 'stays', 'no', 'error', 'host-unknown'],
  origin_refused: [403, 'stays', 'no', 'error', 'origin-refused'],
  too_many_reviews: [429, 'may pass', 'no', 'error', 'too-many-reviews'],
  tls_unusable: [400, 'stays', 'no', 'error', 'tls-unusable'],
  internal: [500, 'stays', 'perhaps', 'error', 'internal'],
  shutting_down: [503, 'may pass', 'no', 'error', 'shutting-down'],
  folder_not_empty: [400, 'stays', 'no', 'error', 'folder-not-empty'],
  package_missing: [503, 'stays', 'no', 'error', 'package-missing'],
  text_empty: [400, 'stays', 'no', 'error', 'text-empty'],
  text_has_newline: [400, 'stays', 'no', 'error', 'text-has-newline'],
  text_has_control_bytes: [400, 'stays', 'no', 'error', 'text-has-control-bytes'],
  text_not_ascii: [400, 'stays', 'no', 'error', 'text-not-ascii'],
  text_too_long: [400, 'stays', 'no', 'error', 'text-too-long'],
  not_a_kernel_log: [400, 'stays', 'no', 'error', 'agent-incapable'],
  kernel_log_unavailable: [503, 'stays', 'no', 'error', 'agent-incapable'],
  read_back_failed: [503, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  // The read-back of the kernel log proves it, that of the journal does not.
  journal_record_missing: [503, 'stays', 'if-begun', 'fail', 'journal-missing'],
  log_file_missing: [400, 'stays', 'no', 'fail', 'log-file-missing'],
  log_file_unusable: [400, 'stays', 'no', 'error', 'log-file-unusable'],
  xid_wedges_engine: [400, 'stays', 'no', 'error', 'xid-wedges-engine'],
  risk_not_accepted: [400, 'stays', 'no', 'error', 'risk-not-accepted'],
  gpu_address_malformed: [400, 'stays', 'no', 'error', 'gpu-address-malformed'],
  gpu_unknown: [404, 'stays', 'no', 'error', 'gpu-unknown'],
  nvml_unavailable: [503, 'stays', 'no', 'error', 'nvml-unavailable'],
  field_unknown: [400, 'stays', 'no', 'error', 'field-unknown'],
  field_not_injectable: [400, 'stays', 'no', 'error', 'field-not-injectable'],
  field_value_type: [400, 'stays', 'no', 'error', 'field-value-type'],
  field_value_range: [400, 'stays', 'no', 'error', 'field-value-range'],
  field_value_no_effect: [400, 'stays', 'no', 'error', 'field-is-another-quantity'],
  offset_too_large: [400, 'stays', 'no', 'error', 'offset-too-large'],
  engine_not_found: [404, 'stays', 'no', 'fail', 'dcgm-server-missing'],
  engine_untrusted: [400, 'stays', 'no', 'error', 'engine-untrusted'],
  engine_ambiguous: [400, 'stays', 'no', 'error', 'engine-ambiguous'],
  engine_unreachable: [503, 'stays', 'if-begun', 'fail', 'engine-lost'],
  nobody_listens: [400, 'stays', 'no', 'fail', 'nobody-listens'],
  dcgmi_untrusted: [400, 'stays', 'no', 'error', 'agent-incapable'],
  // R8: what the agent lacks is no finding about the node.
  dcgmi_not_found: [400, 'stays', 'no', 'error', 'agent-incapable'],
  agent_incapable: [400, 'stays', 'no', 'error', 'agent-incapable'],
  host_program_failed: [503, 'stays', 'no', 'error', 'agent-incapable'],
  dcgmi_failed: [503, 'stays', 'if-begun', 'error', 'dcgmi-failed'],
  dcgmi_busy: [429, 'may pass', 'no', 'error', 'dcgmi-busy'],
  too_many_streams: [429, 'may pass', 'no', 'error', 'too-many-streams'],
  dcgmi_timeout: [504, 'stays', 'if-begun', 'error', 'dcgmi-timeout'],
  gpu_not_in_engine: [400, 'stays', 'no', 'fail', 'gpu-not-in-engine'],
  alert_slot_busy: [429, 'may pass', 'no', 'error', 'alert-slot-busy'],
  alert_gap_too_short: [400, 'stays', 'no', 'error', 'alert-gap-too-short'],
  process_not_paused: [503, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  injection_not_visible: [503, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  kill_switch_engaged: [423, 'stays', 'no', 'error', 'kill-switch'],
  kill_switch_outdated: [409, 'may pass', 'no', 'error', 'kill-switch-outdated'],
  disarmed: [400, 'stays', 'no', 'error', 'agent-disarmed'],
  node_not_opted_in: [400, 'stays', 'no', 'error', 'node-not-opted-in'],
  policy_refused: [403, 'stays', 'no', 'error', 'policy-refused'],
  order_id_reused: [409, 'stays', 'no', 'error', 'order-id-reused'],
  order_unknown: [404, 'stays', 'no', 'error', 'order-unknown'],
  order_interrupted: [500, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  order_stopped: [409, 'stays', 'perhaps', 'inconclusive', 'injection-interrupted'],
  too_many_running: [429, 'may pass', 'no', 'error', 'too-many-running'],
  order_forgotten: [409, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  receipt_damaged: [409, 'stays', 'perhaps', 'inconclusive', 'injection-not-proven'],
  state_dir_busy: [400, 'stays', 'no', 'error', 'state-dir-busy'],
  journal_unwritable: [503, 'stays', 'no', 'error', 'journal-unwritable'],
  nothing_to_stop: [400, 'stays', 'no', 'error', 'nothing-to-stop'],
  cluster_unreachable: [503, 'may pass', 'no', 'error', 'cluster-unreachable'],
  cluster_refused: [403, 'may pass', 'no', 'error', 'cluster-refused'],
  object_invalid: [400, 'stays', 'no', 'error', 'object-invalid'],
  object_conflict: [409, 'may pass', 'no', 'error', 'object-conflict'],
  object_exists: [409, 'stays', 'no', 'error', 'object-exists'],
  object_missing: [404, 'stays', 'no', 'error', 'object-missing'],
  resource_expired: [409, 'may pass', 'no', 'error', 'resource-expired'],
  crds_missing: [400, 'stays', 'no', 'error', 'crds-missing'],
  fault_missing: [404, 'stays', 'no', 'error', 'fault-missing'],
  fault_unknown: [400, 'stays', 'no', 'error', 'fault-unknown'],
  parameter_invalid: [400, 'stays', 'no', 'error', 'parameter-invalid'],
  target_invalid: [400, 'stays', 'no', 'error', 'target-invalid'],
  expectation_invalid: [400, 'stays', 'no', 'error', 'expectation-invalid'],
  repair_blocked: [400, 'stays', 'no', 'error', 'repair-blocked'],
  repair_too_soon: [400, 'stays', 'no', 'error', 'repair-too-soon'],
  restore_disabled: [400, 'stays', 'no', 'error', 'restore-disabled'],
  deadline_invalid: [400, 'stays', 'no', 'error', 'deadline-invalid'],
  no_target: [400, 'stays', 'no', 'error', 'no-target'],
  node_busy: [409, 'stays', 'no', 'error', 'node-busy'],
  node_missing: [404, 'stays', 'no', 'error', 'node-missing'],
  node_unknown: [400, 'stays', 'no', 'error', 'node-unknown'],
  experiment_unknown: [404, 'stays', 'no', 'error', 'experiment-unknown'],
  experiment_running: [409, 'stays', 'no', 'error', 'experiment-running'],
  experiment_ended: [409, 'stays', 'no', 'error', 'experiment-ended'],
  experiment_not_passed: [409, 'stays', 'no', 'error', 'experiment-not-passed'],
  idempotency_key_reused: [409, 'stays', 'no', 'error', 'idempotency-key-reused'],
  agent_unknown: [404, 'stays', 'no', 'error', 'agent-unknown'],
  wrong_node: [400, 'stays', 'no', 'error', 'agent-unknown'],
  agent_unreachable: [503, 'may pass', 'perhaps', 'inconclusive', 'agent-unreachable'],
  agent_answer_invalid: [503, 'stays', 'perhaps', 'inconclusive', 'agent-answer-invalid'],
};

t.test('every reason has its columns, as the reference pages have them', (t) => {
  for (const reason of Object.keys(reasons) as Reason[]) {
    const { mayPass, injected, verdict } = rowOf(reason);
    const row: Row = [statusOf(reason), mayPass ? 'may pass' : 'stays', injected, verdict, causeOf(reason)];
    t.strictSame(row, rows[reason], reason);
  }
  t.strictSame(Object.keys(rows).toSorted(), Object.keys(reasons).toSorted(), 'and no other');
  t.end();
});

t.test('a reason of a newer agent explains itself', (t) => {
  t.equal(causeOf('a_new_reason'), 'a-new-reason');
  t.end();
});
