import { policiesOf } from '../dcgm-fields/effect.ts';
import { fieldById } from '../dcgm-fields/find.ts';
import { renderDuration } from '../duration.ts';
import { Refusal } from '../errors.ts';
import type { Part } from '../surfaces/table.ts';

/**
 * The engine sends at most one alert a policy kind, GPU and listener in 5 s of *sample time* and drops the others
 * (DCGM, modules/policy/DcgmPolicyManager.cpp; measured). One second more, because dcgmi stamps whole seconds.
 */
export const alertGapMs = 6000;

/** Refuses a script of which the engine would drop an alert, naming the step and the time that it needs. Pure. */
export function assertAlertGaps(parts: readonly Part[]): void {
  const last = new Map<string, number>();
  let step = 0;
  for (const part of parts) {
    if (part.surface !== 'dcgm') continue;
    for (const { policy } of policiesOf(fieldById(part.field))) {
      assertRefreshInterval(part);
      assertGap(step, policy, part.afterMs, last.get(policy));
      last.set(policy, part.afterMs);
    }
    step += 1;
  }
}

function assertRefreshInterval({ everyMs }: Extract<Part, { surface: 'dcgm' }>): void {
  if (everyMs === undefined || everyMs >= alertGapMs) return;
  const allowed = { minimum: alertGapMs / 1000 };
  throw new Refusal(
    'alert_gap_too_short',
    `everySeconds: ${renderDuration(everyMs / 1000)}; the engine drops alerts of one kind that come sooner than ${renderDuration(allowed.minimum)}`,
    { field: 'everySeconds', value: everyMs / 1000, allowed },
  );
}

function assertGap(step: number, policy: string, afterMs: number, earlierMs: number | undefined): void {
  if (earlierMs === undefined || afterMs - earlierMs >= alertGapMs) return;
  const field = `steps.${step}.afterSeconds`;
  const least = (earlierMs + alertGapMs) / 1000;
  throw new Refusal(
    'alert_gap_too_short',
    `${field}: ${renderDuration((afterMs - earlierMs) / 1000)} after the ${policy} alert before it; the engine drops alerts of one ` +
      `kind that come sooner than ${renderDuration(alertGapMs / 1000)}, so it has to be at ${renderDuration(least)} or later`,
    {
      field,
      value: afterMs / 1000,
      allowed: { minimum: least },
      remedy: 'leave a longer gap, or take the kernel-log surface alone',
    },
  );
}
