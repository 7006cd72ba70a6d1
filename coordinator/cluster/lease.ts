import { canonicalJson } from '../../shared/canonical-json.ts';
import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster, KubeObject } from './port.ts';

/**
 * One coordinator works at a time; the others answer REST from the same objects and wait. The rules are those of client-go's
 * leaderelection: what the record says about time is never compared with our clock, as another machine wrote it. A record that has
 * not changed for the lease's time, since we first saw it so and by our monotonic clock, is of a holder that has lost it. Written here
 * because client-node has no elector; two holders for a moment do no harm, as orders are carried out once by their id.
 */
export type LeaseOptions = {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly identity: string;
  readonly seconds: number;
  readonly clock: Clock;
  readonly log: Log;
};

const leaseName = 'xidrill-coordinator';

/** The most that `--lease-seconds` takes; whatever a record says, nobody waits longer. */
const longestSeconds = 300;

/** `held`: the lease is ours now. `other`: somebody else's. `raced`: the object was changed meanwhile; the next look shows by whom. */
type Attempt = 'held' | 'other' | 'raced';

/** Runs `work` whenever the lease is held; its signal is aborted when the lease is lost. Ends with `signal`. */
export async function holdLease(
  options: LeaseOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, seconds } = options;
  const attempt = createAttempts(options);
  const pause = () => clock.sleep((seconds * 1000) / 4, signal).catch(() => undefined);
  const trouble = (thrown: unknown): Attempt => {
    log.warn({ err: thrown }, 'lease not acquired');
    return 'other';
  };
  while (!signal.aborted) {
    const askedAt = clock.elapsed();
    if ((await attempt().catch(trouble)) !== 'held') {
      await pause();
      continue;
    }
    log.info({ identity: options.identity }, 'lease acquired');
    const lost = new AbortController();
    const broken = new AbortController();
    const working = work(AbortSignal.any([signal, lost.signal])).catch((thrown) => {
      if (signal.aborted || lost.signal.aborted) return;
      log.error({ err: thrown }, 'work under the lease failed');
      // Another coordinator may be able to do it.
      broken.abort();
    });
    await renewWhileHeld(options, attempt, askedAt, AbortSignal.any([signal, broken.signal]));
    lost.abort(new Refusal('shutting_down', 'the lease was lost'));
    await working;
    if (signal.aborted) await release(options);
    else if (broken.signal.aborted) {
      await release(options);
      await pause();
    } else log.warn({ identity: options.identity }, 'lease lost');
  }
}

/**
 * Returns when the lease is another's, or when it could not be renewed for two thirds of its time: by then others still wait for a
 * third, so that our work has stopped before theirs begins. An answer that hangs counts as none.
 */
async function renewWhileHeld(
  { clock, seconds, log }: LeaseOptions,
  attempt: () => Promise<Attempt>,
  acquiredAt: number,
  signal: AbortSignal,
): Promise<void> {
  const renewEvery = (seconds * 1000) / 3;
  const giveUpAfter = (seconds * 1000 * 2) / 3;
  // Before the request, as the record may have been changed at any moment after it.
  let renewedAt = acquiredAt;
  let wait = renewEvery;
  while (!signal.aborted) {
    await clock.sleep(wait, signal).catch(() => undefined);
    if (signal.aborted) return;
    const askedAt = clock.elapsed();
    const outcome = await inTime(attempt(), renewedAt + giveUpAfter - askedAt, clock).catch(
      (thrown: unknown) => {
        log.warn({ err: thrown }, 'lease not renewed');
        return 'raced' as const;
      },
    );
    if (outcome === 'other') return;
    if (outcome === 'held') renewedAt = askedAt;
    wait = outcome === 'held' ? renewEvery : renewEvery / 4;
    if (clock.elapsed() - renewedAt >= giveUpAfter) return;
  }
}

async function inTime(asked: Promise<Attempt>, milliseconds: number, clock: Clock): Promise<Attempt> {
  const answered = new AbortController();
  const late = clock.sleep(milliseconds, answered.signal).then(
    (): Attempt => 'raced',
    (): Attempt => 'raced',
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    // Its failure is nobody's by then.
    asked.catch(() => undefined);
    answered.abort();
  }
}

/** Each call looks at the record and takes or renews it where that is right. Throws on trouble with the API server. */
function createAttempts(options: LeaseOptions): () => Promise<Attempt> {
  const { cluster, namespace, identity, clock } = options;
  let seen: { readonly record: string; readonly at: number } | undefined;

  /** Since when the record is as it is now, as far as we have seen. */
  function unchangedFor({ spec }: KubeObject): number {
    const record = canonicalJson(spec ?? null);
    if (seen?.record !== record) seen = { record, at: clock.elapsed() };
    return clock.elapsed() - seen.at;
  }

  return async () => {
    try {
      const found = await cluster.read('leases', { namespace, name: leaseName });
      if (found === undefined) {
        await cluster.create('leases', leaseObject(options, undefined));
        return 'held';
      }
      const { holder, seconds } = leaseOf(found, options.seconds);
      const isOver = unchangedFor(found) >= seconds * 1000;
      if (holder !== identity && holder !== '' && !isOver) return 'other';
      await cluster.replace('leases', leaseObject(options, found));
      return 'held';
    } catch (thrown) {
      if (
        thrown instanceof Refusal &&
        (thrown.reason === 'object_conflict' || thrown.reason === 'object_exists')
      )
        return 'raced';
      throw thrown;
    }
  };
}

async function release(options: LeaseOptions): Promise<void> {
  try {
    const found = await options.cluster.read('leases', { namespace: options.namespace, name: leaseName });
    if (found === undefined || leaseOf(found, options.seconds).holder !== options.identity) return;
    await options.cluster.replace('leases', leaseObject({ ...options, identity: '' }, found));
  } catch (thrown) {
    options.log.warn({ err: thrown }, 'lease not released; it runs out by itself');
  }
}

function leaseObject(options: LeaseOptions, found: KubeObject | undefined): KubeObject {
  const now = microTime(options.clock.now());
  const before = found === undefined ? undefined : leaseOf(found, options.seconds);
  const isSame = before?.holder === options.identity && before.acquireTime !== undefined;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: found?.metadata ?? { name: leaseName, namespace: options.namespace },
    spec: {
      holderIdentity: options.identity,
      leaseDurationSeconds: Math.max(1, Math.round(options.seconds)),
      acquireTime: isSame ? before.acquireTime : now,
      // For people; no coordinator compares it with its own clock.
      renewTime: now,
    },
  };
}

/** What counts of a Lease, whoever wrote it: every member of its spec may be absent, or not ours. */
type LeaseRecord = {
  /** Empty: nobody holds it. */
  readonly holder: string;
  readonly acquireTime: string | undefined;
  /** `otherwise` where the record has none that can be used. */
  readonly seconds: number;
};

function leaseOf({ spec }: KubeObject, otherwise: number): LeaseRecord {
  const given = (typeof spec === 'object' && spec !== null ? spec : {}) as Readonly<Record<string, unknown>>;
  const { holderIdentity, acquireTime, leaseDurationSeconds: seconds } = given;
  const isUsable = typeof seconds === 'number' && seconds > 0;
  return {
    holder: typeof holderIdentity === 'string' ? holderIdentity : '',
    acquireTime: typeof acquireTime === 'string' ? acquireTime : undefined,
    seconds: isUsable ? Math.min(seconds, longestSeconds) : otherwise,
  };
}

/** MicroTime has six digits behind the point; a real server answers anything else with 400. */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
