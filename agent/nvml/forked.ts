import { fileURLToPath } from 'node:url';
import type { Clock } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import type { NvmlAnswer } from '../../shared/gpu-identity.ts';
import type { Log } from '../../shared/log.ts';
import { type NvmlChild, type NvmlOutcome, startNvmlChild } from './child-process.ts';
import { type LocatedLibrary, locateNvmlLibrary } from './locate-library.ts';
import type { NvmlFailure } from './messages.ts';
import type { Nvml } from './port.ts';
import { nvmlCode, nvmlCodeName, nvmlCodeRemedy } from './return-codes.ts';

/** Where the child and the library are, and how long one list may take. */
export type ForkedNvmlOptions = {
  readonly clock: Clock;
  readonly log: Log;
  /** A name, which is looked for as the dynamic linker does, or an absolute path. */
  readonly libraryPath?: string;
  /** Finds the file that the name stands for, if it may be loaded. Default: on this machine. */
  readonly locate?: (name: string) => Promise<LocatedLibrary>;
  /**
   * How long one `list` may take, start of the child included. Without persistence mode the driver initialises each
   * GPU for every list, a second or so apiece: nodes that run that way need more.
   */
  readonly timeoutMs?: number;
  /** The child's program. A bundle has it as a file of its own and says where. */
  readonly childPath?: string;
};

/** A missing library does not appear from one second to the next; everything else may be over at once. */
const libraryPauseMs = 5_000;
const firstPauseMs = 1_000;
const longestPauseMs = 10_000;
/** For a child to end itself when asked to, and again for the kernel to end it. */
const farewellMs = 1_000;

/** NVML in a child process that is forked at the first call, killed when it hangs, and forked again when it is gone. */
export function createForkedNvml(options: ForkedNvmlOptions): Nvml {
  const { clock, log, libraryPath = 'libnvidia-ml.so.1', timeoutMs = 5_000 } = options;
  const { locate = locateNvmlLibrary } = options;
  const childPath = options.childPath ?? fileURLToPath(new URL('./child.ts', import.meta.url));
  let child: NvmlChild | undefined;
  /** Was asked to end and may not have done so yet; no other is started beside it. */
  let leaving: NvmlChild | undefined;
  let running: Promise<NvmlAnswer> | undefined;
  let pause: (Why & { readonly until: number }) | undefined;
  let failuresInRow = 0;
  let closed = false;

  async function answer(): Promise<NvmlAnswer> {
    const deadline = clock.elapsed() + timeoutMs;
    if (pause !== undefined && clock.elapsed() < pause.until) {
      const seconds = Math.ceil((pause.until - clock.elapsed()) / 1000);
      const { isUnseen } = pause;
      const because = `${pause.because}; not asked again for ${renderDuration(seconds)}`;
      return unavailable({ because, ...(isUnseen && { isUnseen }) });
    }
    if (leaving !== undefined && !(await seeOff(leaving))) {
      return failed({
        because:
          `the NVML child (pid ${leaving.pid}) was killed and does not end, so it is stuck inside the kernel ` +
          'driver; no other is started beside it',
      });
    }
    leaving = undefined;
    if (closed) return closedAnswer;
    let used = child;
    if (used === undefined) {
      // Looked at for each child, as the file may be another one by then.
      const library = await locate(libraryPath);
      if ('because' in library) {
        const because = becauseOfLibrary(library, libraryPath);
        return failed({ because, isUnseen: true }, libraryPauseMs);
      }
      if (closed) return closedAnswer;
      used = start(library.path);
      child = used;
    }
    const outcome = await used.list(Math.max(1, deadline - clock.elapsed()));
    if (closed) return closedAnswer;
    if (outcome.kind === 'facts') {
      failuresInRow = 0;
      pause = undefined;
      return { available: true, ...outcome.facts };
    }
    retire(used, outcome.kind);
    return failed(whyOf(outcome, libraryPath), isLibraryMissing(outcome) ? libraryPauseMs : undefined);
  }

  function start(path: string): NvmlChild {
    const started = startNvmlChild({
      childPath,
      libraryPath: path,
      clock,
      onEnd(how) {
        if (child === started) child = undefined;
        else return;
        // Between two requests this is the only trace of it; the next list starts another child.
        if (running !== undefined || closed) return;
        log.warn({ pid: started.pid, how }, 'the NVML child ended');
        // One that writes garbage by itself would be started and killed with every list.
        if (how.kind === 'garbled') failed(whyOf(how, libraryPath));
      },
    });
    log.debug({ pid: started.pid, path }, 'started the NVML child');
    return started;
  }

  /** A fresh process opens the library anew, which is what a repaired driver needs. */
  function retire(used: NvmlChild, why: NvmlOutcome['kind']): void {
    if (child === used) child = undefined;
    if (used.ended) return;
    leaving = used;
    if (why === 'failure') used.end();
    else used.kill();
  }

  async function seeOff(ending: NvmlChild): Promise<boolean> {
    if (await ending.waitForEnd(farewellMs)) return true;
    ending.kill();
    return ending.waitForEnd(farewellMs);
  }

  function failed(why: Why, pauseMs?: number): NvmlAnswer {
    const backOff = Math.min(longestPauseMs, firstPauseMs * 2 ** failuresInRow);
    failuresInRow = Math.min(failuresInRow + 1, 10);
    pause = { ...why, until: clock.elapsed() + (pauseMs ?? backOff) };
    log.warn({ because: why.because }, 'NVML does not answer');
    return unavailable(why);
  }

  return {
    async list(signal) {
      if (closed) return closedAnswer;
      if (signal?.aborted === true) return unavailable({ because: gaveUp });
      running ??= answer().finally(() => {
        running = undefined;
      });
      return signal === undefined ? running : unlessAborted(running, signal);
    },
    async close() {
      closed = true;
      const ending = child ?? leaving;
      if (ending !== undefined) {
        // A busy child is inside a native call, which may be the one that hangs.
        if (running === undefined) ending.end();
        else ending.kill();
        if (!(await seeOff(ending))) {
          log.error({ pid: ending.pid }, 'the NVML child was killed and does not end; it is left behind');
        }
      }
      await running;
    },
  };
}

