import { refreshMs } from '../../shared/dcgm-fields/recipe.ts';
import { renderDuration } from '../../shared/duration.ts';
import type { RepairAction } from '../catalogue/repair/eks.ts';
import type { Evidence } from '../store/explanation.ts';
import { type Facts, isUnread } from '../view/facts.ts';
import { type Due, keepsReason, keptWithinSeconds, type Rulings, type Schedule } from './due.ts';
import type { Block, RepairForecast, RepairTrigger } from './schema.ts';

/** What all controllers have in common; each says what is its own. */
export function forecastOf(
  facts: Facts,
  schedule: Schedule,
  own: Pick<RepairForecast, 'controller' | 'blockedBy' | 'unread' | 'evidence' | 'notes'> & {
    /** Where the action is not that of the deciding condition. */
    readonly action?: RepairAction;
  },
): RepairForecast {
  const [first] = schedule.dues;
  const { blockedBy, unread } = own;
  const willAct = blockedBy.length > 0 ? 'no' : unread.length > 0 ? 'unknown' : 'yes';
  const acts = willAct !== 'no' && first !== undefined;
  return {
    controller: own.controller,
    willAct,
    action: own.action ?? first?.ruling.action ?? 'none',
    trigger: first === undefined ? null : triggerOf(first),
    afterSeconds: acts ? first.inSeconds : null,
    dueAt: acts && first.since !== null ? later(facts.at, first.inSeconds) : null,
    latestSeconds: acts ? schedule.latestSeconds : null,
    blockedBy,
    unread,
    evidence: [
      ...own.evidence,
      ...(first === undefined ? [] : [seenDue(facts, first), seenRuling(facts, first)]),
    ],
    notes: [...reasonNotes(facts, schedule), ...own.notes],
  };
}

function triggerOf({ type, status, reason, since, ruling }: Due): RepairTrigger {
  return { type, status, reason, since, waitSeconds: ruling.waitSeconds };
}

const reactionText = {
  event: 'the reaction is an event',
  none: 'the reaction is nothing',
  ignored: 'no condition is known to follow',
} as const;

/** Nothing that this controller acts on is there or will be. */
export function noAction(facts: Facts, { dues, ignored }: Schedule): Block[] {
  if (dues.length > 0) return [];
  const { drill } = facts;
  const [first] = ignored;
  const because =
    first !== undefined
      ? `the action for ${first.type}=${first.status} with reason ${first.reason} is none (${first.ruling.source})`
      : drill === undefined || drill.expectation.kind === 'condition'
        ? `it does not look at condition ${drill?.expectation.type ?? 'of this node'}`
        : `${reactionText[drill.expectation.kind]}, and only a condition leads to a repair`;
  return [{ code: 'repair-no-action', because }];
}

/** Others that are unhealthy in the eyes of a controller with these rulings. */
export function unhealthyOthers({ repair }: Facts, rulings: Rulings): number {
  return Object.entries(repair.peers.unhealthyOthers)
    .filter(([pairs]) =>
      pairs.split(',').some((pair) => {
        const [type = '', status = ''] = pair.split('=');
        return rulings({ type, status, reason: '' }) !== undefined;
      }),
    )
    .reduce((sum, [, count]) => sum + count, 0);
}

/** A node label, as evidence. */
export function seenLabel({ node, at }: Facts, name: string, observed: string): Evidence {
  return { source: `nodes/${node.name} metadata.labels[${name}]`, observed, at };
}

/** How many nodes are judged together, and how many others are not healthy. */
export function seenPeers({ repair, at }: Facts, source: string, others: number): Evidence {
  return {
    source: `nodes of ${source}`,
    observed: `${repair.peers.total} nodes, ${others} others unhealthy`,
    at,
  };
}

/** What becomes of pods that must not be disrupted; `consequence` is the controller's. */
export function heldPods({ repair }: Facts, consequence: string): string[] {
  const { doNotDisruptPods, budgetedPods = [] } = repair;
  if (isUnread(doNotDisruptPods))
    return [`whether pods on it are marked do-not-disrupt is not known: ${doNotDisruptPods.unread}`];
  return [
    ...(doNotDisruptPods.length === 0
      ? []
      : [`pods marked do-not-disrupt: ${doNotDisruptPods.join(', ')}; ${consequence}`]),
    ...(isUnread(budgetedPods)
      ? [`whether a PodDisruptionBudget holds pods on it is not known: ${budgetedPods.unread}`]
      : budgetedPods.length === 0
        ? []
        : [`pods that a PodDisruptionBudget holds: ${budgetedPods.join(', ')}; ${consequence}`]),
  ];
}

/** How the due time moves when NMA's reason does (field-cases F11). */
function reasonNotes(facts: Facts, { dues, ignored, latestSeconds }: Schedule): string[] {
  const { nma } = facts;
  const [first] = dues;
  if (first === undefined || latestSeconds === first.inSeconds) return [];
  const others = [...dues, ...ignored].filter(
    ({ type, reason, since }) => type === first.type && reason !== first.reason && since === first.since,
  );
  const moved = nma.version?.row.movesTransitionTime === true;
  const seen = others.map(({ reason, ruling }) =>
    ruling.action === 'none'
      ? `${reason} (no action)`
      : `${reason} (${ruling.action} after ${renderDuration(ruling.waitSeconds)})`,
  );
  const named = `the reason of ${first.type} may change from ${first.reason} to ${seen.join(', ')}`;
  if (seen.length === 0) return [];
  if (keepsReason(facts, first))
    return [
      `${named}; the drill injects the Xid again every ${renderDuration(refreshMs / 1000)} until the node is taken, so that ${first.reason} is back within ${renderDuration(keptWithinSeconds)}`,
    ];
  return [
    moved
      ? `${named}, and NMA ${nma.version?.row.version} begins the wait anew with each change: the repair may never be due`
      : `${named} before the wait is over, and the one that stands then decides`,
  ];
}

function seenDue({ node, at }: Facts, { type, status, reason, since }: Due): Evidence {
  if (since === null)
    return {
      source: reason === '' ? 'a fault of a GPU, supposed' : 'the plan of the drill',
      observed: `${type} ${status}, ${reason || 'any reason'}: still to come`,
      at,
    };
  const source = `nodes/${node.name} status.conditions[${type}]`;
  return { source, observed: `${status}, ${reason} since ${since}`, at };
}

function seenRuling({ at }: Facts, { type, status, ruling }: Due): Evidence {
  const read = ruling.read === undefined ? '' : ` (read ${ruling.read})`;
  const observed = `${type}=${status}: ${ruling.action} after ${renderDuration(ruling.waitSeconds)}${read}`;
  return { source: ruling.source, observed, at };
}

function later(at: string, seconds: number): string {
  const due = new Date(Date.parse(at) + seconds * 1000);
  return Number.isNaN(due.getTime()) ? at : due.toISOString();
}
