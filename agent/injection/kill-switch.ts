import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { isOlder, type KillSwitchState, type KillSwitchUpdate } from '../../shared/schemas/kill-switch.ts';

/**
 * How long what goes on may do so after the last word of a coordinator, in real time. It renews each 500 ms, so that two words may be
 * lost, and what goes on has ended within 2 s after the last coordinator died.
 */
export const leaseMs = 1_300;

/**
 * For so long after a state of the switch was taken, an older one is refused: a message of a coordinator arrives late by a second, or by
 * as long as this process was held up. Where nothing newer came for that long, the API server's store was restored from a backup, or
 * the node is in another cluster, and counts from a smaller version. Real time.
 */
const lateMs = 30_000;

/** The last part of the lease: time to read what has come. */
const unreadMs = 100;

/** The switch as this agent was last informed of it. It survives a restart: nothing is injected before a coordinator releases it. */
export type KillSwitch = {
  state(): KillSwitchState;
  /** Refuses with `kill_switch_engaged`. */
  assertReleased(): void;
  /**
   * What a coordinator reports of the switch. Engaged: everything that goes on ends. Not engaged: that also renews its lease. Refuses
   * with `kill_switch_outdated` what is older than what it knows; without a revision it counts as new.
   */
  set(update: KillSwitchUpdate): KillSwitchState;
  /** An order has begun: the lease runs from here until the next word. */
  began(): void;
};

/** Over a file in the state directory; `end` is called with everything that goes on to be ended. */
export function openKillSwitch(options: {
  readonly stateDir: string;
  /** False: what goes on needs no coordinator, as where people call the agent by hand. */
  readonly needsLease: boolean;
  readonly end: (why: 'kill-switch' | 'lease-lost') => number;
  readonly clock: Clock;
  readonly log: Log;
}): KillSwitch {
  const { needsLease, end, clock, log } = options;
  const file = join(options.stateDir, 'kill-switch.json');
  let state = readState(file, log);
  let lease: NodeJS.Timeout | undefined;
  // As if it had been taken at the start: a message may have waited for that.
  let takenAt = performance.now();

  function save(): void {
    try {
      mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
      writeFileSync(file, `${JSON.stringify(state)}\n`, { mode: 0o600 });
    } catch (thrown) {
      log.error({ err: thrown, file }, 'the kill switch cannot be recorded; a restart forgets it');
    }
  }

  function renew(): void {
    clearTimeout(lease);
    if (!needsLease) return;
    lease = setTimeout(() => {
      // Where this process was held up, a word that came in time may still lie in the socket: that is read first.
      lease = setTimeout(() => {
        const orders = end('lease-lost');
        if (orders > 0)
          log.warn({ orders, leaseMs }, 'no coordinator renewed the lease; what went on is ended');
      }, unreadMs);
      lease.unref();
    }, leaseMs - unreadMs);
    lease.unref();
  }

  function assertNotOlder(revision: string): void {
    const known = state.revision;
    if (known === undefined || !isOlder(revision, known) || performance.now() - takenAt > lateMs) return;
    throw new Refusal(
      'kill_switch_outdated',
      `revision: ${revision} is older than ${known}, which this agent knows`,
      { field: 'revision', value: revision, allowed: `${known} or a larger one` },
    );
  }

  return {
    state: () => state,
    assertReleased() {
      if (!state.engaged) return;
      throw new Refusal('kill_switch_engaged', `the kill switch is engaged${because(state)}`, {
        since: state.since,
        remedy:
          'release it: PUT /api/v1/killswitch {"engaged": false} of the coordinator, or the ConfigMap xidrill-killswitch; nothing is injected until then',
      });
    },
    set({ engaged, reason, revision = state.revision }) {
      if (revision !== undefined) assertNotOlder(revision);
      takenAt = performance.now();
      const isNewer = revision !== state.revision;
      const isNews = engaged !== state.engaged || (engaged && reason !== state.reason);
      if (isNews) {
        const since = engaged === state.engaged ? state.since : isoFromMillis(clock.now());
        state = {
          engaged,
          ...(since === undefined ? {} : { since }),
          ...(reason === undefined ? {} : { reason }),
        };
      }
      if (revision !== undefined) state = { ...state, revision };
      if (isNews)
        log.warn({ engaged, reason }, engaged ? 'the kill switch is engaged' : 'the kill switch is released');
      // Also where it was engaged before: whatever is left ends. What is recorded comes after it.
      if (engaged) end('kill-switch');
      else renew();
      // While it is engaged each version is recorded, so that no release from before it counts after a restart.
      if (isNews || (engaged && isNewer)) save();
      return state;
    },
    began: renew,
  };
}

function because({ reason }: KillSwitchState): string {
  return reason === undefined ? '' : `: ${reason}`;
}

/** A record that cannot be read counts as engaged: a coordinator releases it with its next word. */
function readState(file: string, log: Log): KillSwitchState {
  try {
    const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<KillSwitchState> | null;
    const { engaged, reason, since, revision } = found ?? {};
    if (typeof engaged !== 'boolean') throw new Error('it does not say whether the switch is engaged');
    return {
      engaged,
      ...(typeof reason === 'string' ? { reason } : {}),
      ...(typeof since === 'string' ? { since } : {}),
      ...(typeof revision === 'string' && /^\d{1,20}$/.test(revision) ? { revision } : {}),
    };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { engaged: false };
    log.error({ err: thrown, file }, 'the record of the kill switch cannot be read; it counts as engaged');
    return { engaged: true, reason: 'the record of the switch on this node cannot be read' };
  }
}
