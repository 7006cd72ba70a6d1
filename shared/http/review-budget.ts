import type { Clock } from '../clock.ts';
import { messageFromUnknown, Refusal } from '../errors.ts';

/** Refusals in a row after which a caller has to wait before another review is made for it. */
const freeRefusals = 20;
const firstWaitMs = 1_000;
const longestWaitMs = 60_000;

/** Reviews on their way to the API server, for one caller and for all; a real one answers hundreds a second. */
const atOnceEach = 16;
const atOnce = 32;
/** How many more may wait behind them. */
const mostWaiting = 500;

/** Callers that are remembered; the one that was seen longest ago is forgotten first. */
const mostCallers = 1_000;

/** Bounds what callers make us ask the API server. */
export type ReviewBudget = {
  /**
   * Makes one review on behalf of a caller, in its turn. Refuses with `too_many_reviews` where the caller was refused too often, or
   * too many wait; with `cluster_unreachable` while the API server has asked for a pause.
   */
  spend<T>(caller: string, review: () => Promise<T>): Promise<T>;
};

type Spender = { refusals: number; notBefore: number; going: number };
type Waiting = { readonly spender: Spender; readonly go: () => void };

/**
 * A caller whose reviews end in refusals waits ever longer for the next: 1 s after 20 in a row, then twice as long each time, up to a
 * minute. What is under way counts as refused until it has ended, so that a burst does not come past. One that was accepted clears it.
 */
export function createReviewBudget(clock: Clock): ReviewBudget {
  const spenders = new Map<string, Spender>();
  let waiting: readonly Waiting[] = [];
  let going = 0;
  let paused = { until: 0, because: '' };

  function spenderOf(caller: string): Spender {
    const spender = spenders.get(caller) ?? { refusals: 0, notBefore: 0, going: 0 };
    spenders.delete(caller);
    spenders.set(caller, spender);
    const [oldest] = spenders.keys();
    if (spenders.size > mostCallers && oldest !== undefined) spenders.delete(oldest);
    return spender;
  }

  function mayGo(spender: Spender): boolean {
    const atMost = Math.max(1, Math.min(atOnceEach, freeRefusals - spender.refusals));
    return going < atOnce && spender.going < atMost;
  }

  async function enter(spender: Spender): Promise<void> {
    if (!mayGo(spender)) {
      if (waiting.length >= mostWaiting) throw tooMany('too many callers are being checked', 1);
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = [...waiting, { spender, go: resolve }];
      await promise;
    } else take(spender);
  }

  function take(spender: Spender): void {
    going += 1;
    spender.going += 1;
  }

  /** The place goes to the first that may have it; it is taken here, as others may come before the next one runs. */
  function leave(spender: Spender): void {
    going -= 1;
    spender.going -= 1;
    for (let next = waiting.find((row) => mayGo(row.spender)); next !== undefined; ) {
      const chosen = next;
      waiting = waiting.filter((row) => row !== chosen);
      take(chosen.spender);
      chosen.go();
      next = waiting.find((row) => mayGo(row.spender));
    }
  }

  function assertMayAsk(spender: Spender): void {
    const now = clock.elapsed();
    if (now < paused.until) {
      const retryAfterSeconds = secondsUntil(paused.until, now);
      throw new Refusal('cluster_unreachable', paused.because, { retryAfterSeconds });
    }
    if (now < spender.notBefore)
      throw tooMany(
        `${spender.refusals} calls of this caller in a row were refused`,
        secondsUntil(spender.notBefore, now),
      );
  }

  function learn(spender: Spender, thrown: unknown): void {
    if (!(thrown instanceof Refusal)) return;
    const { retryAfterSeconds } = thrown.details;
    if (thrown.reason === 'cluster_unreachable' && typeof retryAfterSeconds === 'number')
      paused = {
        until: clock.elapsed() + Math.min(retryAfterSeconds * 1000, longestWaitMs),
        because: messageFromUnknown(thrown),
      };
    if (!isRefused(thrown)) return;
    spender.refusals += 1;
    const times = spender.refusals - freeRefusals;
    if (times >= 0)
      spender.notBefore = clock.elapsed() + Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(times, 10));
  }

  return {
    async spend(caller, review) {
      const spender = spenderOf(caller);
      assertMayAsk(spender);
      await enter(spender);
      try {
        assertMayAsk(spender);
        const answer = await review();
        spender.refusals = 0;
        return answer;
      } catch (thrown) {
        learn(spender, thrown);
        throw thrown;
      } finally {
        leave(spender);
      }
    },
  };
}

/** Whether it says that the caller may not, and not that it could not be found out. */
export function isRefused(thrown: unknown): thrown is Refusal {
  return thrown instanceof Refusal && ['unauthenticated', 'permission_denied'].includes(thrown.reason);
}

function secondsUntil(then: number, now: number): number {
  return Math.max(1, Math.ceil((then - now) / 1000));
}

function tooMany(because: string, retryAfterSeconds: number): Refusal {
  return new Refusal('too_many_reviews', `${because}; the API server is not asked again so soon`, {
    field: 'authorization',
    retryAfterSeconds,
    remedy: `send it again after ${retryAfterSeconds} s, with a token that is accepted here`,
  });
}
