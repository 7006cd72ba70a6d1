import { readFile, writeFile } from 'node:fs/promises';
import { commands } from '../../coordinator/cli/commands.ts';

/**
 * A command in this process. `interruptAt`: as soon as that was printed or complained of, a person presses Ctrl-C, and answers the question with
 * `answer`.
 */
export async function xidrill(
  argv: readonly string[],
  {
    interruptAt,
    answer = false,
    isLive = false,
    program = 'xidrill',
  }: {
    readonly interruptAt?: RegExp;
    readonly answer?: boolean;
    readonly isLive?: boolean;
    readonly program?: string;
  } = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const [name, ...words] = argv;
  const command = commands.find((one) => one.name === name);
  if (command === undefined) throw new Error(`there is no command ${name}`);
  let out = '';
  let err = '';
  let isPressed = false;
  let interrupt = () => {};
  const pressAt = (text: string) => {
    if (isPressed || interruptAt?.test(text) !== true) return;
    isPressed = true;
    interrupt();
  };
  const run = await command.load();
  const code = await run(words, {
    program,
    readInput: async () => '',
    readFile: (path) => readFile(path, 'utf8'),
    writeFile: (path, text) => writeFile(path, text),
    print: (text) => {
      out += text;
      pressAt(out);
    },
    complain: (text) => {
      err += text;
      pressAt(err);
    },
    isTerminal: isLive,
    width: isLive ? 100 : undefined,
    height: isLive ? 30 : undefined,
    isColoured: false,
    isLive,
    onInterrupt: (listener) => {
      interrupt = listener;
      return () => {
        interrupt = () => {};
      };
    },
    confirm: async () => answer,
  });
  return { code, out, err };
}
