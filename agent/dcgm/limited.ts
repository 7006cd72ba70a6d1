import { Refusal } from '../../shared/errors.ts';
import type { Dcgmi, DcgmiRun } from './port.ts';

/** How many runs go on at once, and how many may wait behind them. */
export type DcgmiLimits = {
  readonly atOnce: number;
  /** More are refused with `dcgmi_busy`; absent: any number waits, because something else bounds it. */
  readonly waiting?: number;
};

/** What a caller is told to wait: a run takes a tenth of a second, and 5 s where the engine does not answer. */
const retryAfterSeconds = 5;

/**
 * The same `dcgmi`, a few at once: each run is a process as root with a terminal of its own, and a few hundred of them, waiting
 * for an engine that does not answer, take all memory of the agent. Whoever waits goes first come, first served.
 */
export function limitDcgmi(dcgmi: Dcgmi, { atOnce, waiting = Number.POSITIVE_INFINITY }: DcgmiLimits): Dcgmi {
  const queue: (() => void)[] = [];
  let going = 0;

  function enter(signal: AbortSignal | undefined): Promise<void> {
    if (going < atOnce) {
      going += 1;
      return Promise.resolve();
    }
    if (queue.length >= waiting) return Promise.reject(busy(atOnce, queue.length));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const turn = () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    };
    const onAbort = () => {
      queue.splice(queue.indexOf(turn), 1);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    queue.push(turn);
    return promise;
  }

  /** The place goes to the next one, or is free. */
  function leave(): void {
    const next = queue.shift();
    if (next === undefined) going -= 1;
    else next();
  }

  return {
    locate: (engine) => dcgmi.locate(engine),
    async run(engine, args, options): Promise<DcgmiRun> {
      options.signal?.throwIfAborted();
      await enter(options.signal);
      try {
        return await dcgmi.run(engine, args, options);
      } finally {
        leave();
      }
    },
  };
}

function busy(atOnce: number, waiting: number): Refusal {
  return new Refusal(
    'dcgmi_busy',
    `${atOnce} dcgmi run already and ${waiting} requests wait for one; this agent starts no more`,
    { retryAfterSeconds, remedy: `send it again after ${retryAfterSeconds} s, and fewer at once` },
  );
}

/** One look for all who ask at the same time. */
export type SharedLook<T> = {
  /** A look that is under way, or a new one. The signal ends the wait of this caller only. */
  fresh(signal?: AbortSignal): Promise<T>;
  /** Also one that ended a moment ago. */
  recent(signal?: AbortSignal): Promise<T>;
};

/**
 * Any number of callers costs one look at a time: each look at the engines starts several processes as root. A look that fails
 * fails for all who waited for it, and the next caller starts another.
 */
export function shareLooks<T>(options: {
  readonly look: () => Promise<T>;
  /** As of a clock. */
  readonly elapsed: () => number;
  /** How long an answer counts as recent. */
  readonly keepMs: number;
}): SharedLook<T> {
  const { look, elapsed, keepMs } = options;
  let running: Promise<T> | undefined;
  let last: { readonly at: number; readonly answer: T } | undefined;

  async function run(): Promise<T> {
    try {
      const answer = await look();
      last = { at: elapsed(), answer };
      return answer;
    } finally {
      running = undefined;
    }
  }

  function fresh(signal?: AbortSignal): Promise<T> {
    running ??= run();
    return untilAborted(running, signal);
  }

  return {
    fresh,
    recent(signal) {
      if (last !== undefined && elapsed() - last.at < keepMs) return Promise.resolve(last.answer);
      return fresh(signal);
    },
  };
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
