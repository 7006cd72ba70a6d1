import { logFiles } from '../../../shared/surfaces/log-file.ts';
import type { At, Deed } from '../piece.ts';
import { outputOf } from '../shell.ts';
import { optionOf, type Unwrapped } from '../unwrap.ts';

const kernelLog = /(^|\/)dev\/kmsg$/;

/** Writes of `tee`, `dd` and redirections into the kernel log and into the files that NMA follows. */
export function readWrites(one: Unwrapped, at: At): readonly Deed[] {
  const [program, ...args] = one.argv;
  const own = outputOf(one.argv, one.stdin);
  const text = own === undefined ? undefined : withoutLineEnd(own.text);
  const endsWithNewline = own?.endsWithNewline ?? true;
  const targets = [
    ...one.redirects
      .filter(({ operator }) => operator.includes('>') && operator !== '>&')
      .map(({ path }) => ({ path, by: 'redirect' as const })),
    ...(program === 'tee'
      ? args.filter((arg) => !arg.startsWith('-')).map((path) => ({ path, by: 'tee' as const }))
      : []),
    ...(program === 'dd'
      ? args
          .filter((arg) => arg.startsWith('of='))
          .map((arg) => ({ path: arg.slice(3), by: 'other' as const }))
      : []),
    ...(program === 'cp' && args.length === 2 ? [{ path: args[1] ?? '', by: 'other' as const }] : []),
  ];
  return targets.flatMap(({ path, by }): readonly Deed[] => {
    if (kernelLog.test(path)) {
      const how = { by, path, endsWithNewline, sudoMissesRedirect: by === 'redirect' && one.isSudo };
      return (text ?? '').includes('\n')
        ? (text ?? '').split('\n').map((line) => ({ ...at, is: 'kernel-write', text: line, how }))
        : [{ ...at, is: 'kernel-write', text, how }];
    }
    const file = Object.values(logFiles).find((known) => path.endsWith(known));
    return file === undefined ? [] : [{ ...at, is: 'file-write', text, path: file }];
  });
}

function withoutLineEnd(text: string): string {
  return text.replace(/\n$/, '');
}

/** `logger` and `systemd-cat` write to the journal or syslog, never to the kernel log (logger(1)). */
export function readLogger(one: Unwrapped, at: At): readonly Deed[] {
  const [program = '', ...args] = one.argv;
  const tag = optionOf(args, ['-t', '--tag', '--identifier']);
  const priority = optionOf(args, ['-p', '--priority']) ?? '';
  const text = program.endsWith('systemd-cat')
    ? (one.stdin?.text ?? '')
    : messageOf(args) || (one.stdin?.text ?? '');
  return [{ ...at, is: 'syslog-write', text, tag, asKernel: priority.startsWith('kern') }];
}

const withValue = new Set([
  '-t',
  '--tag',
  '-p',
  '--priority',
  '-n',
  '--server',
  '-P',
  '--port',
  '-f',
  '--file',
  '-i',
]);

function messageOf(args: readonly string[]): string {
  const words: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (arg.startsWith('-') && words.length === 0) index += withValue.has(arg) && arg !== '-i' ? 1 : 0;
    else words.push(arg);
  }
  return words.join(' ');
}
