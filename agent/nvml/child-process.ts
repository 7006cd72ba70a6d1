import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Clock } from '../../shared/clock.ts';
import { messageFromUnknown } from '../../shared/errors.ts';
import { createNvmlChannel } from './channel.ts';
import {
  answerDescriptor,
  type NvmlFacts,
  type NvmlFailure,
  type NvmlMessage,
  type NvmlRequest,
} from './messages.ts';

/** How one request to the child ended. `during` is the native call it was last seen in. */
export type NvmlOutcome =
  | { readonly kind: 'facts'; readonly facts: NvmlFacts }
  | { readonly kind: 'failure'; readonly failure: NvmlFailure }
  | { readonly kind: 'hung'; readonly milliseconds: number; readonly during: string }
  | { readonly kind: 'crashed'; readonly signal: string; readonly during: string; readonly said: string }
  | { readonly kind: 'exited'; readonly code: number; readonly during: string; readonly said: string }
  /** It wrote what is no message, or too much of it, and was killed. */
  | { readonly kind: 'garbled'; readonly because: string; readonly during: string }
  | { readonly kind: 'not-started'; readonly message: string };

/** The process that has libnvidia-ml loaded: a crash or a hang of the driver ends it and not the agent. */
export type NvmlChild = {
  /** Undefined when the process could not be started. */
  readonly pid: number | undefined;
  /** The process is gone. */
  readonly ended: boolean;
  /** One at a time. A child that does not answer in time is killed. */
  list(timeoutMs: number): Promise<NvmlOutcome>;
  /** Asks an idle child to end itself; a busy one is in a native call and hears nothing but `kill`. */
  end(): void;
  /** SIGKILL. A process in an uninterruptible call of the driver may outlive it: see `waitForEnd`. */
  kill(): void;
  /** True when the process is gone, false when it still is not after that time. */
  waitForEnd(timeoutMs: number): Promise<boolean>;
};

/**
 * A heap for a few kilobytes of facts. Without a JIT the child stays under 50 MiB (it grows to 60 with one), but Node
 * strips the types of a .ts file with WebAssembly, which needs it; that costs 25 MiB more and is for development only.
 */
function nodeFlags(childPath: string): string[] {
  const flags = ['--max-old-space-size=32', '--max-semi-space-size=1', '--v8-pool-size=1'];
  return childPath.endsWith('.ts') ? flags : [...flags, '--jitless'];
}

const keptStderr = 4096;
/** Characters on standard error after which a child is taken for broken: it would keep the agent reading. */
const mostStderr = 1024 * 1024;
/** How long the end of a killed child is waited for; one that is stuck in the driver does not end. */
const drainMs = 250;

