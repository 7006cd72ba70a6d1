/** Every time constant of the node monitoring agent and of what it stands on, in milliseconds, with its source. */

const second = 1000;
const minute = 60 * second;

/** How often changed conditions are written; nothing is written when nothing changed (nma.md §2.1, node_exporter.go). */
export const reportTickMs = 15 * second;

/** How often the heartbeat of every managed condition is renewed in memory (nma.md §2.1). */
export const heartbeatTickMs = 5 * minute;

/** A heartbeat older than this in the API: NMA is not writing (nma.md §3: one heartbeat tick plus one report tick). */
export const heartbeatStaleMs = heartbeatTickMs + reportTickMs;

/** Health check of the host engine (nma.md §1.4), with first-tick jitter. */
export const healthTickMs = 5 * minute;

/** Reading of the watched fields (nma.md §1.5), with first-tick jitter; also how far back it looks. */
export const fieldTickMs = 5 * minute;

/** Number of GPUs against device files and instance type (nma.md §1.6), with first-tick jitter. */
export const deviceCountTickMs = 5 * minute;

/** Connection to the host engine made or checked (nma.md §1.6, dcgm_reconcile.go), with first-tick jitter. */
export const reconcileTickMs = 30 * second;

/** The first tick of a period P comes after P + U(0, 0.2 · P), later ones after P (nma.md §1.0, pkg/util/time.go). */
export const firstTickJitter = 0.2;

/** Until a health check has surely come: the first one after a start comes last, and half a minute to connect. */
export const healthTickSurelyMs = healthTickMs * (1 + firstTickJitter) + 30 * second;

/** A lost engine is reported no earlier than this after the last shutdown or NMA's start (nma.md §1.6). */
export const engineGraceMs = 1 * minute;

/** A stopped, not killed, engine answers nothing until this is over (nma.md §1.6). */
export const engineRequestTimeoutMs = 60 * second;

/** From NMA's start until its policies listen (nma.md §2.3: 30 to 36 s; measured: 36 s, dcgm-measured.md). */
export const policiesListenMaxMs = reconcileTickMs * (1 + firstTickJitter);

/** client-go's event correlator (nma.md §1.0): lookback and number of different messages before they are combined. */
export const eventAggregateWindowMs = 10 * minute;
/** More different messages than this within the window become one combined event. */
export const eventAggregateLimit = 10;
/** Its token bucket, one per source, object and event type: burst, then one per period (nma.md §1.0). */
export const eventBurst = 25;
/** One more event may be written after each such time. */
export const eventRefillMs = 300 * second;
/** Failed event writes (nma.md §1.0): attempts and the pause between them. */
export const eventWriteAttempts = 12;
/** Between two attempts. */
export const eventRetryMs = 10 * second;

/** The host engine's own limit between two alerts of one kind on one GPU, by sample time (dcgm-measured.md §3). */
export const policySlotMs = 5 * second;
