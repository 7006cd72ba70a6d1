import t from 'tap';
import { explain } from '../../../coordinator/diagnosis/explain.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import type { Facts } from '../../../coordinator/view/facts.ts';
import { type Reason, reasons } from '../../../shared/errors.ts';
import { dcgmResult, facts, inventory, planned, receipt } from './builder.ts';

/**
 * What each reason that an agent can give is explained as: where nothing was begun, and where a surface was tried;
 * `never` where it cannot come to that.
 */
const rows: readonly (readonly [reason: Reason, refused: string, tried: string])[] = [
  ['malformed_request', 'injection-refused', 'never'],
  ['method_unknown', 'injection-refused', 'never'],
  ['method_not_allowed', 'injection-refused', 'never'],
  ['media_type_unsupported', 'injection-refused', 'never'],
  ['headers_too_large', 'injection-refused', 'never'],
  ['request_timeout', 'injection-refused', 'never'],
  ['body_too_large', 'injection-refused', 'never'],
  ['unauthenticated', 'injection-refused', 'never'],
  ['permission_denied', 'injection-refused', 'never'],
  ['internal', 'injection-not-proven', 'injection-not-proven'],
  ['shutting_down', 'injection-refused', 'never'],
  ['text_empty', 'injection-refused', 'injection-refused'],
  ['text_has_newline', 'injection-refused', 'injection-refused'],
  ['text_has_control_bytes', 'injection-refused', 'injection-refused'],
  ['text_not_ascii', 'injection-refused', 'injection-refused'],
  ['text_too_long', 'injection-refused', 'injection-refused'],
  ['not_a_kernel_log', 'agent-incapable', 'agent-incapable'],
  ['kernel_log_unavailable', 'agent-incapable', 'agent-incapable'],
  ['read_back_failed', 'injection-not-proven', 'injection-not-proven'],
  ['xid_wedges_engine', 'injection-refused', 'never'],
  ['risk_not_accepted', 'injection-refused', 'never'],
  ['gpu_address_malformed', 'injection-refused', 'never'],
  ['gpu_unknown', 'injection-refused', 'never'],
  ['nvml_unavailable', 'injection-refused', 'never'],
  ['field_unknown', 'injection-refused', 'never'],
  ['field_not_injectable', 'injection-refused', 'injection-refused'],
  ['field_value_type', 'injection-refused', 'injection-refused'],
  ['field_value_range', 'injection-refused', 'injection-refused'],
  ['field_value_no_effect', 'field-is-another-quantity', 'field-is-another-quantity'],
  ['offset_too_large', 'injection-refused', 'injection-refused'],
  // With an engine in its place: the one that was asked for is not there.
  ['engine_not_found', 'injection-refused', 'never'],
  ['engine_untrusted', 'injection-refused', 'never'],
  ['engine_ambiguous', 'injection-refused', 'never'],
  ['engine_unreachable', 'engine-lost', 'engine-lost'],
  // With NMA on an engine of the node: another one was asked for.
  ['nobody_listens', 'wrong-engine', 'wrong-engine'],
  ['dcgmi_untrusted', 'agent-incapable', 'agent-incapable'],
  ['dcgmi_not_found', 'agent-incapable', 'agent-incapable'],
  ['agent_incapable', 'agent-incapable', 'agent-incapable'],
  ['host_program_failed', 'agent-incapable', 'agent-incapable'],
  ['dcgmi_failed', 'injection-refused', 'injection-not-proven'],
  ['dcgmi_timeout', 'injection-refused', 'injection-not-proven'],
  ['gpu_not_in_engine', 'injection-refused', 'injection-refused'],
  ['alert_gap_too_short', 'injection-refused', 'never'],
  // Where the receipt has a read-back of the journal it is explained (rows.ts); without one it is only not proven.
  ['journal_record_missing', 'injection-refused', 'injection-not-proven'],
  ['log_file_missing', 'log-file-missing', 'log-file-missing'],
  ['log_file_unusable', 'injection-refused', 'injection-refused'],
  // The signal was sent.
  ['process_not_paused', 'injection-not-proven', 'injection-not-proven'],
  ['alert_slot_busy', 'injection-refused', 'injection-refused'],
  ['injection_not_visible', 'injection-not-proven', 'injection-not-proven'],
  ['disarmed', 'agent-disarmed', 'never'],
  ['kill_switch_engaged', 'kill-switch', 'never'],
  ['node_not_opted_in', 'node-not-opted-in', 'never'],
  ['policy_refused', 'policy-refused', 'never'],
  ['order_id_reused', 'injection-refused', 'never'],
  ['order_unknown', 'injection-refused', 'never'],
  ['order_interrupted', 'injection-not-proven', 'never'],
  ['order_stopped', 'injection-interrupted', 'injection-interrupted'],
  ['dcgmi_busy', 'injection-refused', 'never'],
  ['too_many_streams', 'injection-refused', 'never'],
  ['too_many_running', 'injection-refused', 'never'],
  // It was carried out, or may have been; nothing shows with which effect.
  ['order_forgotten', 'injection-not-proven', 'never'],
  ['receipt_damaged', 'injection-not-proven', 'never'],
  ['journal_unwritable', 'injection-refused', 'never'],
  ['nothing_to_stop', 'injection-refused', 'never'],
  // Of the way to the agent.
  ['agent_unknown', 'agent-unknown', 'never'],
  ['wrong_node', 'agent-unknown', 'never'],
  ['agent_unreachable', 'agent-unreachable', 'never'],
  ['agent_answer_invalid', 'agent-answer-invalid', 'never'],
];

