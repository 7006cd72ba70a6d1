/**
 * Everything that can be refused or fail, in one closed table.
 *
 * Two levels: the *code* is Connect's (https://connectrpc.com/docs/protocol#error-codes) and decides HTTP status, exit
 * code and whether trying again can help; the *reason* is ours, says exactly what was wrong, and is what scripts and
 * explanations match on.
 */
export type RpcCode = keyof typeof rpcCodes;

/** Exit codes of our commands: 0 pass, 1 fail, 2 usage, 3 inconclusive, 4 error. */
export const rpcCodes = {
  invalid_argument: { http: 400, exit: 2, retry: false },
  unauthenticated: { http: 401, exit: 2, retry: false },
  permission_denied: { http: 403, exit: 2, retry: false },
  not_found: { http: 404, exit: 2, retry: false },
  failed_precondition: { http: 400, exit: 4, retry: false },
  aborted: { http: 409, exit: 4, retry: false },
  resource_exhausted: { http: 429, exit: 4, retry: true },
  unavailable: { http: 503, exit: 4, retry: true },
  deadline_exceeded: { http: 504, exit: 4, retry: true },
  internal: { http: 500, exit: 4, retry: false },
} as const;

type ReasonRow = { readonly code: RpcCode; readonly title: string };

export type Reason = keyof typeof reasons;

