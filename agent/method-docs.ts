import Type from 'typebox';
import type { Reason } from '../shared/errors.ts';
import type { ExampleDoc, RouteDoc } from '../shared/http/openapi/route.ts';
import type { Method } from './service.ts';

/** The node that a caller means; an agent of another one refuses. */
export const nodeHeader = 'xidrill-node';

/** What every method takes beside its body. */
export const NodeHeader = Type.Object({
  [nodeHeader]: Type.Optional(
    Type.String({ description: 'the node that is meant; the agent of another one refuses with wrong_node' }),
  ),
});

/** Finding a GPU or a host engine. */
const ofLooking: readonly Reason[] = [
  'wrong_node',
  'nvml_unavailable',
  'gpu_unknown',
  'gpu_address_malformed',
  'gpu_not_in_engine',
  'field_unknown',
  'engine_not_found',
  'engine_ambiguous',
  'engine_unreachable',
  'dcgmi_not_found',
  'dcgmi_failed',
  'dcgmi_busy',
  'dcgmi_timeout',
];

/** An earlier order. */
const ofReceipts: readonly Reason[] = [
  'order_unknown',
  'order_forgotten',
  'order_interrupted',
  'receipt_damaged',
  'nothing_to_stop',
  'journal_unwritable',
];

/** Everything that can stand against a write. */
const ofWriting: readonly Reason[] = [
  ...ofLooking,
  ...ofReceipts,
  'kill_switch_engaged',
  'disarmed',
  'node_not_opted_in',
  'policy_refused',
  'order_id_reused',
  'order_stopped',
  'too_many_running',
  'shutting_down',
  'parameter_invalid',
  'text_empty',
  'text_has_newline',
  'text_has_control_bytes',
  'text_not_ascii',
  'text_too_long',
  'not_a_kernel_log',
  'kernel_log_unavailable',
  'read_back_failed',
  'log_file_missing',
  'log_file_unusable',
  'xid_wedges_engine',
  'risk_not_accepted',
  'field_not_injectable',
  'field_value_type',
  'field_value_range',
  'field_value_no_effect',
  'offset_too_large',
  'nobody_listens',
  'alert_slot_busy',
  'alert_gap_too_short',
  'process_not_paused',
  'injection_not_visible',
];

const gpu = { index: 0 };

const orderId = 'drill-1';

/** A body of each method that takes one; tests hold them against its schema. */
const examples: Readonly<Record<string, ExampleDoc>> = {
  SetKillSwitch: { summary: 'Stop everything', value: { engaged: true, reason: 'incident 42' } },
  WriteKernelMessage: {
    summary: 'A line that the monitoring agent reacts to',
    value: { level: 'err', text: 'nf_conntrack: nf_conntrack: table full, dropping packet' },
  },
  InjectXid: {
    summary: 'Xid 31 in the kernel log',
    value: { gpu: { pci: '00000000:00:1F.0' }, xid: 31, surfaces: ['kernel-log'] },
  },
  InjectCascade: {
    summary: 'Two Xids, ten seconds apart',
    value: {
      gpu,
      surfaces: ['dcgm'],
      steps: [
        { xid: 48, afterSeconds: 0 },
        { xid: 63, afterSeconds: 10 },
      ],
    },
  },
  InjectSxid: {
    summary: 'An error of an NVSwitch',
    value: { sxid: 12028, switch: { index: 0, pci: '0000:c1:00.0' } },
  },
  InjectDcgmField: {
    summary: 'The Xid field of DCGM',
    value: { gpu, field: 230, value: 31 },
  },
  WriteJournalMessage: {
    summary: 'A line of the kubelet',
    value: { identifier: 'kubelet', text: 'Failed to ensure the image' },
  },
  AppendLogLine: { summary: 'A line of a log file', value: { file: 'ipamd', text: 'Unable to reach API' } },
  PauseHostEngine: { summary: 'For five minutes', value: { forSeconds: 300 } },
  IntrospectDcgmField: { summary: 'The Xid field of DCGM', value: { gpu, field: 230 } },
  GetReceipt: { summary: 'An earlier order', value: { orderId } },
  StopInjection: { summary: 'An earlier order', value: { orderId } },
};

function reasonsOf(name: string, verb: Method['verb']): readonly Reason[] {
  if (name === 'SetKillSwitch') return [...ofWriting, 'kill_switch_outdated'];
  if (verb === 'inject') return ofWriting;
  return name === 'GetReceipt' ? [...ofLooking, ...ofReceipts] : ofLooking;
}

/** What the OpenAPI document says of a unary method. */
export function methodDoc(method: Pick<Method, 'name' | 'summary' | 'verb' | 'response'>): RouteDoc {
  const { name, summary, verb, response } = method;
  const example = examples[name];
  return {
    id: `${name.charAt(0).toLowerCase()}${name.slice(1)}`,
    tag: verb === 'get' ? 'reading' : 'injecting',
    summary,
    answers: {
      200: {
        description:
          verb === 'get' || name === 'SetKillSwitch'
            ? 'What was found'
            : 'The receipt, with what was read back of each surface',
        schema: response,
      },
    },
    reasons: reasonsOf(name, verb),
    ...(example === undefined ? {} : { examples: { usual: example } }),
  };
}

/** What the OpenAPI document says of `TailKernelLog`. */
export const tailDoc: RouteDoc = {
  id: 'tailKernelLog',
  tag: 'reading',
  summary: 'The kernel log as it grows',
  description:
    'One JSON object a line: a record `{sequence, priority, level, facility, microseconds, text}`; `{lost}`, so many records were overwritten before they could be read; the last line of a stream that ends by itself is `{end, records}`.',
  answers: { 200: { description: 'A stream of lines', schema: Type.String(), type: 'application/x-ndjson' } },
  examples: {
    xids: { summary: 'The oldest Xid that is there', value: { from: 'oldest', match: 'Xid', limit: 1 } },
  },
  reasons: ['wrong_node', 'kernel_log_unavailable', 'not_a_kernel_log', 'too_many_streams', 'shutting_down'],
};
