import { isoFromMillis } from '../../../shared/clock.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Introspection } from '../../../shared/schemas/read-back.ts';
import type { DcgmiRun } from '../port.ts';

/** DCGM's return codes as far as `dcgmi` meets them (dcgmlib/dcgm_structs.h, dcgmReturn_enum). */
const names: Record<number, string> = {
  [-1]: 'DCGM_ST_BADPARAM',
  [-3]: 'DCGM_ST_GENERIC_ERROR',
  [-4]: 'DCGM_ST_MEMORY',
  [-5]: 'DCGM_ST_NOT_CONFIGURED',
  [-6]: 'DCGM_ST_NOT_SUPPORTED',
  [-7]: 'DCGM_ST_INIT_ERROR',
  [-8]: 'DCGM_ST_NVML_ERROR',
  [-11]: 'DCGM_ST_TIMEOUT',
  [-12]: 'DCGM_ST_VER_MISMATCH',
  [-13]: 'DCGM_ST_UNKNOWN_FIELD',
  [-14]: 'DCGM_ST_NO_DATA',
  [-16]: 'DCGM_ST_NOT_WATCHED',
  [-17]: 'DCGM_ST_NO_PERMISSION',
  [-18]: 'DCGM_ST_GPU_IS_LOST',
  [-21]: 'DCGM_ST_CONNECTION_NOT_VALID',
  [-33]: 'DCGM_ST_MODULE_NOT_LOADED',
  [-54]: 'DCGM_ST_PAUSED',
  [-56]: 'DCGM_ST_NVML_NOT_LOADED',
  [-67]: 'DCGM_ST_GPUS_DETACHED',
};

/** Exit codes with which `dcgmi` says that its own arguments were wrong: TCLAP's 1, and -2 from its main function. */
const usageCodes = new Set([1, 254]);

/** DCGM_ST_CONNECTION_NOT_VALID (dcgm_structs.h): no engine answers at the address. */
const connectionNotValid = -21;
/** DCGM_ST_NOT_WATCHED (dcgm_structs.h): also the answer for a GPU that the engine does not have. */
const notWatched = -16;

/** `dcgmi` ends with the return code as an unsigned byte: 240 is -16. Above 128 and not a code: a signal. */
export function returnCodeFromExit(exitCode: number): number {
  return exitCode >= 129 ? exitCode - 256 : exitCode;
}

/** `DCGM_ST_NOT_WATCHED (-16)`, or the plain exit code where it is none of DCGM's. */
export function renderExit(exitCode: number): string {
  if (usageCodes.has(exitCode)) return `exit ${exitCode} (dcgmi did not accept its arguments)`;
  const code = returnCodeFromExit(exitCode);
  const name = names[code];
  return name === undefined ? `exit ${exitCode}` : `${name} (${code})`;
}

/** The line that says what went wrong, without the lines that only repeat that something did. */
function errorText(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /^(error|parse error)/i.test(line)) ?? lines.find((line) => line !== '') ?? 'no text'
  );
}

const successLine = 'Successfully injected field info.';

/**
 * Undefined where `dcgmi test --inject` did it: exit code 0 and the success line. It says only that the value is in
 * the engine's cache; the proof is the introspection behind it.
 */
export function parseInjection(run: DcgmiRun): Refusal | undefined {
  const isSaid = run.output.split('\n').some((line) => line.trim() === successLine);
  if (run.exitCode === 0 && isSaid) return undefined;
  if (run.exitCode === 0) {
    return refusalFromRun(run, 'ended well but did not say that the value was injected');
  }
  return refusalFromRun(run, 'did not inject the value');
}

/** What an unsuccessful run of any subsystem becomes. */
export function refusalFromRun(run: DcgmiRun, what: string): Refusal {
  const reason =
    returnCodeFromExit(run.exitCode) === connectionNotValid ? 'engine_unreachable' : 'dcgmi_failed';
  return new Refusal(reason, `dcgmi ${what}: ${renderExit(run.exitCode)}: ${errorText(run.output)}`, {
    exitCode: run.exitCode,
    returnCode: renderExit(run.exitCode),
    output: run.output.slice(0, 4096),
    commandLine: run.commandLine,
  });
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Reads `dcgmi test --introspect --gpuid N -f F`. Null where the engine has no entry for the field; it says the same
 * about a GPU that does not exist, so the GPU has to be checked against `discovery` first.
 */
export function parseIntrospection(run: DcgmiRun): Introspection | null {
  if (returnCodeFromExit(run.exitCode) === notWatched) return null;
  if (run.exitCode !== 0) throw refusalFromRun(run, 'could not look at the field');
  const lines = new Map(run.output.split('\n').flatMap(pairOf));
  const integer = (label: string) => {
    const text = lines.get(label);
    if (text === undefined || !/^-?\d{1,15}$/.test(text))
      throw refusalFromRun(run, `printed no number for "${label}"`);
    return Number(text);
  };
  const time = (label: string) => {
    const at = parseTime(lines.get(label));
    if (at === undefined) throw refusalFromRun(run, `printed no time for "${label}"`);
    return at;
  };
  return {
    fieldTag: lines.get('Field ID') ?? '',
    watched: integer('Flags') % 2 === 1,
    samples: integer('Number of Samples'),
    newest: time('Newest Timestamp'),
    oldest: time('Oldest Timestamp'),
    watchers: integer('Number of Watchers'),
    monitorIntervalMs: integer('Monitor Interval (ms)'),
    maxAgeSeconds: integer('Max Age (sec)'),
    lastStatus: integer('Last Status'),
  };
}

/**
 * `Mon Nov 23 02:24:09 2026`, UTC because dcgmi is run with TZ=UTC. The epoch means that there is no sample: null.
 * undefined: no time.
 */
export function parseTime(text: string | undefined): string | null | undefined {
  const [, month = '', day, hour, minute, second, year] =
    /^\w{3} (\w{3}) +(\d{1,2}) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/.exec(text ?? '') ?? [];
  const index = months.indexOf(month);
  if (index < 0) return undefined;
  const at = Date.UTC(Number(year), index, Number(day), Number(hour), Number(minute), Number(second));
  const isDay = new Date(at).getUTCDate() === Number(day) && Number(hour) < 24;
  if (!isDay || Number(minute) > 59 || Number(second) > 59) return undefined;
  return at === 0 ? null : isoFromMillis(at);
}

function pairOf(line: string): [string, string][] {
  const padded = `${line} `;
  const cut = padded.indexOf(' : ');
  return cut < 0 ? [] : [[padded.slice(0, cut).trim(), padded.slice(cut + 3).trim()]];
}
