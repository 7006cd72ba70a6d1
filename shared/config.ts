import { parseArgs } from 'node:util';

/**
 * The options of a program, in one table: flags, environment, defaults and help come from the same rows.
 * A flag wins over the environment. Everything wrong is reported at once, each with its flag's name.
 */
export type OptionRow = {
  readonly kind: 'text' | 'number' | 'switch' | 'list';
  /** One line of the help text, with the unit of a number. */
  readonly help: string;
  /** How the value is shown in the help text, such as `HOST:PORT`. */
  readonly value?: string;
  /** The environment variable that stands for the flag; absent: none. */
  readonly env?: string;
  /** True: an absent value is a fault. */
  readonly required?: boolean;
  readonly default?: string | number | boolean | readonly string[];
  /** Returns what is wrong with the value, or undefined. */
  readonly check?: (value: string) => string | undefined;
};

/** By the name of the flag, without its dashes. */
export type OptionTable = Readonly<Record<string, OptionRow>>;

type ValueOf<R extends OptionRow> = R['kind'] extends 'number'
  ? number
  : R['kind'] extends 'switch'
    ? boolean
    : R['kind'] extends 'list'
      ? readonly string[]
      : string;

type IsSure<R extends OptionRow> = R extends { required: true }
  ? true
  : R extends { default: unknown }
    ? true
    : R['kind'] extends 'switch' | 'list'
      ? true
      : false;

/** The values by flag name; an option without default that may be absent is `undefined`. */
export type ConfigOf<T extends OptionTable> = {
  readonly [K in keyof T]: IsSure<T[K]> extends true ? ValueOf<T[K]> : ValueOf<T[K]> | undefined;
};

/** What was read, the help text that was asked for, or all that is wrong with the arguments. */
export type ConfigOutcome<C> =
  | { readonly config: C }
  | { readonly help: string }
  | { readonly faults: readonly string[]; readonly help: string };

/**
 * Reads flags and environment by the table. `argv` starts behind the program's name. Never throws, reads nothing
 * else.
 */
export function readConfig<const T extends OptionTable>(
  program: string,
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ConfigOutcome<ConfigOf<T>> {
  const help = renderHelp(program, table);
  const { values, faults } = readFlags(table, argv);
  if (values.help === true) return { help };

  const config: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(table)) {
    const found = values[name] ?? valueFromEnv(row, env);
    const outcome = convert(name, row, found);
    faults.push(...outcome.faults);
    config[name] = outcome.value;
  }
  return faults.length > 0 ? { faults, help } : { config: Object.freeze(config) as ConfigOf<T> };
}

type RawValue = string | boolean | readonly string[];

function readFlags(table: OptionTable, argv: readonly string[]) {
  const faults: string[] = [];
  const values: Record<string, RawValue> = {};
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([name, row]) => [
        name,
        {
          type: row.kind === 'switch' ? ('boolean' as const) : ('string' as const),
          multiple: row.kind === 'list',
        },
      ]),
    ),
  });
  for (const token of tokens) {
    if (token.kind === 'positional') faults.push(`"${token.value}" is no option; options start with --`);
    if (token.kind !== 'option') continue;
    if (token.name === 'help') values.help = true;
    else takeFlag(table, token, values, faults);
  }
  return { values, faults };
}

type Flag = {
  readonly name: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
};

function takeFlag(
  table: OptionTable,
  { name, value, inlineValue }: Flag,
  values: Record<string, RawValue>,
  faults: string[],
): void {
  const row = Object.hasOwn(table, name) ? table[name] : undefined;
  if (row === undefined)
    faults.push(
      `--${name}: no such option; allowed: ${Object.keys(table)
        .map((n) => `--${n}`)
        .join(' ')}`,
    );
  else if (row.kind === 'switch') {
    if (value !== undefined && value !== 'true' && value !== 'false')
      faults.push(`--${name}: a switch, not "${value}"`);
    values[name] = value !== 'false';
  } else if (value === undefined || isNextFlag(value, inlineValue))
    faults.push(`--${name}: needs a value (${row.value ?? row.kind})`);
  else if (row.kind === 'list')
    values[name] = [...((values[name] as readonly string[] | undefined) ?? []), value];
  else values[name] = value;
}

/** `--node --arm` names no node "--arm"; who means it writes `--node=--arm`. */
function isNextFlag(value: string, inlineValue: boolean | undefined): boolean {
  return inlineValue !== true && value.startsWith('--');
}

function valueFromEnv(
  row: OptionRow,
  env: Readonly<Record<string, string | undefined>>,
): RawValue | undefined {
  const text = row.env === undefined ? undefined : env[row.env];
  if (text === undefined || text === '') return undefined;
  if (row.kind === 'switch') return switchWords.get(text.toLowerCase()) ?? text;
  return row.kind === 'list' ? text.split(',').filter((part) => part !== '') : text;
}

const switchWords: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

function convert(
  name: string,
  row: OptionRow,
  found: RawValue | undefined,
): { value: unknown; faults: string[] } {
  if (found === undefined) {
    const faults = row.required === true ? [`--${name}: required (${row.help})`] : [];
    const empty = row.kind === 'switch' ? false : row.kind === 'list' ? [] : undefined;
    return { value: row.default ?? empty, faults };
  }
  if (row.kind === 'switch') {
    const faults =
      typeof found === 'boolean' ? [] : [`--${name} (${row.env}): "${String(found)}": true or false`];
    return { value: found, faults };
  }
  if (row.kind === 'number') {
    const value = Number(found);
    const wrong =
      Number.isFinite(value) && String(found).trim() !== '' ? row.check?.(String(found)) : 'not a number';
    return { value, faults: wrong === undefined ? [] : [`--${name}: "${String(found)}": ${wrong}`] };
  }
  const texts = Array.isArray(found) ? found : typeof found === 'string' ? [found] : [];
  const faults = texts.flatMap((text: string) => {
    const wrong = text === '' ? 'empty; leave the option out, or give it a value' : row.check?.(text);
    return wrong === undefined ? [] : [`--${name}: "${text}": ${wrong}`];
  });
  return { value: found, faults };
}

function renderHelp(program: string, table: OptionTable): string {
  const lines = Object.entries(table).map(([name, row]) => {
    const flag = row.kind === 'switch' ? `--${name}` : `--${name} ${row.value ?? 'VALUE'}`;
    const extras = [
      row.kind === 'list' ? 'may be repeated' : '',
      row.required === true ? 'required' : '',
      row.default === undefined ? '' : `default ${String(row.default)}`,
      row.env === undefined ? '' : `environment ${row.env}`,
    ].filter((text) => text !== '');
    return `  ${flag.padEnd(34)} ${row.help}${extras.length > 0 ? ` (${extras.join('; ')})` : ''}`;
  });
  return [`usage: ${program} [options]`, '', ...lines, `  ${'--help'.padEnd(34)} this text`, ''].join('\n');
}

/** Splits `127.0.0.1:9475`, `[::1]:9475`; undefined for anything else. */
export function parseListenAddress(
  text: string,
): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-f:]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port > 65535 ? undefined : { host, port };
}

/** A `check` for HOST:PORT. */
export function checkListenAddress(text: string): string | undefined {
  return parseListenAddress(text) === undefined ? 'not HOST:PORT, such as 127.0.0.1:9475' : undefined;
}

/** Whether only this machine can connect to it; a name other than `localhost` is not resolved. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}