const gaveUp = 'the caller gave up before NVML answered';
const closedAnswer = unavailable({ because: 'the access to NVML has been closed' });

type Why = Omit<Extract<NvmlAnswer, { available: false }>, 'available'>;

function unavailable(why: Why): NvmlAnswer {
  return { available: false, ...why };
}

/** The request goes on for the others who wait for it. */
function unlessAborted(running: Promise<NvmlAnswer>, signal: AbortSignal): Promise<NvmlAnswer> {
  return new Promise((resolve, reject) => {
    const giveUp = () => resolve(unavailable({ because: gaveUp }));
    signal.addEventListener('abort', giveUp, { once: true });
    running.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp));
  });
}

type Failed = Exclude<NvmlOutcome, { kind: 'facts' }>;

function isLibraryMissing(outcome: Failed): boolean {
  return outcome.kind === 'failure' && outcome.failure.kind === 'library';
}

/** Codes with which NVML answers where /dev/nvidia* may not be opened, or are not there (nvml.h). */
const unseenCodes: readonly number[] = [nvmlCode.noPermission, nvmlCode.driverNotLoaded];

function whyOf(outcome: Failed, libraryPath: string): Why {
  const isUnseen =
    outcome.kind === 'failure' &&
    (outcome.failure.kind === 'library' ||
      (outcome.failure.kind === 'nvml' && unseenCodes.includes(outcome.failure.code)));
  return { because: becauseOf(outcome, libraryPath), ...(isUnseen ? { isUnseen } : {}) };
}

function becauseOf(outcome: Failed, libraryPath: string): string {
  switch (outcome.kind) {
    case 'failure':
      return becauseOfFailure(outcome.failure, libraryPath);
    case 'hung':
      return `NVML did not answer within ${outcome.milliseconds} ms (in ${outcome.during}); its child was killed`;
    case 'crashed':
      return `the NVML child crashed with ${outcome.signal} (in ${outcome.during})${quote(outcome.said)}`;
    case 'exited':
      return `the NVML child exited with code ${outcome.code} (in ${outcome.during})${quote(outcome.said)}`;
    case 'garbled':
      return `the NVML child was killed, because it sent ${outcome.because} (in ${outcome.during})`;
    case 'not-started':
      return `the NVML child could not be started: ${outcome.message}`;
  }
}

function becauseOfLibrary(
  { because, isRefused }: Exclude<LocatedLibrary, { path: string }>,
  libraryPath: string,
): string {
  if (!isRefused) return becauseOfFailure({ kind: 'library', message: because }, libraryPath);
  return `${libraryPath} is not loaded: ${because}; have it belong to root and be writable by nobody else, with all folders that lead to it (chown root, chmod go-w), or give the agent --nvml PATH with one that is (in the chart agent.gpu.library)`;
}

function becauseOfFailure(failure: NvmlFailure, libraryPath: string): string {
  switch (failure.kind) {
    case 'library':
      return (
        `${libraryPath} cannot be loaded (${failure.message.replace(/\s+/g, ' ').trim()}): there is no NVIDIA driver ` +
        'on this node, or its libraries are not visible to the agent; the NVIDIA container runtime mounts them with ' +
        'NVIDIA_VISIBLE_DEVICES=all and NVIDIA_DRIVER_CAPABILITIES=utility'
      );
    case 'nvml': {
      const remedy = nvmlCodeRemedy(failure.code);
      return `${failure.call} answered ${nvmlCodeName(failure.code)}${remedy === undefined ? '' : `: ${remedy}`}`;
    }
    case 'defect':
      return `the NVML child failed unexpectedly: ${failure.message}`;
  }
}

function quote(said: string): string {
  return said === '' ? '' : `: ${said}`;
}
