import { parseArgs } from 'node:util';
import { messageFromUnknown } from '../../shared/errors.ts';
import type { WhyAnswer } from '../why/finding.ts';
import { explainTexts, type Input, longestText } from '../why/why.ts';
import { renderWhy } from './render.ts';

/** What the command needs of its process. */
export type WhyPorts = {
  /** The whole standard input. */
  readonly readInput: () => Promise<string>;
  readonly readFile: (path: string) => Promise<string>;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Somebody may be typing: standard input is a terminal. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; undefined: a pipe, nothing is cut. */
  readonly width: number | undefined;
  readonly isColoured: boolean;
};

/** Usage, as --help prints it. */
export const whyHelp = `usage: npm run -s cli -- why [-o text|json] [-f FILE]... [TEXT]...

Explains what somebody did by hand and what they saw: commands (dcgmi, kubectl, docker,
tee /dev/kmsg, logger, aws eks, eksctl, helm), kernel log lines, the monitoring agent's log,
nodes as YAML, JSON or describe, events, dcgmi's answers, helm values, sentences about these.
Nothing of it is executed, and no cluster is asked. Without TEXT and FILE it reads standard input.

  -f, --file FILE   a file to read; may be given several times
  -o, --output O    text (default) or json
  -h, --help        this text

exit code: 0 nothing is wrong, 1 a broken link was found, 2 usage, 3 the text does not decide it, 4 error
`;

/** Exit code by result: like a verdict's (README). */
export const exitCodes = { works: 0, broken: 1, open: 3 } as const satisfies Record<
  WhyAnswer['result'],
  number
>;
const usage = 2;
const failed = 4;

/** The command; resolves with the exit code. `argv` begins behind the word `why`. */
export async function runWhy(argv: readonly string[], ports: WhyPorts): Promise<number> {
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    ports.complain(`why: ${asked}\n\n${whyHelp}`);
    return usage;
  }
  if (asked.help) {
    ports.print(whyHelp);
    return 0;
  }
  let inputs: readonly Input[];
  try {
    inputs = await inputsOf(asked, ports);
  } catch (thrown) {
    ports.complain(`why: ${messageFromUnknown(thrown)}\n`);
    return failed;
  }
  const length = inputs.reduce((sum, { text }) => sum + text.length, 0);
  if (inputs.every(({ text }) => text.trim() === '')) {
    ports.complain(`why: there is no text to explain\n\n${whyHelp}`);
    return usage;
  }
  if (length > longestText) {
    ports.complain(
      `why: the text has ${length} characters, at most ${longestText} are read; give it in parts\n`,
    );
    return usage;
  }
  const answer = explainTexts(inputs);
  const width = ports.width === undefined ? 160 : Math.max(60, Math.min(ports.width, 160));
  ports.print(
    asked.output === 'json'
      ? `${JSON.stringify(answer, null, 2)}\n`
      : renderWhy(answer, { width, isColoured: ports.isColoured }),
  );
  return exitCodes[answer.result];
}

type Asked = {
  readonly help: boolean;
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
        output: { type: 'string', short: 'o', default: 'text' },
        file: { type: 'string', short: 'f', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const { output } = values;
    if (output !== 'text' && output !== 'json') return `--output: "${output}" is neither text nor json`;
    return { help: values.help, output, files: values.file, texts: positionals };
  } catch (thrown) {
    return messageFromUnknown(thrown);
  }
}

async function inputsOf({ files, texts }: Asked, ports: WhyPorts): Promise<readonly Input[]> {
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
