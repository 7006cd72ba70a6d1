import { isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { scheduledMs } from '../../shared/orders/call.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import type { Baseline, ChainLink, InjectionSpec, InjectionStatus, LinkStatus } from '../store/experiment.ts';
import type { Finding, LinkRow } from './links.ts';

/** A drill as far as its chain goes: what was planned, and how far each link came. */
export type Chained = {
  readonly spec: Pick<InjectionSpec, 'chain' | 'node'>;
  readonly status: Pick<InjectionStatus, 'links'> | undefined;
};

/** One link with its row and what is known of it. */
export type OpenLink = {
  readonly link: ChainLink;
  readonly row: LinkRow;
  /** undefined: nothing has been done about it yet. */
  readonly known: LinkStatus | undefined;
};

/** Where an injection goes next: one link, or its verdict. */
export type NextLink = OpenLink | 'conclude';

/**
 * The first link that has not come to its end; `conclude` where there is none, or one was not reached. Refuses a link
 * without a row: another version of the coordinator planned it.
 */
export function nextLink(rows: readonly LinkRow[], { spec, status }: Chained): NextLink {
  for (const link of spec.chain) {
    const known = status?.links?.find(({ id }) => id === link.id);
    if (known?.state === 'reached') continue;
    if (known?.state === 'unknown' && !rowOf(rows, link).endsWithNode) continue;
    if (known !== undefined && known.state !== 'waiting') return 'conclude';
    return { link, row: rowOf(rows, link), known };
  }
  return 'conclude';
}

/** The row of a stored link. Refuses with `internal` where a newer coordinator planned one that this one lacks. */
export function rowOf(rows: readonly LinkRow[], { link, id }: Pick<ChainLink, 'link' | 'id'>): LinkRow {
  const row = rows.find(({ name }) => name === link);
  if (row !== undefined) return row;
  throw new Refusal('internal', `link ${id}: this coordinator has no row for ${link}`, {
    allowed: rows.map(({ name }) => name),
  });
}

/** Whether any link of the chain is looked for when the node is gone. */
export function outlivesNode(rows: readonly LinkRow[], chain: readonly ChainLink[]): boolean {
  return chain.some((link) => !rowOf(rows, link).endsWithNode);
}

/** What the injection's phase says while this link is open. */
export function phaseOf({ link, row }: Pick<OpenLink, 'link' | 'row'>): InjectionStatus['phase'] {
  if (link.role === 'fault') return row.phase;
  return link.when === 'before' ? 'ControlBefore' : 'ControlAfter';
}

/** The order that a link belongs to: the last one at or before it in the chain. */
export function orderBefore(
  chain: readonly ChainLink[],
  id: string,
): ChainLink & { readonly order: AgentOrder } {
  const place = chain.findIndex((link) => link.id === id);
  const found = chain.slice(0, place + 1).findLast(({ order }) => order !== undefined);
  if (found?.order !== undefined) return { ...found, order: found.order };
  throw new Refusal('internal', `link ${id} stands before every order of its chain`);
}

/** The fault's own links; a stored chain without them was not made by this product. */
export function faultOf({ chain }: Pick<InjectionSpec, 'chain'>): {
  readonly order: AgentOrder;
  readonly orderLink: ChainLink;
  readonly expectation: Expectation;
  readonly detectionLink: ChainLink;
} {
  const own = chain.filter(({ role }) => role === 'fault');
  const orderLink = own.find(({ order }) => order !== undefined);
  const detectionLink = own.find(({ expectation }) => expectation !== undefined);
  if (orderLink?.order === undefined || detectionLink?.expectation === undefined)
    throw new Refusal('internal', 'spec.chain: the fault has no order or no expectation');
  return { order: orderLink.order, orderLink, expectation: detectionLink.expectation, detectionLink };
}

/** A drill in which nothing may follow. */
export function isNegative(spec: Pick<InjectionSpec, 'chain'>): boolean {
  return faultOf(spec).expectation.kind === 'none';
}

/** A drill whose verdict is about the injection alone. */
export function isInjectOnly(spec: Pick<InjectionSpec, 'chain'>): boolean {
  return faultOf(spec).expectation.kind === 'ignored';
}

/** What is known of one link. */
export function knownOf(
  { status }: Pick<Chained, 'status'>,
  { id }: Pick<ChainLink, 'id'>,
): LinkStatus | undefined {
  return status?.links?.find((known) => known.id === id);
}

/** The receipt of the fault's order, once the agent has answered. */
export function receiptOf({ spec, status }: Chained): Receipt | undefined {
  return knownOf({ status }, faultOf(spec).orderLink)?.receipt;
}

/** The expectations of all other orders of the drill: what they lead to is not this one's. */
export function othersOf(chain: readonly ChainLink[], id: string): readonly Expectation[] {
  const own = orderBefore(chain, id).id;
  return chain.flatMap((link) =>
    link.expectation === undefined || orderBefore(chain, link.id).id === own ? [] : [link.expectation],
  );
}

/** What is known of the links before this one. */
export function earlierOf({ spec, status }: Chained, { id }: Pick<ChainLink, 'id'>): readonly LinkStatus[] {
  const place = spec.chain.findIndex((link) => link.id === id);
  return spec.chain.slice(0, place).flatMap((link) => knownOf({ status }, link) ?? []);
}

/** All links of a chain, as they stand before anything was done. */
export function plannedLinks(chain: readonly ChainLink[]): LinkStatus[] {
  return chain.map(({ id, link, expected }) => ({ id, link, state: 'waiting', expected, evidence: [] }));
}

/** Every link of the chain as it stands; what is not known of is as it was planned. */
function linksOf({ spec, status }: Chained): LinkStatus[] {
  const known = status?.links ?? [];
  return plannedLinks(spec.chain).map((planned) => known.find(({ id }) => id === planned.id) ?? planned);
}

/** The links with changes to one of them. */
export function withLink(chained: Chained, id: string, change: Partial<LinkStatus>): LinkStatus[] {
  return linksOf(chained).map((link) => (link.id === id ? { ...link, ...change } : link));
}

/** An order is about to be sent: what stands on the node now is what its reaction is compared with. */
export function withBaseline(chained: Chained, id: string, baseline: Baseline): LinkStatus[] {
  return withLink(chained, id, { baseline });
}

/** Nothing was carried out: the order is sent again later, with what stands on the node then. */
export function withoutBaseline(chained: Chained, id: string): LinkStatus[] {
  return linksOf(chained).map((link) => {
    if (link.id !== id) return link;
    const { baseline: _old, ...rest } = link;
    return rest;
  });
}

/**
 * The agent has answered. `sentAt`: when it was asked, `now`: when the answer was here. The waits of what follows from the
 * order begin; a negative drill watches from the last write on, everything else has the time to it in its window.
 */
export function withReceipt(
  chained: Chained,
  id: string,
  { receipt, sentAt, now }: { readonly receipt: Receipt; readonly sentAt: number; readonly now: number },
): LinkStatus[] {
  const { chain } = chained.spec;
  const sent = chain.find((link) => link.id === id);
  const baselineAt = knownOf(chained, { id })?.baseline?.at;
  // An order that had been carried out when it was sent again: the baseline is the last time known before it.
  const since = receipt.replayed ? (baselineAt ?? isoFromMillis(sentAt)) : isoFromMillis(sentAt);
  const toLastMs = (kind: Expectation['kind']) =>
    (kind === 'none' || kind === 'ignored') && sent?.order !== undefined ? scheduledMs(sent.order) : 0;
  const ordered = withLink(chained, id, {
    state: 'reached',
    receipt,
    since,
    at: receipt.acceptedAt,
    clock: 'node',
    seconds: Math.max(0, now - Date.parse(since)) / 1000,
  });
  return ordered.map((link) => {
    const planned = chain.find((other) => other.id === link.id);
    if (planned?.expectation === undefined || orderBefore(chain, link.id).id !== id) return link;
    const { kind, withinSeconds } = planned.expectation;
    return { ...link, since, dueAt: isoFromMillis(now + toLastMs(kind) + withinSeconds * 1000) };
  });
}

/** The agent refused the order, or nothing of it is proven. */
export function withRefusal(
  chained: Chained,
  id: string,
  refusal: NonNullable<LinkStatus['refusal']>,
  receipt: Receipt | undefined,
  now: number,
): LinkStatus[] {
  return withLink(chained, id, {
    state: 'missed',
    refusal,
    because: `${refusal.reason}: ${refusal.message}`,
    at: isoFromMillis(now),
    clock: 'coordinator',
    ...(receipt === undefined ? {} : { receipt }),
  });
}

/** When a link came to its end: `at` is the coordinator's clock, `how` says on what that was seen. */
export type Settled = { readonly finding: Finding; readonly at: number; readonly how: string };

/** A link has come to its end; the wait of one behind it that has none of its own yet begins. */
export function withFinding(chained: Chained, id: string, { finding, at, how }: Settled): LinkStatus[] {
  const { chain } = chained.spec;
  const { state, match, because = match?.how ?? how, cause, claims } = finding;
  const since = knownOf(chained, { id })?.since;
  const seconds = since === undefined ? undefined : Math.max(0, at - Date.parse(since)) / 1000;
  const settled = withLink(chained, id, {
    state,
    at: match?.entry.at ?? isoFromMillis(at),
    clock: match?.entry.clock ?? 'coordinator',
    seen: how,
    ...(match === undefined && state === 'reached' ? {} : { because }),
    ...(seconds === undefined || state !== 'reached' ? {} : { seconds }),
    ...(cause === undefined ? {} : { cause }),
    ...(claims === undefined ? {} : { claims }),
    ...(match === undefined
      ? {}
      : {
          entry: match.entry,
          evidence: [{ source: match.source, observed: match.entry.text, at: match.entry.at }],
        }),
  });
  if (state !== 'reached' && state !== 'unknown') return settled;
  const next = chain[chain.findIndex((link) => link.id === id) + 1];
  if (next?.withinSeconds === undefined) return settled;
  return settled.map((link) =>
    link.id === next.id && link.dueAt === undefined
      ? {
          ...link,
          since: isoFromMillis(at),
          dueAt: isoFromMillis(at + (next.withinSeconds ?? 0) * 1000),
        }
      : link,
  );
}

/** The drill has ended: what was begun and not seen to its end is unknown, what was never begun is skipped. */
export function closedLinks(chained: Chained): LinkStatus[] {
  return linksOf(chained).map((link) => {
    if (link.state !== 'waiting') return link;
    const isBegun = link.since !== undefined || link.baseline !== undefined;
    return { ...link, state: isBegun ? 'unknown' : 'skipped' };
  });
}

/** Seconds that a whole chain may wait: the longest window after each order, and each later link's own. */
export function chainSeconds(chain: readonly ChainLink[]): number {
  const perOrder = new Map<string, number>();
  let later = 0;
  for (const link of chain) {
    later += link.withinSeconds ?? 0;
    if (link.expectation === undefined) continue;
    const order = orderBefore(chain, link.id);
    const needed = link.expectation.withinSeconds + scheduledMs(order.order) / 1000;
    perOrder.set(order.id, Math.max(perOrder.get(order.id) ?? 0, needed));
  }
  return later + [...perOrder.values()].reduce((sum, seconds) => sum + seconds, 0);
}
