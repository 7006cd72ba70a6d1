import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageFromUnknown } from '../../shared/errors.ts';
import { version } from '../../shared/version.ts';
import { exits, type Ports } from './ports.ts';

/** A command is loaded when it is asked for: `--version` has to answer at once. */
type Command = {
  readonly name: string;
  readonly does: string;
  readonly load: () => Promise<(argv: readonly string[], ports: Ports) => Promise<number>>;
};

const commands: readonly Command[] = [
  {
    name: 'doctor',
    does: 'looks at every GPU node: is a fault detected, and is the node repaired? Only reads',
    load: async () => (await import('./doctor.ts')).runDoctor,
  },
  {
    name: 'why',
    does: 'explains what somebody did by hand; needs no cluster',
    load: async () => (await import('./why.ts')).runWhy,
  },
];

const help = `usage: xidrill COMMAND [options]      (here: npm run -s cli -- COMMAND)

${commands.map(({ name, does }) => `  ${name.padEnd(8)} ${does}`).join('\n')}

xidrill COMMAND --help shows the options of a command, xidrill --version the version.
`;

const [name, ...args] = process.argv.slice(2);
// `… | head` is no failure: who reads has seen enough.
process.stdout.on('error', () => process.exit());

const command = commands.find((one) => one.name === name);
if (command !== undefined) {
  try {
    const run = await command.load();
    process.exitCode = await run(args, {
      readInput: () => text(process.stdin),
      readFile: (path) => readFile(path, 'utf8'),
      print: (out) => void process.stdout.write(out),
      complain: (out) => void process.stderr.write(out),
      isTerminal: process.stdin.isTTY === true,
      width: process.stdout.columns,
      // https://no-color.org: set and not empty.
      isColoured: process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '',
    });
  } catch (thrown) {
    process.stderr.write(`xidrill: ${messageFromUnknown(thrown)}\n`);
    process.exitCode = exits.failed;
  }
} else if (name === '--version' || name === 'version') {
  process.stdout.write(`xidrill ${version}\n`);
} else if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
  process[name === undefined ? 'stderr' : 'stdout'].write(help);
  process.exitCode = name === undefined ? exits.usage : 0;
} else {
  process.stderr.write(`xidrill: there is no command "${name}"\n\n${help}`);
  process.exitCode = exits.usage;
}
