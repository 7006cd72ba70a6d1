import type { Dcgmi, DcgmiRun } from '../../../agent/dcgm/port.ts';
import type { EngineFinder, EngineProcess } from '../../../agent/engines/port.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { HostEngine } from './engine.ts';
import {
  badInjectionText,
  badIntrospectionText,
  binaryText,
  clientVersionText,
  discoveryText,
  fieldGroupsText,
  healthOffText,
  healthText,
  injectedText,
  introspectionText,
  noModeText,
  noSuchSubsystem,
  notWatchedText,
  rejectedText,
  unreachableText,
  unreadableNumberText,
  versionsText,
} from './render.ts';

type Answer = { readonly exitCode: number; readonly output: string };
type Options = { readonly clock: Clock; readonly engines: () => readonly HostEngine[] };

/** DCGM return codes as the byte that a shell sees. */
const exits = {
  badParameter: 255,
  usage: 254,
  generic: 253,
  notSupported: 250,
  notWatched: 240,
  unreachable: 235,
};

/** How long dcgmi tries to reach an engine (measured). */
const connectMs = 5000;

const fields = new Map(fieldRows.map((row) => [row.id, row]));

/** Finds the engines of the rehearsal; one that was killed is not there. */
export function createFakeEngineFinder(options: Pick<Options, 'engines'>): EngineFinder {
  return {
    whyBlind: async () => undefined,
    find: async () =>
      options
        .engines()
        .filter((engine) => engine.state() !== 'stopped')
        .map((engine) => engine.process())
        .toSorted((a, b) => a.pid - b.pid),
  };
}

/**
 * A `dcgmi` for the engines of the rehearsal, with the texts, exit codes and traps of the real one: GPU 1 unless asked
 * otherwise, garbage read as 0, success for whatever enters the cache.
 */
