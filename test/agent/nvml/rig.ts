import { readdirSync, readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { createForkedNvml, type ForkedNvmlOptions } from '../../../agent/nvml/forked.ts';
import type { Nvml } from '../../../agent/nvml/port.ts';
import type { NvmlAnswer } from '../../../shared/gpu-identity.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createManualClock, type ManualClock } from '../../manual-clock.ts';
import { buildStubLibrary, type StubLibrary } from './stub/build.ts';

export type Rig = { readonly nvml: Nvml; readonly clock: ManualClock; readonly stub: StubLibrary };

/** NVML over a stub of its own, on a clock that stands. */
export function start(
  t: Test,
  options: Partial<ForkedNvmlOptions> & { readonly flags?: readonly string[] } = {},
): Rig {
  const { flags = [], ...rest } = options;
  const stub = buildStubLibrary(t, ...flags);
  const clock = createManualClock();
  const nvml = createForkedNvml({
    clock,
    log: createSilentLog(),
    libraryPath: stub.path,
    timeoutMs: 5_000,
    ...rest,
  });
  t.teardown(() => nvml.close());
  return { nvml, clock, stub };
}

/** The NVML children of this process that are not gone yet. */
export function children(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isOurChild(name))
    .map(Number);
}

function isOurChild(pid: string): boolean {
  try {
    const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1];
    // esbuild keeps a service of its own beside us.
    return (
      Number(parent) === process.pid && !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('esbuild')
    );
  } catch {
    return false;
  }
}

/** The reason of an answer that has to be a refusal. */
export function because(answer: NvmlAnswer): string {
  if (answer.available) throw new Error('NVML answered');
  return answer.because;
}
