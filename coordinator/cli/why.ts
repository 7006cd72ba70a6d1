import { parseArgs } from 'node:util';
import { createRealClock } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { WhyAnswer } from '../why/finding.ts';
import { explainTexts, type Input, longestText } from '../why/why.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { isFolder, readFolder } from './folder.ts';
import { exits, lookOf, type Ports } from './ports.ts';
import { renderWhy } from './render.ts';

/** Usage, as --help prints it. */
export const whyHelp = (
  xidrill: string,
) => `usage: ${xidrill} why [-o text|json] [-f FILE]... [--live [--node NAME]...] [TEXT]...

Explains what somebody did by hand and what they saw: commands (dcgmi, kubectl, docker,
tee /dev/kmsg, logger, aws eks, eksctl, helm), kernel log lines, the monitoring agent's log,
nodes as YAML, JSON or describe, events, dcgmi's answers, helm values, sentences about these.
Nothing of it is executed, and without --live no cluster is asked. Without TEXT and FILE it reads standard input.

  -f, --file FILE   a file to read; may be given several times. A folder, here or as TEXT, is read as a bundle of kubectl ekslogs,
                    NodeDiagnostic or eks-log-collector.sh: the known files, the others are listed
  -o, --output O    text (default) or json
      --live        also examine the nodes that the text names, as doctor does: what of it is still so, and what is broken now.
                    Only reads, by your own rights; where the text names no node, every GPU node
      --node NAME   with --live, this node instead; may be given several times
${clusterHelp}  -h, --help        this text

exit code: 0 nothing is wrong, 1 a broken link was found, 2 usage, 3 neither text nor cluster decide it, 4 error
`;

/** Exit code by result: like a verdict's (README). */
export const exitCodes = { works: 0, broken: 1, open: 3 } as const satisfies Record<
  WhyAnswer['result'],
  number
>;

/** The command; resolves with the exit code. `argv` begins behind the word `why`. */
export async function runWhy(argv: readonly string[], ports: Ports): Promise<number> {
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    ports.complain(`why: ${asked}\n\n${whyHelp(ports.program)}`);
    return exits.usage;
  }
  if (asked.help) {
    ports.print(whyHelp(ports.program));
    return 0;
  }
  let inputs: readonly Input[];
  let files: WhyAnswer['files'];
  try {
    ({ inputs, files } = await inputsOf(asked, ports));
  } catch (thrown) {
    ports.complain(`why: ${messageFromUnknown(thrown)}\n`);
    return exits.failed;
  }
  const length = inputs.reduce((sum, { text }) => sum + text.length, 0);
  if (files === undefined && inputs.every(({ text }) => text.trim() === '')) {
    ports.complain(`why: there is no text to explain\n\n${whyHelp(ports.program)}`);
    return exits.usage;
  }
  if (length > longestText) {
    ports.complain(
      `why: the text has ${length} characters, at most ${longestText} are read; give it in parts\n`,
    );
    return exits.usage;
  }
  if (asked.live) return runLive(asked, inputs, files, ports);
  const answer = withFiles(explainTexts(inputs), files);
  ports.print(
    asked.output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : renderWhy(answer, lookOf(ports)),
  );
  return exitCodes[answer.result];
}

/** The same joined with the cluster, whose client is loaded for it alone. */
async function runLive(
  asked: Asked,
  inputs: readonly Input[],
  files: WhyAnswer['files'],
  ports: Ports,
): Promise<number> {
  const [{ connect }, { explainLive }, { renderLive }] = await Promise.all([
    import('../drilling/connect.ts'),
    import('../live/live.ts'),
    import('./render-live.ts'),
  ]);
  try {
    const cluster = connect(asked);
    const { nodes, namespace } = asked;
    const found = await explainLive({ cluster, inputs, nodes, namespace, clock: createRealClock() });
    const answer = { ...found, pasted: withFiles(found.pasted, files) };
    ports.print(
      asked.output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : renderLive(answer, lookOf(ports)),
    );
    return exitCodes[answer.result];
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { remedy } = thrown.details;
    ports.complain(`why: ${thrown.message}\n${remedy === undefined ? '' : `  remedy: ${remedy}\n`}`);
    return thrown.reason === 'node_missing' ? exits.usage : exits.failed;
  }
}

type Asked = {
  readonly help: boolean;
  readonly live: boolean;
  readonly nodes: readonly string[];
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly namespace: string;
  readonly output: 'text' | 'json';
  readonly files: readonly string[];
  readonly texts: readonly string[];
};

function readArguments(argv: readonly string[]): Asked | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        ...clusterOptions,
        live: { type: 'boolean', default: false },
        node: { type: 'string', multiple: true, default: [] },
        output: { type: 'string', short: 'o', default: 'text' },
        file: { type: 'string', short: 'f', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const { output } = values;
    if (output !== 'text' && output !== 'json') return `--output: "${output}" is neither text nor json`;
    const { node, live } = values;
    if (node.length > 0 && !live) return '--node is read with --live only';
    return { ...values, output, nodes: node, files: values.file, texts: positionals };
  } catch (thrown) {
    return messageFromUnknown(thrown);
  }
}

function withFiles(answer: WhyAnswer, files: WhyAnswer['files']): WhyAnswer {
  return files === undefined ? answer : { ...answer, files };
}

/** The texts, and where folders were given their files. */
async function inputsOf(
  asked: Asked,
  ports: Ports,
): Promise<{ readonly inputs: readonly Input[]; readonly files: WhyAnswer['files'] }> {
  const given = [...asked.texts, ...asked.files];
  const isOne = await Promise.all(given.map(isFolder));
  const folders = given.filter((_, index) => isOne[index]);
  if (folders.length === 0) return { inputs: await textsOf(asked, ports), files: undefined };
  const read = await Promise.all(folders.map(readFolder));
  const rest = (words: readonly string[]) => words.filter((word) => !folders.includes(word));
  const [texts, files] = [rest(asked.texts), rest(asked.files)];
  const others =
    texts.length === 0 && files.length === 0 ? [] : await textsOf({ ...asked, texts, files }, ports);
  return {
    inputs: [...others, ...read.flatMap(({ inputs }) => inputs)],
    files: read.flatMap((one) => one.files),
  };
}

async function textsOf({ files, texts }: Asked, ports: Ports): Promise<readonly Input[]> {
  if (files.length === 0 && texts.length === 0) {
    if (ports.isTerminal) ports.complain('why: paste the text, then Ctrl-D\n');
    return [{ text: await ports.readInput() }];
  }
  const read = await Promise.all(
    files.map(async (name) => ({
      name,
      text: name === '-' ? await ports.readInput() : await ports.readFile(name),
    })),
  );
  return [
    ...texts.filter((text) => text !== '-').map((text) => ({ text })),
    ...(texts.includes('-') ? [{ text: await ports.readInput() }] : []),
    ...read,
  ];
}
