/**
 * Everything that can be refused or fail, in one closed table: what a reason means is asked here and nowhere else.
 *
 * Two levels: the *code* is Connect's (https://connectrpc.com/docs/protocol#error-codes) and decides HTTP status and exit
 * code; the *reason* is ours, says exactly what was wrong, and is what scripts and explanations match on.
 */
export type RpcCode = keyof typeof rpcCodes;

/** By code: the HTTP status, and the exit code of our commands (2 usage, 4 error; 0, 1 and 3 are verdicts). */
export const rpcCodes = {
  invalid_argument: { http: 400, exit: 2 },
  unauthenticated: { http: 401, exit: 2 },
  permission_denied: { http: 403, exit: 2 },
  not_found: { http: 404, exit: 2 },
  failed_precondition: { http: 400, exit: 4 },
  aborted: { http: 409, exit: 4 },
  resource_exhausted: { http: 429, exit: 4 },
  unavailable: { http: 503, exit: 4 },
  deadline_exceeded: { http: 504, exit: 4 },
  internal: { http: 500, exit: 4 },
} as const;

/** What a drill says that a reason ended; a reason never ends one as passed. */
export type ReasonVerdict = 'fail' | 'inconclusive' | 'error';

/** What one reason means. */
export type ReasonRow = {
  readonly code: RpcCode;
  /** The short text of a problem document, without a full stop; the message says the rest. */
  readonly title: string;
  /** HTTP status of both programs, where it is not that of the code. */
  readonly status?: number;
  /** The same request may succeed later without anybody changing anything. */
  readonly mayPass: boolean;
  /**
   * Whether an order that ends with this reason may have injected something. `if-begun`: where the receipt says that the
   * surface was tried (`failed`), not where it was refused before. No reason says yes: only a read-back proves that.
   */
  readonly injected: 'no' | 'if-begun' | 'perhaps';
  /** `fail`: a finding about the node, the fault would have reached nobody. `error`: the drill could not be run. */
  readonly verdict: ReasonVerdict;
  /** Code of the diagnosis rule that explains it (coordinator/diagnosis/rules); absent: the reason's own name. */
  readonly cause?: string;
};

/** A reason of the table below: stable, scripts match on it. */
export type Reason = keyof typeof reasons;

/** The request or the order is not usable as it is, or something has to be changed first. */
const unfit = { mayPass: false, injected: 'no', verdict: 'error' } as const;

/** It is taken as it is once somebody else has finished, or answers again. */
const passing = { mayPass: true, injected: 'no', verdict: 'error' } as const;

/** A link between injection and NMA is missing on this node. */
const brokenPath = { mayPass: false, injected: 'no', verdict: 'fail' } as const;

/** It was tried, and nothing shows whether the fault was there: silence proves nothing. */
const notProven = { mayPass: false, injected: 'perhaps', verdict: 'inconclusive' } as const;

