import type { Clock } from '../../../shared/clock.ts';
import { xidField } from '../../../shared/dcgm-fields/ids.ts';
import { type EngineGpuOptions, readingOf } from './readings.ts';

/** One value of a field on one GPU. */
export type Sample = {
  /** Microseconds, as the engine stamps them. */
  readonly stampUs: number;
  /** undefined: no value; the driver does not support it, or it is one of DCGM's blanks. */
  readonly value: number | undefined;
  /** As it was written, where it was injected. */
  readonly text?: string;
};

/** Who watches a field, how often it is read for it and how long its samples stay. */
export type Watcher = {
  readonly owner: 'policy' | 'health' | 'client';
  readonly connection: number;
  readonly intervalMs: number;
  readonly maxAgeMs: number;
};

type Entry = {
  readonly gpu: EngineGpuOptions;
  readonly fieldId: number;
  readonly samples: Sample[];
  watchers: Watcher[];
  /** When the driver was asked last, or counts as asked: an injection in the future puts the next poll off. */
  queriedMs: number;
  fetches: number;
};

/** An entry of the cache as `dcgmi test --introspect` shows it. */
export type EntryFacts = {
  readonly watchers: number;
  readonly samples: number;
  readonly newestUs: number;
  readonly oldestUs: number;
  readonly intervalMs: number;
  readonly maxAgeMs: number;
  /** How often the driver was asked. */
  readonly fetches: number;
  /** The last reading's DCGM return code; 0: it worked. */
  readonly status: number;
};

/** What an entry without a watcher retains (measured). */
const unwatchedMaxAgeMs = 30_000;
/** The struct that lists watchers ends here (dcgm.md §1.9). */
const mostWatchers = 10;
/** NVML_ERROR_NOT_SUPPORTED, as the last status shows it. */
const nvmlNotSupported = 3;
/** DCGM_FP64_BLANK: "no reading", which is not the same as "not supported". */
const blankDouble = '140737488355328';

/**
 * The time series of an engine, by GPU and field. Polls of the driver are caught up with when somebody looks, so that
 * a thousand idle engines cost nothing.
 */
