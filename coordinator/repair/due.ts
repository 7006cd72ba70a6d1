import { refreshMs } from '../../shared/dcgm-fields/recipe.ts';
import { reportTickMs } from '../../shared/nma-timing.ts';
import { lastingSeconds, xidsNamed } from '../../shared/orders/call.ts';
import type { RepairAction } from '../catalogue/repair/eks.ts';
import { policiesFor, type RepairPolicy } from '../catalogue/repair/policies.ts';
import type { Facts } from '../view/facts.ts';
import { type PlannedCondition, plannedConditions } from './planned.ts';

/** What a controller does about a condition of that type, status and reason, and after which wait. */
export type Ruling = {
  readonly action: RepairAction;
  readonly waitSeconds: number;
  /** The wait of another reason, where the reason is not known; absent: `waitSeconds`. */
  readonly longestSeconds?: number;
  /** Where it is written, for evidence. */
  readonly source: string;
  /** When that was read; absent: it is what the controller is set to. */
  readonly read?: string;
};

/** A condition that a controller acts on, and when. */
export type Due = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  /** lastTransitionTime; null: the condition has not turned yet, and the wait begins when it does. */
  readonly since: string | null;
  /** Until the wait is over, from the moment of the facts; of a condition that has not turned yet: from its transition. */
  readonly inSeconds: number;
  readonly ruling: Ruling;
};

/** When a controller acts on the node, over all of its conditions. */
export type Schedule = {
  /** All that it acts on, the earliest first, and of those at the same time the most disruptive. */
  readonly dues: readonly Due[];
  /** Conditions that it knows and does nothing about. */
  readonly ignored: readonly Due[];
  /**
   * The wait of the last reason that the deciding condition may have by then; null: there may be no repair at all,
   * because a reason leads to none or the transition time moves with each.
   */
  readonly latestSeconds: number | null;
};

/** Maps a condition to what follows; undefined: the controller does not look at it. */
export type Rulings = (condition: {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
}) => Ruling | undefined;

/** Rulings of a Karpenter: all policies that fit count, and the earliest and most disruptive decides. */
export function rulingsOf(
  policies: readonly RepairPolicy[],
  from: Pick<Ruling, 'source' | 'read'>,
  isRebooting: boolean,
): Rulings {
  return (condition) => {
    const fitting = policiesFor(policies, condition)
      .map(({ action, waitSeconds }) => ({
        action: action === 'reboot' && !isRebooting ? ('replace' as const) : action,
        waitSeconds,
        ...from,
      }))
      .toSorted((left, right) => left.waitSeconds - right.waitSeconds || rank(left) - rank(right));
    const [first] = fitting;
    if (first === undefined || condition.reason !== '') return first;
    return { ...first, longestSeconds: Math.max(...fitting.map(({ waitSeconds }) => waitSeconds)) };
  };
}

/**
 * Every condition of the node, and every one that the drill will turn, each from its own transition.
 * `sinceCreation`: a transition older than the Node counts from the Node's creation.
 */
export function scheduleOf(
  facts: Facts,
  rulings: Rulings,
  { sinceCreation = false }: { readonly sinceCreation?: boolean } = {},
): Schedule {
  const now = Date.parse(facts.at);
  const current = facts.node.conditions.flatMap(({ type, status, reason, lastTransitionTime }): Due[] => {
    const ruling = rulings({ type, status, reason });
    if (ruling === undefined) return [];
    return [
      { type, status, reason, since: lastTransitionTime ?? facts.node.createdAt, inSeconds: 0, ruling },
    ];
  });
  const planned = plannedConditions(facts).flatMap((one): Due[] => {
    const ruling = rulings({ ...one, status: 'False' });
    if (ruling === undefined) return [];
    return [{ ...one, status: 'False', since: sinceOf(one, facts), inSeconds: 0, ruling }];
  });
  const all = [...current, ...planned].map(
    (due): Due => ({ ...due, inSeconds: secondsUntil(due, facts, now, sinceCreation) }),
  );
  const dues = all
    .filter(({ ruling }) => ruling.action !== 'none')
    .toSorted((left, right) => left.inSeconds - right.inSeconds || rank(left.ruling) - rank(right.ruling));
  return {
    dues,
    ignored: all.filter(({ ruling }) => ruling.action === 'none'),
    latestSeconds: latestOf(all, dues[0], facts),
  };
}

/** The condition keeps its transition time while it stays False, except in versions of NMA that write a new one. */
function sinceOf({ type, reason }: PlannedCondition, { node, nma }: Facts): string | null {
  const current = node.conditions.find((condition) => condition.type === type);
  if (current?.status !== 'False') return null;
  if (nma.version?.row.movesTransitionTime === true && current.reason !== reason) return null;
  return current.lastTransitionTime;
}

function secondsUntil(due: Due, { node }: Facts, now: number, sinceCreation: boolean): number {
  const { waitSeconds } = due.ruling;
  if (due.since === null) return waitSeconds;
  const created = sinceCreation ? Date.parse(node.createdAt) : Number.NaN;
  const since = Math.max(Date.parse(due.since), Number.isNaN(created) ? Number.NEGATIVE_INFINITY : created);
  // A time that cannot be read: the whole wait, which is the longest that it can be.
  if (Number.isNaN(since)) return waitSeconds;
  return Math.max(0, Math.ceil((since + waitSeconds * 1000 - now) / 1000));
}

/** Of the condition that decides, over all reasons that it has or will have. */
function latestOf(all: readonly Due[], first: Due | undefined, facts: Facts): number | null {
  const { nma } = facts;
  if (first === undefined) return null;
  // The reason that a health check gives stands until the next injection only.
  if (keepsReason(facts, first)) return first.inSeconds + keptWithinSeconds;
  const same = all.filter(({ type, status }) => type === first.type && status === first.status);
  if (first.inSeconds === 0 && first.since !== null) return 0;
  const reasons = new Set(same.map(({ reason }) => reason));
  if (same.some(({ ruling }) => ruling.action === 'none')) return null;
  if (reasons.size > 1 && nma.version?.row.movesTransitionTime === true) return null;
  return Math.max(
    ...same.map(
      ({ inSeconds, ruling }) =>
        inSeconds + (ruling.longestSeconds ?? ruling.waitSeconds) - ruling.waitSeconds,
    ),
  );
}

/** Seconds until a reason that was replaced is back: the next injection, and NMA's next report. */
export const keptWithinSeconds = refreshMs / 1000 + reportTickMs / 1000;

/** Whether the drill injects its Xid again and again, so that the condition keeps the reason of the first injection. */
export function keepsReason({ drill }: Facts, { reason }: Pick<Due, 'reason'>): boolean {
  if (drill === undefined || drill.expectation.reason !== reason) return false;
  return lastingSeconds(drill.order) !== undefined && xidsNamed(drill.order).length > 0;
}

/** A replacement wins over a reboot (karpenter node/health/policy.go). */
function rank({ action }: Pick<Ruling, 'action'>): number {
  return action === 'replace' ? 0 : 1;
}