/** A row per thing that can be wrong. `title` is the short text of a problem document; the message says the rest. */
export const reasons = {
  // requests
  malformed_request: { code: 'invalid_argument', title: 'The request does not have the documented shape' },
  method_unknown: { code: 'not_found', title: 'No such method or route' },
  body_too_large: { code: 'resource_exhausted', title: 'The request body is larger than the limit' },
  unauthenticated: { code: 'unauthenticated', title: 'No valid token was given' },
  permission_denied: { code: 'permission_denied', title: 'The caller may not do this' },
  tls_unusable: { code: 'failed_precondition', title: 'The certificate or its key cannot be used' },
  internal: { code: 'internal', title: 'An unexpected failure' },
  shutting_down: { code: 'unavailable', title: 'The process is shutting down' },

  // images
  folder_not_empty: { code: 'failed_precondition', title: 'The folder has something in it' },
  package_missing: { code: 'unavailable', title: 'A package with compiled code cannot be had' },

  // kernel log
  text_empty: { code: 'invalid_argument', title: 'The record text is empty' },
  text_has_newline: { code: 'invalid_argument', title: 'The record text contains a line break' },
  text_has_control_bytes: { code: 'invalid_argument', title: 'The record text contains control bytes' },
  text_not_ascii: { code: 'invalid_argument', title: 'The record text is not ASCII' },
  text_too_long: { code: 'invalid_argument', title: 'The record is longer than the kernel accepts' },
  not_a_kernel_log: { code: 'failed_precondition', title: 'The path is not the kernel log device' },
  kernel_log_unavailable: { code: 'unavailable', title: 'The kernel log cannot be opened' },
  read_back_failed: { code: 'unavailable', title: 'The record was written but did not come back' },
  log_file_missing: { code: 'failed_precondition', title: 'This node has no such log file' },
  log_file_unusable: {
    code: 'failed_precondition',
    title: 'The log file is no regular file that can be appended to',
  },

  // Xids and GPUs
  xid_wedges_engine: { code: 'failed_precondition', title: 'This line would blind the host engine' },
  risk_not_accepted: {
    code: 'failed_precondition',
    title: 'The host engine acts on this line; say yes first',
  },
  gpu_address_malformed: {
    code: 'invalid_argument',
    title: 'The PCI address has none of the known spellings',
  },
  gpu_unknown: { code: 'not_found', title: 'No such GPU on this node' },
  nvml_unavailable: { code: 'unavailable', title: 'NVML does not answer on this node' },

  // DCGM
  field_unknown: { code: 'invalid_argument', title: 'No such DCGM field' },
  field_not_injectable: { code: 'invalid_argument', title: 'This DCGM field cannot be injected' },
  field_value_type: { code: 'invalid_argument', title: 'The value does not fit the type of the field' },
  field_value_range: { code: 'invalid_argument', title: 'No hardware has this value of the field' },
  field_value_no_effect: { code: 'failed_precondition', title: 'Nobody reacts to this value of this field' },
  offset_too_large: { code: 'invalid_argument', title: 'The offset would mute real alerts for too long' },
  engine_not_found: { code: 'not_found', title: 'No such host engine on this node' },
  engine_ambiguous: { code: 'failed_precondition', title: 'Several host engines fit; name one' },
  engine_unreachable: { code: 'unavailable', title: 'The host engine does not answer' },
  nobody_listens: { code: 'failed_precondition', title: 'Nobody listens on that host engine' },
  dcgmi_not_found: { code: 'failed_precondition', title: 'No dcgmi for that host engine' },
  dcgmi_failed: { code: 'unavailable', title: 'dcgmi reported an error' },
  dcgmi_timeout: { code: 'deadline_exceeded', title: 'dcgmi did not end in time' },
  gpu_not_in_engine: { code: 'failed_precondition', title: 'The host engine does not know this GPU' },
  alert_slot_busy: { code: 'resource_exhausted', title: 'The host engine would drop this alert' },
  alert_gap_too_short: {
    code: 'invalid_argument',
    title: 'The host engine would drop alerts that come so soon',
  },
  process_not_paused: { code: 'unavailable', title: 'The process did not stop' },
  injection_not_visible: { code: 'unavailable', title: 'The value was accepted but did not come back' },

  // orders
  disarmed: { code: 'failed_precondition', title: 'The agent is disarmed' },
  order_id_reused: { code: 'aborted', title: 'The order id was used for another order' },
  order_unknown: { code: 'not_found', title: 'No such order' },
  order_interrupted: { code: 'internal', title: 'The agent stopped in the middle of this order' },
  order_stopped: { code: 'aborted', title: 'The order was stopped before this was done' },
  too_many_running: { code: 'resource_exhausted', title: 'This agent keeps no more orders running' },
  journal_unwritable: { code: 'unavailable', title: 'The journal cannot be written' },
  nothing_to_stop: {
    code: 'failed_precondition',
    title: 'This injection has ended and leaves nothing to stop',
  },

  // cluster and experiments
  cluster_unreachable: { code: 'unavailable', title: 'The Kubernetes API does not answer' },
  cluster_refused: { code: 'permission_denied', title: 'The Kubernetes API refused the call' },
  object_invalid: { code: 'invalid_argument', title: 'The Kubernetes API rejected the object' },
  object_conflict: { code: 'aborted', title: 'The object was changed by somebody else' },
  object_exists: { code: 'aborted', title: 'An object of that name exists' },
  object_missing: { code: 'not_found', title: 'No such object' },
  resource_expired: { code: 'aborted', title: 'The resource version is too old' },
  crds_missing: { code: 'failed_precondition', title: 'Our custom resource definitions are not installed' },
  fault_missing: { code: 'not_found', title: 'The catalogue has no such fault' },
  fault_unknown: { code: 'invalid_argument', title: 'No such fault in the catalogue' },
  parameter_invalid: { code: 'invalid_argument', title: 'A fault parameter is not usable' },
  target_invalid: { code: 'invalid_argument', title: 'The target cannot be selected as asked' },
  expectation_invalid: { code: 'invalid_argument', title: 'The expectation cannot be judged' },
  deadline_invalid: { code: 'invalid_argument', title: 'The deadline is not usable' },
  no_target: { code: 'failed_precondition', title: 'No node may be drilled' },
  node_unknown: { code: 'not_found', title: 'No such node' },
  experiment_unknown: { code: 'not_found', title: 'No such experiment' },
  experiment_ended: { code: 'failed_precondition', title: 'The experiment has ended' },
  idempotency_key_reused: { code: 'aborted', title: 'The key was used for another experiment' },
  agent_unknown: { code: 'not_found', title: 'No agent is known for that node' },
  wrong_node: { code: 'failed_precondition', title: 'This is the agent of another node' },
  agent_unreachable: { code: 'unavailable', title: 'The agent does not answer' },
} as const satisfies Record<string, ReasonRow>;

/** Facts beside the message: which field, what it was, what would have been right, what to do. Plain JSON. */
export type RefusalDetails = {
  readonly field?: string;
  readonly value?: unknown;
  readonly allowed?: unknown;
  readonly remedy?: string;
  readonly [fact: string]: unknown;
};

/** The one error type of the product. Anything else that is thrown is a defect and answers as `internal`. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: Reason;
  readonly details: RefusalDetails;

  constructor(reason: Reason, message: string, details: RefusalDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.details = details;
  }

  get code(): RpcCode {
    return reasons[this.reason].code;
  }
}

export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}

/** What an unknown thrown value becomes; the cause is kept for the log and never shown to a caller. */
export function refusalFromUnknown(thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  return new Refusal(
    'internal',
    'an unexpected failure; the log of this process has the details',
    {},
    thrown,
  );
}

export function messageFromUnknown(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
