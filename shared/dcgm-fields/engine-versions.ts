/**
 * DCGM releases at which the host engine changed in a way that drills depend on (dcgm.md §2 and §3, dcgm-measured.md).
 * Which Xid has which health code in which release stands in health-codes.ts, a field's own first release in its row.
 */

/** Releases whose behaviour was read or measured: from the first to before the second. */
export const knownEngines = { from: '4.4.2', below: '4.7.0' } as const;

/** From here on a counter policy compares with the sample before; until then any value above 0 fires (measured). */
export const countersCompareSince = '4.6.0';

/** From here on the engine keeps samples of what the monitoring agent watches for 600 s, until then for about 33 s. */
export const keepsWatchedSince = '4.5.0';
