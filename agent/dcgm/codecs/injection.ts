import { Refusal } from '../../../shared/errors.ts';
import type { DcgmiRun } from '../port.ts';
import { connectionNotValid, errorText, renderExit, returnCodeFromExit } from './return-codes.ts';

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