/** Starts the NVML child. `onEnd` is called when it is gone, asked for or not. */
export function startNvmlChild(options: {
  readonly childPath: string;
  readonly libraryPath: string;
  readonly clock: Clock;
  readonly onEnd: (how: NvmlOutcome) => void;
}): NvmlChild {
  const { clock, onEnd } = options;
  let ended = false;
  let during = 'start-up';
  let stderr = '';
  let stderrLength = 0;
  let garbled: string | undefined;
  let lastId = 0;
  let killedAfter: number | undefined;
  let request: { readonly id: number; settle(outcome: NvmlOutcome): void } | undefined;
  const ending = createEnding(clock);
  const { waitForEnd } = ending;

  const hung = (milliseconds: number): NvmlOutcome => ({ kind: 'hung', milliseconds, during });

  function finish(how: NvmlOutcome): void {
    if (ended) return;
    ended = true;
    const known = garbled === undefined ? how : ({ kind: 'garbled', because: garbled, during } as const);
    request?.settle(killedAfter === undefined ? known : hung(killedAfter));
    ending.reached();
    onEnd(known);
  }

  let child: ChildProcess;
  try {
    child = spawnChild(options);
  } catch (thrown) {
    return unstartedChild(messageFromUnknown(thrown));
  }

  function onMessage(message: NvmlMessage): void {
    if (message.id !== request?.id) return;
    if ('calling' in message) {
      during = message.calling;
      return;
    }
    // The answer of a child that has been killed meanwhile would make it look usable.
    if (killedAfter !== undefined) return;
    const { answer } = message;
    during = 'no call';
    request.settle(
      'failure' in answer ? { kind: 'failure', failure: answer.failure } : { kind: 'facts', facts: answer },
    );
  }

  /** What it would write until it is gone is not read: there may be no end to it. */
  function giveUp(because: string): void {
    if (garbled !== undefined) return;
    garbled = because;
    child.kill('SIGKILL');
    request?.settle({ kind: 'garbled', because, during });
    for (const stream of [child.stderr, answers]) stream?.destroy();
  }

  const channel = createNvmlChannel({ onMessage, onGarbage: giveUp });
  const answers = child.stdio[answerDescriptor] as Readable | null | undefined;
  answers?.setEncoding('utf8').on('data', channel.read);
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr);
    stderrLength += text.length;
    if (stderrLength > mostStderr) giveUp(`more than ${mostStderr} characters of errors`);
  });
  // A child that is gone breaks them all; `close` and the watchdog say so.
  for (const stream of [child.stdin, child.stderr, answers]) stream?.on('error', () => undefined);
  // Also emitted for a failed kill or send; only the failed start means that there is no process.
  child.on('error', (cause) => {
    if (child.pid === undefined) finish({ kind: 'not-started', message: cause.message });
  });
  // Not `exit`: that may come before the last `calling` has been read from the channel.
  child.on('close', (code, signal) => {
    const said = lastWords(stderr);
    if (signal !== null) finish({ kind: 'crashed', signal, during, said });
    else finish({ kind: 'exited', code: code ?? -1, during, said });
  });

  return {
    pid: child.pid,
    get ended() {
      return ended;
    },
    list: (timeoutMs) =>
      new Promise((resolve) => {
        const watchdog = new AbortController();
        lastId += 1;
        const current = {
          id: lastId,
          settle(outcome: NvmlOutcome) {
            request = undefined;
            watchdog.abort();
            resolve(outcome);
          },
        };
        request = current;
        channel.restart();
        clock.sleep(timeoutMs, watchdog.signal).then(
          async () => {
            killedAfter = timeoutMs;
            child.kill('SIGKILL');
            // Its end brings what was still in the channel: the call it hangs in.
            await waitForEnd(drainMs);
            current.settle(hung(timeoutMs));
          },
          () => undefined,
        );
        // A child that cannot be reached has ended or is about to: `close` or the watchdog settles it.
        child.stdin?.write(`${JSON.stringify({ id: current.id, method: 'list' } satisfies NvmlRequest)}\n`);
      }),
    end: () => void child.stdin?.end(),
    kill: () => void child.kill('SIGKILL'),
    waitForEnd,
  };
}

function spawnChild(options: { readonly childPath: string; readonly libraryPath: string }): ChildProcess {
  return spawn(process.execPath, [...nodeFlags(options.childPath), options.childPath, options.libraryPath], {
    // One malloc arena: glibc would otherwise reserve one per thread.
    env: { ...process.env, MALLOC_ARENA_MAX: '1' },
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
  });
}

/** The end of a process, for those who wait for it. */
function createEnding(clock: Clock) {
  const waiters = new Set<() => void>();
  let ended = false;
  return {
    reached(): void {
      ended = true;
      for (const wake of waiters) wake();
    },
    waitForEnd: (timeoutMs: number): Promise<boolean> =>
      new Promise((resolve) => {
        if (ended) return resolve(true);
        const limit = new AbortController();
        const wake = () => {
          waiters.delete(wake);
          limit.abort();
          resolve(ended);
        };
        waiters.add(wake);
        clock.sleep(timeoutMs, limit.signal).then(wake, () => undefined);
      }),
  };
}

function unstartedChild(message: string): NvmlChild {
  return {
    pid: undefined,
    ended: true,
    list: async () => ({ kind: 'not-started', message }),
    end: () => undefined,
    kill: () => undefined,
    waitForEnd: async () => true,
  };
}

/** The line of a stack trace or panic that names the error, else the last line. */
function lastWords(stderr: string): string {
  const lines = stderr.split('\n').map((line) => line.trim());
  const telling = lines.find((line) => /Error\b|panicked at|undefined symbol/.test(line));
  return (telling ?? lines.filter((line) => line !== '').at(-1) ?? '').slice(0, 300);
}
