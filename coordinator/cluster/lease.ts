import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster, KubeObject } from './port.ts';

/**
 * One coordinator works at a time; the others answer REST from the same objects and wait. The rules are those of
 * client-go's leaderelection: a holder that did not renew for the lease's time has lost it. Written here because
 * client-node has no elector; two holders for a moment do no harm, as orders are carried out once by their id.
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

/** Runs `work` whenever the lease is held; its signal is aborted when the lease is lost. Ends with `signal`. */
export async function holdLease(
  options: LeaseOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log, seconds } = options;
  const pause = () => clock.sleep((seconds * 1000) / 4, signal).catch(() => undefined);
  const trouble = (thrown: unknown) => {
    log.warn({ err: thrown }, 'lease not acquired');
    return false;
  };
  while (!signal.aborted) {
    if (!(await tryAcquire(options).catch(trouble))) {
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
    await renewWhileHeld(options, AbortSignal.any([signal, broken.signal]));
    lost.abort(new Refusal('shutting_down', 'the lease was lost'));
    await working;
    if (signal.aborted) await release(options);
    else if (broken.signal.aborted) {
      await release(options);
      await pause();
    } else log.warn({ identity: options.identity }, 'lease lost');
  }
}

async function renewWhileHeld(options: LeaseOptions, signal: AbortSignal): Promise<void> {
  const { clock, seconds, log } = options;
  let renewedAt = clock.now();
  while (!signal.aborted) {
    await clock.sleep((seconds * 1000) / 3, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      if (!(await tryAcquire(options))) return;
      renewedAt = clock.now();
    } catch (thrown) {
      log.warn({ err: thrown }, 'lease not renewed');
      if (clock.now() - renewedAt >= seconds * 1000) return;
    }
  }
}

/** True where the lease is ours afterwards; a lost race is false. Throws on trouble with the API server. */
async function tryAcquire(options: LeaseOptions): Promise<boolean> {
  const { cluster, namespace, identity, clock } = options;
  try {
    const found = await cluster.read('leases', { namespace, name: leaseName });
    if (found === undefined) {
      await cluster.create('leases', leaseObject(options, undefined));
      return true;
    }
    const { holderIdentity: holder = '', renewTime = '', leaseDurationSeconds = 0 } = leaseOf(found);
    const renewed = Date.parse(renewTime);
    const runsFor = leaseDurationSeconds * 1000;
    const isFree = holder === '' || Number.isNaN(renewed) || clock.now() >= renewed + runsFor;
    if (holder !== identity && !isFree) return false;
    await cluster.replace('leases', leaseObject(options, found));
    return true;
  } catch (thrown) {
    if (
      thrown instanceof Refusal &&
      (thrown.reason === 'object_conflict' || thrown.reason === 'object_exists')
    )
      return false;
    throw thrown;
  }
}

async function release(options: LeaseOptions): Promise<void> {
  try {
    const found = await options.cluster.read('leases', { namespace: options.namespace, name: leaseName });
    if (found === undefined || leaseOf(found).holderIdentity !== options.identity) return;
    await options.cluster.replace('leases', leaseObject({ ...options, identity: '' }, found));
  } catch (thrown) {
    options.log.warn({ err: thrown }, 'lease not released; it runs out by itself');
  }
}

function leaseObject(options: LeaseOptions, found: KubeObject | undefined): KubeObject {
  const now = microTime(options.clock.now());
  const before = found === undefined ? {} : leaseOf(found);
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: found?.metadata ?? { name: leaseName, namespace: options.namespace },
    spec: {
      holderIdentity: options.identity,
      leaseDurationSeconds: Math.max(1, Math.round(options.seconds)),
      acquireTime: before.holderIdentity === options.identity ? before.acquireTime : now,
      renewTime: now,
    },
  };
}

/** `spec` of coordination.k8s.io/v1 Lease; the API server validates it, and every member may be absent. */
type LeaseSpec = {
  readonly holderIdentity?: string;
  readonly renewTime?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
};

function leaseOf({ spec }: KubeObject): LeaseSpec {
  return (spec ?? {}) as LeaseSpec;
}

/** MicroTime has six digits behind the point; a real server answers anything else with 400. */
function microTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('Z', '000Z');
}