export function createCache(deps: {
  readonly clock: Clock;
  readonly isBlind: () => boolean;
  /** The driver was read for a field that policies look at; the series ends with what it gave. */
  readonly onPoll: (
    gpu: EngineGpuOptions,
    fieldId: number,
    series: readonly Sample[],
    sample: Sample,
  ) => void;
}) {
  const { clock, isBlind, onPoll } = deps;
  const entries = new Map<string, Entry>();

  function entryOf(gpu: EngineGpuOptions, fieldId: number): Entry {
    const key = `${gpu.id}/${fieldId}`;
    const known = entries.get(key);
    if (known !== undefined) return known;
    const made: Entry = {
      gpu,
      fieldId,
      samples: [],
      watchers: [],
      queriedMs: Number.NEGATIVE_INFINITY,
      fetches: 0,
    };
    entries.set(key, made);
    return made;
  }

  function poll(entry: Entry, atMs: number): void {
    const value = isBlind() ? undefined : readingOf(entry.gpu, entry.fieldId);
    entry.queriedMs = atMs;
    entry.fetches += 1;
    const sample = { stampUs: atMs * 1000, value, ...(isBlind() && { text: blankDouble }) };
    add(entry, sample, clock.now());
    if (value === undefined || !entry.watchers.some(({ owner }) => owner === 'policy')) return;
    const isNewest = entry.samples.at(-1)?.stampUs === sample.stampUs;
    const series = isNewest
      ? entry.samples
      : entry.samples.filter((known) => known.stampUs <= sample.stampUs);
    onPoll(entry.gpu, entry.fieldId, series, sample);
  }

  function catchUp(entry: Entry): void {
    // Xids come as events; the driver is never asked for them, so nothing overwrites an injected one.
    if (entry.watchers.length === 0 || entry.fieldId === xidField) return;
    const interval = intervalOf(entry);
    const now = clock.now();
    // What would have left the series by now need not be made.
    const from = now - maxAgeOf(entry);
    if (entry.queriedMs + interval < from) {
      const skipped = Math.floor((from - entry.queriedMs) / interval);
      entry.queriedMs += skipped * interval;
      entry.fetches += skipped;
    }
    while (entry.queriedMs + interval <= now) poll(entry, entry.queriedMs + interval);
  }

  function watch(gpu: EngineGpuOptions, fieldId: number, watcher: Watcher): void {
    const entry = entryOf(gpu, fieldId);
    catchUp(entry);
    if (entry.watchers.length < mostWatchers) entry.watchers.push(watcher);
    // Whoever starts to watch has the fields read at once.
    if (fieldId !== xidField && entry.queriedMs < clock.now()) poll(entry, clock.now());
  }

  return {
    watch,
    /** Returns what policies see: the sample as injected, and the series up to its time. */
    inject(gpu: EngineGpuOptions, fieldId: number, sample: Sample): readonly Sample[] {
      const entry = entryOf(gpu, fieldId);
      catchUp(entry);
      add(entry, sample, clock.now());
      entry.queriedMs = Math.max(clock.now(), sample.stampUs / 1000, entry.queriedMs);
      return entry.samples.filter((known) => known.stampUs <= sample.stampUs);
    },
    samples(gpu: EngineGpuOptions, fieldId: number): readonly Sample[] {
      const entry = entries.get(`${gpu.id}/${fieldId}`);
      if (entry === undefined) return [];
      catchUp(entry);
      return entry.samples;
    },
    isWatchedBy(gpu: EngineGpuOptions, fieldId: number, owner: Watcher['owner']): boolean {
      return (
        entries.get(`${gpu.id}/${fieldId}`)?.watchers.some((watcher) => watcher.owner === owner) ?? false
      );
    },
    /** undefined: never watched and never injected. */
    facts(gpuId: number, fieldId: number): EntryFacts | undefined {
      const entry = entries.get(`${gpuId}/${fieldId}`);
      if (entry === undefined) return undefined;
      catchUp(entry);
      return factsOf(entry);
    },
    /** A connection is gone: only what it watched as a client goes with it; policy and health watches leak. */
    forget(connection: number): void {
      for (const entry of entries.values()) {
        catchUp(entry);
        entry.watchers = entry.watchers.filter(
          (watcher) => watcher.owner !== 'client' || watcher.connection !== connection,
        );
      }
    },
    clear(): void {
      entries.clear();
    },
  };
}

/** Kept in order of time; of equal stamps the later one is moved by a microsecond (timeseries.c). */
function add(entry: Entry, sample: Sample, nowMs: number): void {
  const { samples } = entry;
  let { stampUs } = sample;
  // Nearly always the newest; anything else is an injection into the past of another one.
  let at = samples.length;
  while (at > 0 && (samples[at - 1]?.stampUs ?? 0) > stampUs) at -= 1;
  if (samples[at - 1]?.stampUs === stampUs) {
    stampUs += 1;
    while (samples[at]?.stampUs === stampUs) {
      stampUs += 1;
      at += 1;
    }
  }
  samples.splice(at, 0, { ...sample, stampUs });
  // Old samples go when a new one comes, not by themselves (measured: still there after 39 s).
  const oldestUs = (nowMs - maxAgeOf(entry)) * 1000;
  const first = samples.findIndex((known) => known.stampUs >= oldestUs || known.stampUs === stampUs);
  if (first > 0) samples.splice(0, first);
}

function factsOf(entry: Entry): EntryFacts {
  const isSupported = entry.fetches === 0 || readingOf(entry.gpu, entry.fieldId) !== undefined;
  return {
    watchers: entry.watchers.length,
    samples: entry.samples.length,
    newestUs: entry.samples.at(-1)?.stampUs ?? 0,
    oldestUs: entry.samples[0]?.stampUs ?? 0,
    intervalMs: entry.watchers.length === 0 ? 0 : intervalOf(entry),
    maxAgeMs: maxAgeOf(entry),
    fetches: entry.fetches,
    status: isSupported ? 0 : nvmlNotSupported,
  };
}

function intervalOf(entry: Entry): number {
  return Math.min(...entry.watchers.map((watcher) => watcher.intervalMs));
}

function maxAgeOf(entry: Entry): number {
  return entry.watchers.length === 0
    ? unwatchedMaxAgeMs
    : Math.max(...entry.watchers.map((watcher) => watcher.maxAgeMs));
}
