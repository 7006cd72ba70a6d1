import { parseKmsgRecord } from '../../shared/kmsg-record.ts';
import { combinedPrefix, monitors } from '../catalogue/nma/conditions.ts';
import { nmaLogRow } from './nma-log.ts';
import { type At, type DcgmiAnswer, type Deed, longestQuote, type TextFact } from './piece.ts';

/** A line's place and its head. */
export function placeOf(line: number, text: string): At {
  return { line, quote: text.trim().slice(0, longestQuote) };
}

/** Lines that programs print: logs, the kernel's records, dcgmi's answers, tables of kubectl. None: it is no such line. */
export function readSeen(text: string, at: At): readonly Deed[] {
  return (
    nmaLog(text, at) ??
    karpenterLog(text, at) ??
    dcgmiAnswer(text, at) ??
    tableRow(text, at) ??
    kernelLine(text, at) ??
    []
  );
}

/** Whether a line is one of a log's or a table's that says nothing about the chain. */
export function isBackground(text: string): boolean {
  return (
    /^\s*\{.*"(?:level|msg|message)":/.test(text) ||
    headings.test(text) ||
    /^\s*(?:at |goroutine |\t)/.test(text) ||
    /^[IWEF]\d{4} /.test(text)
  );
}

const headings =
  /^\s*(?:NAME\b.*STATUS|LAST SEEN\b|Conditions:|Type\s+Status|-{3,}|={3,}|Name:|Roles:|Labels:|Annotations:|Taints:|Addresses:|Capacity:|Allocatable:|System Info:|Events:|CreationTimestamp:|Unschedulable:|Lease:)/;

function nmaLog(text: string, at: At): readonly Deed[] | undefined {
  const row = nmaLogRow(text);
  return row === undefined ? undefined : [{ ...at, is: 'nma-log', row: row.id }];
}

function karpenterLog(text: string, at: At): readonly Deed[] | undefined {
  if (/deleting unhealthy node|selected repair policy|Disrupting Node(?:Claim)?: Unhealthy/.test(text))
    return [{ ...at, is: 'karpenter-log', what: 'repairing' }];
  if (/NodeRepairBlocked|more the?n 20% (?:of )?nodes/.test(text))
    return [{ ...at, is: 'karpenter-log', what: 'blocked' }];
  return undefined;
}

const answers: readonly (readonly [RegExp, DcgmiAnswer])[] = [
  [/Return: Bad parameter passed to function/, 'bad-parameter'],
  [
    /Host engine connection invalid\/disconnected|unable to establish a connection to the specified host/,
    'no-engine',
  ],
  [/Return: Field is not being watched/, 'not-watched'],
  [/\b0 GPUs? found/, 'no-gpus'],
  [/Health watches not enabled/, 'no-health-watches'],
];

function dcgmiAnswer(text: string, at: At): readonly Deed[] | undefined {
  if (text.includes('Successfully injected')) return [{ ...at, is: 'injected-said' }];
  const found = answers.find(([pattern]) => pattern.test(text));
  return found === undefined ? undefined : [{ ...at, is: 'dcgmi-said', what: found[1] }];
}

const describeTime = String.raw`(\w{3}, \d{2} \w{3} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4})`;
const describeRow = new RegExp(
  String.raw`^\s*([A-Z]\w+)\s+(True|False|Unknown)\s+${describeTime}\s+${describeTime}\s+(\S+)\s+(.*)$`,
);

/** A row of `kubectl describe node` or of `kubectl get events`. */
function tableRow(text: string, at: At): readonly Deed[] | undefined {
  const condition = describeRow.exec(text);
  if (condition !== null) {
    const [, type = '', status = '', beat = '', moved = '', reason = '', message = ''] = condition;
    return [
      {
        ...at,
        is: 'condition',
        condition: {
          type,
          status,
          reason,
          message,
          lastHeartbeatTime: isoOf(beat),
          lastTransitionTime: isoOf(moved),
        },
        node: { name: undefined, architecture: undefined, labels: {} },
        newest: null,
      },
    ];
  }
  const event = /^\s*(?:\S+\s+){0,2}Warning\s+(\w+Ready)\s+(\S.*)$/.exec(text);
  if (event === null || !monitors.some(({ conditionType }) => conditionType === event[1])) return undefined;
  const words = (event[2] ?? '').split(/\s{2,}|(?<=^nodes?\/\S+)\s/);
  const message = (words.findLast((word) => word.includes(':')) ?? '').replace(combinedPrefix, '');
  return message === '' ? undefined : [{ ...at, is: 'event', reason: event[1] ?? '', message }];
}

function isoOf(time: string): string | null {
  const value = Date.parse(time);
  return Number.isNaN(value) ? null : new Date(value).toISOString();
}

/** In front of a record in dmesg's and the journal's forms. */
const recordPrefix =
  /^(?:\[\s*\d+\.\d+\]|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d:]{11,20}\]|[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \S{1,80} kernel:)\s*/;

/** How lines of the kernel begin that NMA or a driver's readers look for; people paste them without what stands in front. */
const kernelHead =
  /^(?:kernel: |NVRM: |nvidia-nvswitch\d+: SXid|watchdog: BUG: |INFO: task .{1,80} blocked for more than |(?:nf|ip)_conntrack: |traps: |(?:end_request|blk_update_request): I\/O error|Buffer I\/O error on dev|I\/O error, dev |[^\s[]{1,80}\[\d+\]: segfault at )/;

function kernelLine(text: string, at: At): readonly Deed[] | undefined {
  const line = text.trim();
  const record = parseKmsgRecord(line)?.text;
  if (record !== undefined) return [{ ...at, is: 'kernel-line', text: record }];
  const bare = line.replace(recordPrefix, '');
  return bare !== line || kernelHead.test(bare) ? [{ ...at, is: 'kernel-line', text: bare }] : undefined;
}

/** What a line says of the cluster beside what it is. */
export function readFacts(text: string, at: At): readonly TextFact[] {
  const version =
    /eks-node-monitoring-agent:v?(\d+\.\d+\.\d+(?:-eksbuild\.\d+)?)/.exec(text) ??
    /\bNMA\b[^.\d]{0,40}v?(\d+\.\d+\.\d+)/.exec(text) ??
    (text.includes('starting eks-node-monitoring-agent') ? /"version":"v?(\d+\.\d+\.\d+)/.exec(text) : null);
  return [
    ...(version?.[1] === undefined ? [] : [{ ...at, is: 'nma-version', version: version[1] } as const]),
    // g5g and p6e-gb are Graviton and Grace (EC2 instance types; NMA's chart lists them by name).
    ...(/\b(?:arm64|aarch64)\b|\bg5g\.|\bp6e-gb/.test(text)
      ? [{ ...at, is: 'architecture', architecture: 'arm64' } as const]
      : []),
    ...(/\b(?:amd64|x86_64)\b/.test(text)
      ? [{ ...at, is: 'architecture', architecture: 'amd64' } as const]
      : []),
  ];
}
