/** Fields that code treats in a way of their own, by number. */

/** The last Xid of a GPU. */
export const xidField = 230;

/** NVLink counters over the life of the board: CRC errors of the data link, recoveries, replays (nma.md §1.4). */
export const lifetimeCounters: readonly number[] = [497, 498, 499];
