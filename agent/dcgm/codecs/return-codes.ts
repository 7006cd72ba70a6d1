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
export const connectionNotValid = -21;
/** DCGM_ST_NOT_WATCHED (dcgm_structs.h): also the answer for a GPU that the engine does not have. */
export const notWatched = -16;

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
export function errorText(output: string): string {
  const lines = output.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /^(error|parse error)/i.test(line)) ?? lines.find((line) => line !== '') ?? 'no text'
  );
}