export function createFakeDcgmi(options: Options): Dcgmi {
  const { clock, engines } = options;

  async function run(
    asked: EngineProcess,
    args: readonly string[],
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<DcgmiRun> {
    signal?.throwIfAborted();
    const own = engines().find((engine) => engine.process().pid === asked.pid);
    const path = own?.dcgmiPath ?? null;
    if (path === null) {
      throw new Refusal('dcgmi_not_found', `engine ${asked.pid}: ${because(own)}`, { pid: asked.pid });
    }
    const [subsystem = '', ...rest] = args;
    const commandLine = [path, subsystem, '--host', asked.address, ...rest];
    const version = own?.version ?? '4.6.0';
    const wrong = mistakeIn(subsystem, rest, version);
    if (wrong !== undefined) return { ...wrong, commandLine };

    const target = engineAt(engines(), asked);
    if (target?.state() === 'suspended') {
      await clock.sleep(timeoutMs, signal);
      throw new Refusal('dcgmi_timeout', `dcgmi did not end within ${timeoutMs} ms and was killed`, {
        timeoutMs,
        commandLine,
      });
    }
    if (subsystem === '-v') {
      return { exitCode: 0, output: versionsText(version, target?.version), commandLine };
    }
    if (target === undefined) {
      await clock.sleep(Math.min(connectMs, timeoutMs), signal);
      if (timeoutMs < connectMs) {
        throw new Refusal('dcgmi_timeout', `dcgmi did not end within ${timeoutMs} ms and was killed`, {
          timeoutMs,
          commandLine,
        });
      }
      return { exitCode: exits.unreachable, output: unreachableText(asked.address), commandLine };
    }
    return { ...answer(target, subsystem, rest, clock.now()), commandLine };
  }

  return {
    async locate(engine) {
      const own = engines().find((candidate) => candidate.process().pid === engine.pid);
      return own === undefined || own.dcgmiPath === null
        ? { because: because(own) }
        : { path: own.dcgmiPath };
    },
    run,
  };
}

function because(engine: HostEngine | undefined): string {
  return engine === undefined ? 'the process is gone' : 'there is no dcgmi in its image';
}

/** The process that has the port answers: a client cannot tell a foreign engine from its own (measured). */
function engineAt(engines: readonly HostEngine[], asked: EngineProcess): HostEngine | undefined {
  const running = engines.filter((engine) => engine.state() !== 'stopped');
  const own = running.find((engine) => engine.process().pid === asked.pid);
  if (own?.process().listening === true) return own;
  return running.find((engine) => engine.process().address === asked.address && engine.process().listening);
}

/** What dcgmi refuses before it looks for an engine. */
function mistakeIn(subsystem: string, args: readonly string[], version: string): Answer | undefined {
  if (subsystem === '--version') return { exitCode: 0, output: clientVersionText(version) };
  if (!['-v', 'discovery', 'fieldgroup', 'health', 'test'].includes(subsystem)) {
    return { exitCode: exits.badParameter, output: noSuchSubsystem };
  }
  return subsystem === 'test' ? mistakeInTest(args) : undefined;
}

function mistakeInTest(args: readonly string[]): Answer | undefined {
  const isInject = args.includes('--inject');
  if (!isInject && !args.includes('--introspect')) return { exitCode: 1, output: noModeText };
  for (const flag of ['--gpuid', '--offset']) {
    const value = option(args, flag);
    if (value === undefined) continue;
    if (!/^-?\d+$/.test(value)) return { exitCode: 1, output: unreadableNumberText(flag, value) };
    if (value.startsWith('-')) {
      const name = flag.slice(2);
      return rejected(`Error: Positive value expected, negative value found for arg ${name}.`);
    }
  }
  if (isInject && option(args, '-g', '--group') !== undefined) {
    return rejected('Error: Injection can only be specified for a single GPU.');
  }
  if (option(args, '-f', '--field') === undefined) {
    return rejected('Error: The --field argument is required for --inject and --introspect.');
  }
  if (isInject && option(args, '-v', '--value') === undefined) {
    return rejected('Error: The -v/--value argument is required for --inject.');
  }
  return undefined;
}

function rejected(line: string): Answer {
  return { exitCode: exits.usage, output: rejectedText(line) };
}

function answer(engine: HostEngine, subsystem: string, args: readonly string[], nowMs: number): Answer {
  switch (subsystem) {
    case 'discovery':
      return { exitCode: 0, output: discoveryText(engine.gpus, engine.isBlind()) };
    case 'fieldgroup':
      return { exitCode: 0, output: fieldGroupsText(engine.fieldGroups(), args.includes('-j')) };
    case 'health':
      return engine.isHealthOn()
        ? { exitCode: 0, output: healthText(engine.healthCheck()) }
        : { exitCode: exits.generic, output: healthOffText };
    default:
      return args.includes('--inject') ? inject(engine, args, nowMs) : introspect(engine, args);
  }
}

function inject(engine: HostEngine, args: readonly string[], nowMs: number): Answer {
  const text = option(args, '-v', '--value') ?? '';
  const field = fieldOf(args);
  if (field === undefined) return { exitCode: exits.badParameter, output: badInjectionText };
  if (field.type === 'binary') return { exitCode: exits.notSupported, output: binaryText(text) };
  const offset = Number(option(args, '--offset') ?? 1);
  const isDone = engine.inject({
    gpuId: gpuOf(args),
    fieldId: field.id,
    ...parsedValue(field, text),
    // Whole seconds of dcgmi's clock.
    stampMs: (Math.floor(nowMs / 1000) + offset) * 1000,
  });
  return isDone
    ? { exitCode: 0, output: injectedText }
    : { exitCode: exits.badParameter, output: badInjectionText };
}

function introspect(engine: HostEngine, args: readonly string[]): Answer {
  const gpuId = gpuOf(args);
  const field = fieldOf(args);
  if (field === undefined) return { exitCode: exits.badParameter, output: badIntrospectionText(gpuId) };
  const facts = engine.facts(gpuId, field.id);
  if (facts === undefined) return { exitCode: exits.notWatched, output: notWatchedText(gpuId) };
  return { exitCode: 0, output: introspectionText(field.tag ?? field.name.toLowerCase(), facts) };
}

/** Not 0: in every version the default is 1. */
function gpuOf(args: readonly string[]): number {
  return Number(option(args, '--gpuid') ?? 1);
}

/** atoi into 16 bits: a name is 0 and no field, 65766 is 230. */
function fieldOf(args: readonly string[]): FieldRow | undefined {
  const text = option(args, '-f', '--field') ?? '';
  return fields.get(Number(/^\s*[+-]?\d+/.exec(text)?.[0] ?? 0) & 0xffff);
}

/** DCGM_INT64_BLANK and DCGM_FP64_BLANK: what is above means "no value". */
const blankInt64 = 2 ** 63;
const blankDouble = 140737488355328;

/** atol and atof: what is no number is 0, what begins as one is that, too much is the largest. */
function parsedValue(field: FieldRow, text: string): { value: number | undefined; text: string } {
  if (field.type === 'string') return { value: undefined, text };
  if (field.type === 'double') {
    const number = Number.parseFloat(text);
    const value = Number.isNaN(number) ? 0 : number;
    return { value: value >= blankDouble ? undefined : value, text: String(value) };
  }
  const digits = /^\s*[+-]?\d+/.exec(text)?.[0] ?? '0';
  const value = Number(digits);
  return { value: value >= blankInt64 ? undefined : value, text: digits.trim() };
}

function option(args: readonly string[], ...names: readonly string[]): string | undefined {
  const index = args.findIndex((argument) => names.includes(argument));
  return index < 0 ? undefined : args[index + 1];
}
