import { isoFromMillis } from '../../shared/clock.ts';
import { surfacesOfOrder } from '../../shared/orders/call.ts';
import type { Inventory } from '../../shared/schemas/inventory.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { undoneBy } from '../catalogue/channels.ts';
import { nmaVersions } from '../catalogue/nma/versions.ts';
import { forecastRepair } from '../repair/forecast.ts';
import type { Restore, RestoreStep, RestoreStepName } from '../store/restore.ts';
import type { Injection } from '../store/store.ts';
import { type Facts, isUnread, type Unread } from '../view/facts.ts';
import { restoreSteps } from './steps.ts';

/** An order that was sent to a node, and its receipt where there is one. */
export type SentOrder = {
  readonly order: AgentOrder;
  readonly receipt: Receipt | undefined;
  readonly sentAt: string;
};

/** Every order of an injection that may have been carried out; one that the agent refused was not. */
export function sentOrders({ spec, status }: Injection): readonly SentOrder[] {
  return spec.chain.flatMap((link) => {
    const known = status?.links?.find(({ id }) => id === link.id);
    if (link.order === undefined || known?.baseline === undefined) return [];
    const { receipt, refusal, baseline } = known;
    const isWritten = receipt?.surfaces.some(({ outcome }) => outcome !== 'refused') ?? refusal === undefined;
    return isWritten ? [{ order: link.order, receipt, sentAt: receipt?.acceptedAt ?? baseline.at }] : [];
  });
}

/** What a restore is planned from; all of it read before. */
export type RestoreInput = {
  readonly injection: Injection;
  /** All injections on the same Node object, this one included: what any of them left is ours. */
  readonly ours: readonly Injection[];
  /** undefined: there is no such node any more, or another one has its name. */
  readonly facts: Facts | undefined;
  readonly inventory: Inventory | Unread;
  readonly request: number;
  /** It fails as soon as it cannot be done before the repair is due. */
  readonly forbidsRepair: boolean;
  /** Milliseconds, coordinator's clock. */
  readonly now: number;
};

/** Plans the restore of a node; `nothing` where there is nothing that could be taken back. Pure. */
export function planRestore(input: RestoreInput): Restore {
  const { injection, ours, facts, inventory, request, now } = input;
  const startedAt = isoFromMillis(now);
  const own = sentOrders(injection);
  const all = ours.flatMap(sentOrders);
  const times = all.map(({ sentAt }) => sentAt).toSorted();
  const base = {
    request,
    startedAt,
    since: times[0] ?? startedAt,
    lastOrderAt: times.at(-1) ?? startedAt,
    conditions: [],
    reasons: [],
    steps: [],
    left: [],
  };
  if (facts === undefined)
    return {
      ...base,
      state: 'nothing',
      endedAt: startedAt,
      summary: 'the node is gone, and what was left on it',
    };
  if (own.length === 0)
    return { ...base, state: 'nothing', endedAt: startedAt, summary: 'nothing was injected' };
  const undone = undoneByAll(all, facts, inventory);
  const needsEngine = undone.some(({ engine }) => engine);
  const conditions = undone.flatMap((one) => one.conditions);
  // The restart of the engine itself may turn the condition, where it takes longer than NMA's minute of grace (nma.md §1.6).
  const reasons = [...conditions.map(({ reason }) => reason), ...(needsEngine ? ['DCGMError'] : [])];
  const left = undone.flatMap((one) => one.left);
  const names: readonly RestoreStepName[] = [
    'stop',
    ...(needsEngine ? (['engine', 'reconnect'] as const) : []),
    ...(conditions.length > 0 || needsEngine ? (['monitor', 'condition', 'stable'] as const) : []),
  ];
  const due = forecastRepair(facts)
    .flatMap(({ dueAt }) => dueAt ?? [])
    .toSorted()[0];
  const types = conditions.map(({ type }) => type);
  return {
    ...base,
    state: 'running',
    conditions: [...new Set([...types, ...(needsEngine ? ['AcceleratedHardwareReady'] : [])])],
    reasons: [...new Set(reasons)],
    ...(due === undefined ? {} : { repairDueAt: due }),
    ...(input.forbidsRepair ? { forbidsRepair: true } : {}),
    left: left.filter(({ what }, index) => left.findIndex((other) => other.what === what) === index),
    steps: restoreSteps.filter(({ step }) => names.includes(step)).map(plannedStep),
  };
}

function plannedStep({ step, expected }: (typeof restoreSteps)[number]): RestoreStep {
  return { step, expected, state: 'waiting', evidence: [] };
}

function undoneByAll(sent: readonly SentOrder[], { nma }: Facts, inventory: Inventory | Unread) {
  // Of an unknown version the newest stands for it: it reacts to most.
  const row = nma.version?.row ?? nmaVersions.at(-1);
  if (row === undefined) return [];
  const engine = isUnread(inventory) ? undefined : inventory.engines.find((one) => one.nma.listening);
  const on = {
    nma: row,
    engineVersion: engine?.version ?? undefined,
    gpuName: engine?.gpus[0]?.name,
  };
  return sent.map(({ order }) => {
    const undone = undoneBy(order, on);
    // Only what is written into an engine can stay there.
    return { ...undone, engine: undone.engine && surfacesOfOrder(order).includes('dcgm') };
  });
}