/** A row per thing that can be wrong. */
export const reasons = {
  // requests
  malformed_request: {
    code: 'invalid_argument',
    title: 'The request does not have the documented shape',
    ...unfit,
  },
  port_taken: { code: 'failed_precondition', title: 'Another program is listening there', ...unfit },
  method_unknown: { code: 'not_found', title: 'No such method or route', ...unfit },
  method_not_allowed: {
    code: 'invalid_argument',
    title: 'The path does not take this HTTP method',
    status: 405,
    ...unfit,
  },
  media_type_unsupported: {
    code: 'invalid_argument',
    title: 'The content type of the body is not accepted',
    status: 415,
    ...unfit,
  },
  not_acceptable: {
    code: 'invalid_argument',
    title: 'The answer has none of the media types that are accepted',
    status: 406,
    ...unfit,
  },
  headers_too_large: {
    code: 'resource_exhausted',
    title: 'The request headers are larger than the limit',
    status: 431,
    ...unfit,
  },
  request_timeout: {
    code: 'deadline_exceeded',
    title: 'The request did not arrive in time',
    status: 408,
    ...passing,
  },
  body_too_large: {
    code: 'resource_exhausted',
    title: 'The request body is larger than the limit',
    status: 413,
    ...unfit,
  },
  unauthenticated: { code: 'unauthenticated', title: 'No valid token was given', ...unfit },
  permission_denied: { code: 'permission_denied', title: 'The caller may not do this', ...unfit },
  host_unknown: { code: 'permission_denied', title: 'The server has no such name', ...unfit },
  origin_refused: {
    code: 'permission_denied',
    title: 'Web pages of other origins are refused',
    ...unfit,
  },
  too_many_reviews: {
    code: 'resource_exhausted',
    title: 'Too many calls have to be checked with the API server',
    ...passing,
  },
  tls_unusable: { code: 'failed_precondition', title: 'The certificate or its key cannot be used', ...unfit },
  internal: { code: 'internal', title: 'An unexpected failure', ...unfit, injected: 'perhaps' },
  shutting_down: { code: 'unavailable', title: 'The process is shutting down', ...passing },

  // images
  folder_not_empty: { code: 'failed_precondition', title: 'The folder has something in it', ...unfit },
  package_missing: { code: 'unavailable', title: 'A package with compiled code cannot be had', ...unfit },

  // kernel log
  text_empty: { code: 'invalid_argument', title: 'The record text is empty', ...unfit },
  text_has_newline: { code: 'invalid_argument', title: 'The record text contains a line break', ...unfit },
  text_has_control_bytes: {
    code: 'invalid_argument',
    title: 'The record text contains control bytes',
    ...unfit,
  },
  text_not_ascii: { code: 'invalid_argument', title: 'The record text is not ASCII', ...unfit },
  text_too_long: {
    code: 'invalid_argument',
    title: 'The record is longer than the kernel accepts',
    ...unfit,
  },
  not_a_kernel_log: {
    code: 'failed_precondition',
    title: 'The path is not the kernel log device',
    ...unfit,
    cause: 'agent-incapable',
  },
  kernel_log_unavailable: {
    code: 'unavailable',
    title: 'The kernel log cannot be opened',
    ...unfit,
    cause: 'agent-incapable',
  },
  read_back_failed: {
    code: 'unavailable',
    title: 'The record was written but did not come back',
    ...notProven,
    cause: 'injection-not-proven',
  },
  journal_record_missing: {
    code: 'unavailable',
    title: 'The record is in the kernel log and not in the journal',
    ...brokenPath,
    injected: 'if-begun',
    cause: 'journal-missing',
  },
  log_file_missing: {
    code: 'failed_precondition',
    title: 'This node has no such log file',
    ...brokenPath,
    cause: 'log-file-missing',
  },
  log_file_unusable: {
    code: 'failed_precondition',
    title: 'The log file is no regular file that can be appended to',
    ...unfit,
  },

  // Xids and GPUs
  xid_wedges_engine: {
    code: 'failed_precondition',
    title: 'This line would blind the host engine',
    ...unfit,
  },
  risk_not_accepted: {
    code: 'failed_precondition',
    title: 'The host engine acts on this line: it requires acceptRisk',
    ...unfit,
  },
  gpu_address_malformed: {
    code: 'invalid_argument',
    title: 'The PCI address has none of the known spellings',
    ...unfit,
  },
  gpu_unknown: { code: 'not_found', title: 'No such GPU on this node', ...unfit },
  nvml_unavailable: { code: 'unavailable', title: 'NVML does not answer on this node', ...unfit },

  // DCGM
  field_unknown: { code: 'invalid_argument', title: 'No such DCGM field', ...unfit },
  field_not_injectable: { code: 'invalid_argument', title: 'This DCGM field cannot be injected', ...unfit },
  field_value_type: {
    code: 'invalid_argument',
    title: 'The value does not fit the type of the field',
    ...unfit,
  },
  field_value_range: { code: 'invalid_argument', title: 'No hardware has this value of the field', ...unfit },
  field_value_no_effect: {
    code: 'failed_precondition',
    title: 'Nothing reacts to this value of this field',
    ...unfit,
    cause: 'field-is-another-quantity',
  },
  offset_too_large: {
    code: 'invalid_argument',
    title: 'The offset would mute real alerts for too long',
    ...unfit,
  },
  engine_not_found: {
    code: 'not_found',
    title: 'No such host engine on this node',
    ...brokenPath,
    cause: 'dcgm-server-missing',
  },
  engine_untrusted: {
    code: 'failed_precondition',
    title: 'This process does not count as a host engine of the monitoring agent',
    ...unfit,
  },
  engine_ambiguous: { code: 'failed_precondition', title: 'Several host engines fit; name one', ...unfit },
  engine_unreachable: {
    code: 'unavailable',
    title: 'The host engine does not answer',
    ...brokenPath,
    injected: 'if-begun',
    cause: 'engine-lost',
  },
  nobody_listens: {
    code: 'failed_precondition',
    title: 'No listener on that host engine',
    ...brokenPath,
    cause: 'nobody-listens',
  },
  dcgmi_not_found: {
    code: 'failed_precondition',
    title: 'No dcgmi for that host engine',
    ...unfit,
    cause: 'agent-incapable',
  },
  dcgmi_untrusted: {
    code: 'failed_precondition',
    title: 'Others than root can change the dcgmi for that host engine',
    ...unfit,
    cause: 'agent-incapable',
  },
  dcgmi_failed: { code: 'unavailable', title: 'dcgmi reported an error', ...unfit, injected: 'if-begun' },
  dcgmi_busy: { code: 'resource_exhausted', title: 'Too many requests wait for dcgmi', ...passing },
  too_many_streams: {
    code: 'resource_exhausted',
    title: 'No more streams are opened',
    ...passing,
  },
  dcgmi_timeout: {
    code: 'deadline_exceeded',
    title: 'dcgmi did not end in time',
    ...unfit,
    injected: 'if-begun',
  },
  gpu_not_in_engine: {
    code: 'failed_precondition',
    title: 'The host engine does not know this GPU',
    ...brokenPath,
  },
  alert_slot_busy: { code: 'resource_exhausted', title: 'The host engine would drop this alert', ...passing },
  alert_gap_too_short: {
    code: 'invalid_argument',
    title: 'The host engine would drop alerts that come so soon',
    ...unfit,
  },
  process_not_paused: {
    code: 'unavailable',
    title: 'The process did not stop',
    ...notProven,
    cause: 'injection-not-proven',
  },
  injection_not_visible: {
    code: 'unavailable',
    title: 'The value was accepted but did not come back',
    ...notProven,
    cause: 'injection-not-proven',
  },

  // the agent itself
  agent_incapable: {
    code: 'failed_precondition',
    title: 'The agent lacks what this takes on its node',
    ...unfit,
    cause: 'agent-incapable',
  },
  host_program_failed: {
    code: 'unavailable',
    title: 'A program of the host could not be run',
    ...unfit,
    cause: 'agent-incapable',
  },

  // orders
  kill_switch_engaged: {
    code: 'failed_precondition',
    title: 'The kill switch is engaged',
    status: 423,
    ...unfit,
    cause: 'kill-switch',
  },
  kill_switch_outdated: {
    code: 'aborted',
    title: 'The agent knows a newer state of the kill switch',
    ...passing,
  },
  disarmed: {
    code: 'failed_precondition',
    title: 'The agent is disarmed',
    ...unfit,
    cause: 'agent-disarmed',
  },
  node_not_opted_in: {
    code: 'failed_precondition',
    title: 'The owner of the node has not opted in',
    ...unfit,
    cause: 'node-not-opted-in',
  },
  policy_refused: {
    code: 'permission_denied',
    title: 'The agent’s policy does not allow this to direct callers',
    ...unfit,
    cause: 'policy-refused',
  },
  order_id_reused: { code: 'aborted', title: 'The order id was used for another order', ...unfit },
  order_unknown: { code: 'not_found', title: 'No such order', ...unfit },
  order_interrupted: {
    code: 'internal',
    title: 'The agent stopped in the middle of this order',
    ...notProven,
    cause: 'injection-not-proven',
  },
  order_stopped: {
    code: 'aborted',
    title: 'The order was stopped before this was done',
    ...notProven,
    cause: 'injection-interrupted',
  },
  too_many_running: {
    code: 'resource_exhausted',
    title: 'This agent runs no more orders',
    ...passing,
  },
  order_forgotten: {
    code: 'aborted',
    title: 'The order was carried out before, and its receipt has been removed',
    ...notProven,
    cause: 'injection-not-proven',
  },
  receipt_damaged: {
    code: 'aborted',
    title: 'The receipt of this order cannot be read',
    ...notProven,
    cause: 'injection-not-proven',
  },
  state_dir_busy: { code: 'failed_precondition', title: 'Another agent uses the state directory', ...unfit },
  journal_unwritable: { code: 'unavailable', title: 'The journal cannot be written', ...unfit },
  nothing_to_stop: {
    code: 'failed_precondition',
    title: 'This injection has ended and leaves nothing to stop',
    ...unfit,
  },

  // cluster and experiments
  cluster_unreachable: { code: 'unavailable', title: 'The Kubernetes API does not answer', ...passing },
  cluster_refused: { code: 'permission_denied', title: 'The Kubernetes API refused the call', ...passing },
  object_invalid: { code: 'invalid_argument', title: 'The Kubernetes API rejected the object', ...unfit },
  object_conflict: { code: 'aborted', title: 'The object was changed by somebody else', ...passing },
  object_exists: { code: 'aborted', title: 'An object of that name exists', ...unfit },
  object_missing: { code: 'not_found', title: 'No such object', ...unfit },
  resource_expired: { code: 'aborted', title: 'The resource version is too old', ...passing },
  crds_missing: {
    code: 'failed_precondition',
    title: 'Our custom resource definitions are not installed',
    ...unfit,
  },
  fault_missing: { code: 'not_found', title: 'The catalogue has no such fault', ...unfit },
  fault_unknown: { code: 'invalid_argument', title: 'No such fault in the catalogue', ...unfit },
  parameter_invalid: { code: 'invalid_argument', title: 'A fault parameter is not usable', ...unfit },
  target_invalid: { code: 'invalid_argument', title: 'The target cannot be selected as asked', ...unfit },
  expectation_invalid: { code: 'invalid_argument', title: 'The expectation cannot be judged', ...unfit },
  repair_too_soon: {
    code: 'failed_precondition',
    title: 'The repair that is forbidden comes before the node can be restored',
    ...unfit,
  },
  restore_disabled: {
    code: 'failed_precondition',
    title: 'The coordinator does not restore nodes',
    ...unfit,
  },
  repair_blocked: {
    code: 'failed_precondition',
    title: 'The repair that is expected cannot happen',
    ...unfit,
  },
  deadline_invalid: { code: 'invalid_argument', title: 'The deadline is not usable', ...unfit },
  no_target: { code: 'failed_precondition', title: 'No node may be drilled', ...unfit },
  node_busy: { code: 'aborted', title: 'Another experiment is running on the node', ...unfit },
  node_missing: { code: 'not_found', title: 'No such node', ...unfit },
  node_unknown: { code: 'invalid_argument', title: 'The target names a node that does not exist', ...unfit },
  experiment_unknown: { code: 'not_found', title: 'No such experiment', ...unfit },
  experiment_running: { code: 'aborted', title: 'The experiment has not ended', ...unfit },
  experiment_ended: { code: 'failed_precondition', title: 'The experiment has ended', status: 409, ...unfit },
  experiment_not_passed: {
    code: 'failed_precondition',
    title: 'The experiment has not passed',
    status: 409,
    ...unfit,
  },
  idempotency_key_reused: { code: 'aborted', title: 'The key was used for another experiment', ...unfit },
  agent_unknown: {
    code: 'not_found',
    title: 'No agent is known for that node',
    ...unfit,
    cause: 'agent-unknown',
  },
  wrong_node: {
    code: 'failed_precondition',
    title: 'This is the agent of another node',
    ...unfit,
    cause: 'agent-unknown',
  },
  agent_unreachable: {
    code: 'unavailable',
    title: 'The agent does not answer',
    ...notProven,
    mayPass: true,
    cause: 'agent-unreachable',
  },
  agent_answer_invalid: {
    code: 'unavailable',
    title: 'The answer of the agent cannot be used',
    ...notProven,
    cause: 'agent-answer-invalid',
  },
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

/** Whether a text names a reason of this version; an agent may be newer than we are. */
export function isReason(text: string): text is Reason {
  return Object.hasOwn(reasons, text);
}

/** The row of a reason, with its optional columns. */
export function rowOf(reason: Reason): ReasonRow {
  return reasons[reason];
}

/** HTTP status that a refusal for this reason is answered with, by agent and coordinator. */
export function statusOf(reason: Reason): number {
  const { status, code } = rowOf(reason);
  return status ?? rpcCodes[code].http;
}

/** Code of the explanation of a refusal: that of the rule which explains it, or the reason in kebab form. */
export function causeOf(reason: string): string {
  const cause = isReason(reason) ? rowOf(reason).cause : undefined;
  return cause ?? reason.replaceAll('_', '-');
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

/** The message of an Error; anything else as text. */
export function messageFromUnknown(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
