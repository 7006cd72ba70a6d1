import { readFile, rename, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { messageFromUnknown } from '../../shared/errors.ts';
import { version } from '../../shared/version.ts';
import { type Command, commands, help } from './commands.ts';
import { exits } from './ports.ts';

// `… | head` is no failure: who reads has seen enough.
process.stdout.on('error', () => process.exit());

const program = programName(process.argv0, process.argv[1] ?? '');
// Not awaited at the top level, which the CommonJS of a single executable does not have.
void main(process.argv.slice(2));

/** What to type to get here again: as a plugin kubectl starts it by the path of a file with this name, often a link. */
function programName(...startedAs: readonly string[]): string {
  if (startedAs.some((path) => basename(path).startsWith('kubectl-xidrill'))) return 'kubectl xidrill';
  // From the sources, by package.json's script.
  return startedAs.some((path) => path.endsWith('.ts')) ? 'npm run -s cli --' : 'xidrill';
}

async function main([name, ...args]: readonly string[]): Promise<void> {
  const command = commands.find((one) => one.name === name);
  if (command !== undefined) {
    process.exitCode = await run(command, args).catch((thrown: unknown) => {
      process.stderr.write(`${program}: ${messageFromUnknown(thrown)}\n`);
      return exits.failed;
    });
  } else if (name === '--version') {
    process.stdout.write(`xidrill ${version}\n`);
  } else if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process[name === undefined ? 'stderr' : 'stdout'].write(help(program));
    process.exitCode = name === undefined ? exits.usage : 0;
  } else {
    process.stderr.write(`${program}: there is no command "${name}"\n\n${help(program)}`);
    process.exitCode = exits.usage;
  }
}

async function run({ load }: Command, args: readonly string[]): Promise<number> {
  const command = await load();
  return command(args, {
    program,
    readInput: () => text(process.stdin),
    readFile: (path) => readFile(path, 'utf8'),
    writeFile: replaceFile,
    print: (out) => void process.stdout.write(out),
    complain: (out) => void process.stderr.write(out),
    isTerminal: process.stdin.isTTY === true,
    width: process.stdout.columns,
    isLive: process.stdout.isTTY === true,
    height: process.stdout.rows,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    confirm,
    // https://no-color.org: set and not empty.
    isColoured: process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '',
  });
}

/** By another name first: who is killed leaves the old file or the new one. */
async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.${process.pid}.part`;
  await writeFile(beside, content);
  await rename(beside, path);
}

/** Yes only where somebody types it; a pipe cannot. */
async function confirm(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true) return false;
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C at the question leaves it unanswered.
  const ending = new AbortController();
  lines.once('SIGINT', () => ending.abort());
  try {
    return /^y(es)?$/i.test((await lines.question(question, { signal: ending.signal })).trim());
  } catch {
    return false;
  } finally {
    lines.close();
  }
}
