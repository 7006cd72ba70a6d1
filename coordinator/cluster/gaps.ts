/**
 * A time in which we could not see. `lost`: the server no longer had the history and we listed again, so that states
 * in between may never be known; otherwise everything came, only later than it happened.
 */
export type Gap = {
  /** Milliseconds of the clock: the last moment at which we saw. */
  readonly from: number;
  /** Milliseconds of the clock. */
  readonly until: number;
  readonly because: string;
  readonly lost: boolean;
};

/** When a kind was last seen, and when it was not. Times in milliseconds of the clock. */
export type GapRecord = {
  /** The gaps that have ended, oldest first; the last 100. */
  readonly ended: readonly Gap[];
  /** Something came from the server: a gap that was open ends now. */
  seen(lost: boolean): void;
  /** The stream broke; the first reason since something was seen counts. */
  broke(because: string): void;
  /** When the server last sent something. */
  seenAt(): number | undefined;
  /** What was taken for a sight was none: the last one was at `at`. */
  unsee(at: number | undefined): void;
  /** The gap that is open now; undefined: none is, or nothing was ever seen. */
  open(): { readonly since: number; readonly because: string } | undefined;
};

const keptGaps = 100;

/** A record in which nothing was seen so far. */
export function createGapRecord({
  now,
  onGap,
}: {
  /** Milliseconds of the clock. */
  readonly now: () => number;
  /** Called at the end of each gap. */
  readonly onGap: (gap: Gap) => void;
}): GapRecord {
  const ended: Gap[] = [];
  let because: string | undefined;
  let seenAt: number | undefined;
  return {
    ended,
    seen(lost) {
      const until = now();
      if (because !== undefined && seenAt !== undefined) {
        const gap: Gap = { from: seenAt, until, because, lost };
        ended.push(gap);
        if (ended.length > keptGaps) ended.shift();
        onGap(gap);
      }
      because = undefined;
      seenAt = until;
    },
    broke(reason) {
      because ??= reason;
    },
    seenAt: () => seenAt,
    unsee(at) {
      seenAt = at;
    },
    open: () => (because === undefined || seenAt === undefined ? undefined : { since: seenAt, because }),
  };
}
