import { parseArgs } from 'node:util';
import { createRealClock } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { examineCluster } from '../doctor/doctor.ts';
import { execLimits, readOnlyCalls } from '../doctor/engines.ts';
import type { DoctorReport } from '../doctor/report.ts';
import { connect, connectExec } from '../drilling/connect.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { exits, lookOf, type Ports } from './ports.ts';
import { renderDoctor } from './render-doctor.ts';
import { renderMarkdown } from './render-doctor-markdown.ts';

/** Usage, as --help prints it. */
export const doctorHelp = (
  xidrill: string,
) => `usage: ${xidrill} doctor [--node NAME]... [--selector LABELS] [--exec] [-o OUTPUT]

Looks at every GPU node of the cluster: is a fault of its GPU detected, and is the node then repaired? What is broken is
named with its proof and what to run. Only reads, by your own rights; needs neither an agent nor a coordinator.

      --node NAME        only this node; may be given several times
  -l, --selector LABELS  only GPU nodes with these labels, as kubectl -l takes them
      --exec             also ask the host engines, by kubectl exec into the pods of dcgm-server: dcgmi -v, discovery -l and
                         fieldgroup -l, and nothing else. Needs the right pods/exec; at most 50 nodes
  -o, --output O         text (default), wide (a line for each node besides), markdown, json or yaml
${clusterHelp}  -h, --help             this text

exit code: 0 every link is all right, 1 a broken one was found, 2 usage, 3 some could not be judged, 4 error
`;

const outputs = ['text', 'wide', 'markdown', 'json', 'yaml'] as const;
type Output = (typeof outputs)[number];

/** Exit code by result. */
const exitCodes = { ok: 0, broken: 1, unknown: 3 } as const satisfies Record<DoctorReport['result'], number>;

/** The command; resolves with the exit code. `argv` begins behind the word `doctor`. */
export async function runDoctor(argv: readonly string[], ports: Ports): Promise<number> {
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    ports.complain(`doctor: ${asked}\n\n${doctorHelp(ports.program)}`);
    return exits.usage;
  }
  if (asked.help) {
    ports.print(doctorHelp(ports.program));
    return 0;
  }
  let report: DoctorReport;
  try {
    report = await examineCluster({
      cluster: connect(asked),
      namespace: asked.namespace,
      target: {
        nodes: asked.node,
        ...(asked.selector === undefined ? {} : { selector: asked.selector }),
      },
      clock: createRealClock(),
      exec: asked.exec ? podExec(asked) : undefined,
    });
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { remedy } = thrown.details;
    ports.complain(
      `doctor: ${messageFromUnknown(thrown)}\n${remedy === undefined ? '' : `  remedy: ${remedy}\n`}`,
    );
    return thrown.reason === 'node_missing' || thrown.reason === 'object_invalid'
      ? exits.usage
      : exits.failed;
  }
  ports.print(await textOf(report, asked.output, ports));
  return exitCodes[report.result];
}

async function textOf(report: DoctorReport, output: Output, ports: Ports): Promise<string> {
  switch (output) {
    case 'json':
      return `${JSON.stringify(report, null, 2)}\n`;
    case 'yaml': {
      // Only here: no other form needs it.
      const { stringify } = await import('yaml');
      return stringify(report, { aliasDuplicateObjects: false });
    }
    case 'markdown':
      return renderMarkdown(report);
    case 'text':
    case 'wide':
      return renderDoctor(report, { ...lookOf(ports), isWide: output === 'wide' });
  }
}

/** Nothing but the calls that only read. */
function podExec(asked: Asked) {
  return connectExec(asked, Object.values(readOnlyCalls), execLimits);
}

type Asked = {
  readonly help: boolean;
  readonly exec: boolean;
  readonly output: Output;
  readonly node: readonly string[];
  readonly selector?: string | undefined;
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly namespace: string;
};

function readArguments(argv: readonly string[]): Asked | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        ...clusterOptions,
        output: { type: 'string', short: 'o', default: 'text' },
        node: { type: 'string', multiple: true, default: [] },
        selector: { type: 'string', short: 'l' },
        exec: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const output = outputs.find((one) => one === values.output);
    if (output === undefined) return `--output: "${values.output}" is none of ${outputs.join(', ')}`;
    if (values.node.length > 0 && values.selector !== undefined) return 'give either --node or --selector';
    return { ...values, output };
  } catch (thrown) {
    return messageFromUnknown(thrown);
  }
}