/** Reasons of the coordinator itself, of a start that fails, and of the tools that make images: an order never ends with them. */
const coordinatorSide: readonly Reason[] = [
  'not_acceptable',
  'tls_unusable',
  'state_dir_busy',
  'too_many_reviews',
  'kill_switch_outdated',
  'port_taken',
  'folder_not_empty',
  'package_missing',
  'cluster_unreachable',
  'cluster_refused',
  'object_invalid',
  'object_conflict',
  'object_exists',
  'object_missing',
  'resource_expired',
  'crds_missing',
  'fault_missing',
  'fault_unknown',
  'parameter_invalid',
  'target_invalid',
  'expectation_invalid',
  'deadline_invalid',
  'no_target',
  'repair_blocked',
  'repair_too_soon',
  'restore_disabled',
  'node_busy',
  'node_missing',
  'node_unknown',
  'experiment_unknown',
  'experiment_running',
  'experiment_ended',
  'experiment_not_passed',
  'idempotency_key_reused',
  'host_unknown',
  'origin_refused',
];

/** An order that was refused as a whole, without a receipt. */
function refused(reason: string): Facts {
  return facts({ drill: planned({ refusal: { reason, message: 'it was so', details: {} } }) });
}

/** The same with the receipt that the agent puts into the details of it. */
function withReceipt(reason: string, outcome: 'refused' | 'failed'): Facts {
  const surface = dcgmResult({ outcome, code: reason, message: 'it was so' });
  const { written: _written, readBack: _readBack, ...bare } = surface;
  const drill = planned({
    refusal: { reason, message: 'it was so', details: {} },
    receipt: receipt([bare]),
  });
  return facts({ drill });
}

t.test('every reason has its place', async (t) => {
  const known = [...rows.map(([reason]) => reason), ...coordinatorSide];
  t.strictSame(known.toSorted(), Object.keys(reasons).toSorted());
});

t.test('what a reason is explained as', async (t) => {
  const codes = rules.map(({ code }) => code);
  for (const [reason, whenRefused, whenTried] of rows) {
    const whole = explain(refused(reason));
    t.equal(whole.code, whenRefused, reason);
    t.ok(codes.includes(whole.code), `${reason}: a code of the table`);
    if (whole.code === 'injection-refused') t.match(whole.summary, /and nothing was written/, reason);

    if (reason !== 'internal') {
      const notBegun = whenRefused === 'injection-not-proven' ? 'injection-refused' : whenRefused;
      t.equal(
        explain(withReceipt(reason, 'refused')).code,
        notBegun,
        `${reason} on a surface, before it was begun`,
      );
    }
    if (whenTried === 'never') continue;
    const tried = explain(withReceipt(reason, 'failed'));
    t.equal(tried.code, whenTried, `${reason} when it was tried`);
    if (whenTried === 'injection-not-proven') {
      t.notOk(
        tried.alsoFound.some(({ code }) => code === 'injection-refused'),
        `${reason}: not said to be unwritten as well`,
      );
    }
    if (whenTried === 'injection-refused')
      t.match(tried.summary, /failed before anything was written/, reason);
  }
});

t.test('no engine on the node: the missing server is the cause', async (t) => {
  const { drill } = refused('engine_not_found');
  const explanation = explain(
    facts({
      nma: { dcgmServer: { daemonSet: true, pod: undefined } },
      agent: { inventory: inventory({ engines: [] }) },
      ...(drill === undefined ? {} : { drill }),
    }),
  );
  t.equal(explanation.code, 'dcgm-server-missing');
  t.notOk(explanation.alsoFound.some(({ code }) => code === 'injection-refused'));
});

t.test('a reason of a newer agent: tried is not proven, refused is refused', async (t) => {
  t.equal(explain(withReceipt('a_new_reason', 'failed')).code, 'injection-not-proven');
  t.equal(explain(withReceipt('a_new_reason', 'refused')).code, 'injection-refused');
});
