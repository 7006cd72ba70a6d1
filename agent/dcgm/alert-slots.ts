import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { alertGapMs as slotMs } from '../../shared/orders/alert-gaps.ts';

/**
 * An engine drops an alert of a policy that comes within 5 s of the last one on that GPU (dcgm.md §2): this remembers
 * when each may come again.
 */
export type AlertSlots = {
  /** Refuses, with the time to wait, where `take` would; takes nothing. */
  assertFree(target: AlertTarget, sampleMs: number): void;
  /** Takes the slots for a sample at `sampleMs`, or refuses with the time to wait. */
  take(target: AlertTarget, sampleMs: number): TakenSlots;
  /** Takes them in any case: a refresh has to be written, whether or not it raises another alert. */
  occupy(target: AlertTarget, sampleMs: number): TakenSlots;
};

/** Slots of a value that is about to be written. */
export type TakenSlots = {
  /** Nothing was injected after all. */
  release(): void;
  /** The sample got another time in the end. */
  moveTo(sampleMs: number): void;
};

/** Which alerts a value would raise: engine, GPU, and the policies that react to it. */
export type AlertTarget = {
  readonly pid: number;
  readonly gpuId: number;
  readonly policies: readonly string[];
};

/** Remembers what this agent injected; an engine that was restarted has a new pid and an empty memory. */
export function createAlertSlots(): AlertSlots {
  const last = new Map<string, number>();

  function assertFree({ pid, gpuId, policies }: AlertTarget, sampleMs: number): void {
    for (const policy of policies) {
      const earlier = last.get(keyOf(pid, gpuId, policy));
      if (earlier === undefined || sampleMs - earlier >= slotMs) continue;
      const waitMs = earlier + slotMs - sampleMs;
      const seconds = Math.ceil(waitMs / 1000);
      throw new Refusal(
        'alert_slot_busy',
        `the engine would drop this ${policy} alert: the last one on GPU ${gpuId} is less than ${renderDuration(slotMs / 1000)} of ` +
          `sample time before it; wait ${renderDuration(seconds)}`,
        { policy, gpuId, enginePid: pid, waitMs, retryAfterSeconds: seconds },
      );
    }
  }

  function occupy(target: AlertTarget, sampleMs: number): TakenSlots {
    const keys = [...new Set(target.policies)].map((policy) => keyOf(target.pid, target.gpuId, policy));
    const before = keys.map((key) => [key, last.get(key)] as const);
    for (const key of keys) last.set(key, sampleMs);
    return {
      release() {
        for (const [key, earlier] of before) {
          if (earlier === undefined) last.delete(key);
          else last.set(key, earlier);
        }
      },
      moveTo(movedMs) {
        for (const key of keys) last.set(key, movedMs);
      },
    };
  }

  return {
    assertFree,
    occupy,
    take(target, sampleMs) {
      assertFree(target, sampleMs);
      return occupy(target, sampleMs);
    },
  };
}

function keyOf(pid: number, gpuId: number, policy: string): string {
  return `${pid}/${gpuId}/${policy}`;
}
