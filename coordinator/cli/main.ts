import { readFile, rename, writeFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageFromUnknown } from '../../shared/errors.ts';
import { version } from '../../shared/version.ts';
import { commands, help } from './commands.ts';
import { exits } from './ports.ts';

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
      writeFile: replaceFile,
      print: (out) => void process.stdout.write(out),
      complain: (out) => void process.stderr.write(out),
      isTerminal: process.stdin.isTTY === true,
      width: process.stdout.columns,
      // https://no-color.org: set and not empty.
      isLive: process.stdout.isTTY === true,
      height: process.stdout.rows,
      onInterrupt: (listener) => {
        process.on('SIGINT', listener);
        return () => process.off('SIGINT', listener);
      },
      confirm,
      isColoured: process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '',
    });
  } catch (thrown) {
    process.stderr.write(`xidrill: ${messageFromUnknown(thrown)}\n`);
    process.exitCode = exits.failed;
  }
} else if (name === '--version') {
  process.stdout.write(`xidrill ${version}\n`);
} else if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
  process[name === undefined ? 'stderr' : 'stdout'].write(help);
  process.exitCode = name === undefined ? exits.usage : 0;
} else {
  process.stderr.write(`xidrill: there is no command "${name}"\n\n${help}`);
  process.exitCode = exits.usage;
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
