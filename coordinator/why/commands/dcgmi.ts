import type { At, Deed, InjectOptions } from '../piece.ts';
import { optionOf, type Unwrapped } from '../unwrap.ts';

/** What a dcgmi command did. */
export function readDcgmi({ argv, place }: Unwrapped, at: At): readonly Deed[] {
  const [subsystem = '', ...args] = argv.slice(1);
  if (subsystem === 'test') {
    if (args.includes('--inject')) return [{ ...at, is: 'inject', options: injectOptions(args), place }];
    const what = args.includes('--pause') ? 'pause' : args.includes('--introspect') ? 'introspect' : 'look';
    return [{ ...at, is: 'dcgmi-other', what, args: args.join(' '), place }];
  }
  const what = subsystem === 'dmon' ? 'dmon' : isWatch(subsystem, args) ? 'watch' : 'look';
  return [{ ...at, is: 'dcgmi-other', what, args: [subsystem, ...args].join(' '), place }];
}

/** Options of `dcgmi test --inject` alone, such as the rest of a sentence names them: `-f 111 -v 999`. */
export function injectOptions(args: readonly string[]): InjectOptions {
  const get = (...names: readonly string[]) => optionOf(args, names);
  return {
    gpuid: get('--gpuid'),
    group: get('-g', '--group'),
    field: get('-f', '--field') ?? glued(args, '-f'),
    value: get('-v', '--value') ?? glued(args, '-v'),
    offset: get('--offset'),
    host: get('--host'),
    hasEquals: args.some((arg) => /^--(gpuid|group|field|value|offset|host)=/.test(arg)),
  };
}

/** `-f150`. */
function glued(args: readonly string[], name: string): string | undefined {
  return args.find((arg) => arg.startsWith(name) && arg.length > name.length)?.slice(name.length);
}

/** Health and policy settings of a group: they decide what the engine watches, not what NMA is told. */
function isWatch(subsystem: string, args: readonly string[]): boolean {
  if (subsystem === 'health') return args.includes('-s') || args.includes('--set');
  if (subsystem === 'policy') return args.includes('--set') || args.includes('--reg');
  return subsystem === 'group' && (args.includes('-c') || args.includes('--create'));
}
