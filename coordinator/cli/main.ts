import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { messageFromUnknown } from '../../shared/errors.ts';
import { runWhy, whyHelp } from './why.ts';

const [command, ...args] = process.argv.slice(2);
// `… | head` is no failure: who reads has seen enough.
process.stdout.on('error', () => process.exit());

const help = `usage: npm run -s cli -- COMMAND

  why    explains what somebody did by hand; needs no cluster

${whyHelp}`;

if (command === 'why') {
  try {
    process.exitCode = await runWhy(args, {
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
    process.exitCode = 4;
  }
} else if (command === undefined || command === '--help' || command === '-h' || command === 'help') {
  process[command === undefined ? 'stderr' : 'stdout'].write(help);
  process.exitCode = command === undefined ? 2 : 0;
} else {
  process.stderr.write(`xidrill: there is no command "${command}"\n\n${help}`);
  process.exitCode = 2;
}
