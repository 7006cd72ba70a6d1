import type { Clock } from '../clock.ts';
import type { Refusal } from '../errors.ts';
import { isRefused } from './review-budget.ts';

/** Long enough for a burst of requests, short enough that a deleted ServiceAccount is out within seconds. */
const rememberedMs = 10_000;
/** Shorter, as somebody who was just granted a right tries again soon. */
const refusalRememberedMs = 5_000;
const rememberedAtMost = 1000;

/** Answers of the API server by what was asked; `get` asks where none is remembered. */
export type Memory<T> = { get(key: string, ask: () => Promise<T>): Promise<T> };

/** Recent answers; calls that come while one is awaited share it. Refusals crowd out no answer. */
export function createMemory<T>(clock: Clock): Memory<T> {
  const values = createRecent<T>(clock, rememberedMs);
  const refusals = createRecent<Refusal>(clock, refusalRememberedMs);
  const asking = new Map<string, Promise<T>>();

  return {
    async get(key, ask) {
      const known = values.get(key);
      if (known !== undefined) return known;
      const refusal = refusals.get(key);
      if (refusal !== undefined) throw refusal;
      const pending = asking.get(key);
      if (pending !== undefined) return pending;
      const answer = ask();
      asking.set(key, answer);
      try {
        const value = await answer;
        values.set(key, value);
        return value;
      } catch (thrown) {
        if (isRefused(thrown)) refusals.set(key, thrown);
        throw thrown;
      } finally {
        asking.delete(key);
      }
    },
  };
}

/** What was set within the time, of the latest thousand. */
export function createRecent<T>(clock: Clock, milliseconds: number) {
  const entries = new Map<string, { readonly value: T; readonly at: number }>();

  return {
    get(key: string): T | undefined {
      const entry = entries.get(key);
      // A clock that was put back makes nothing younger.
      const age = entry === undefined ? milliseconds : clock.elapsed() - entry.at;
      return entry !== undefined && age >= 0 && age < milliseconds ? entry.value : undefined;
    },
    set(key: string, value: T): void {
      // The oldest goes first: a Map keeps the order of insertion.
      entries.delete(key);
      const [oldest] = entries.keys();
      if (entries.size >= rememberedAtMost && oldest !== undefined) entries.delete(oldest);
      entries.set(key, { value, at: clock.elapsed() });
    },
  };
}
