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
