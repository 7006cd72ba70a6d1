import { canonicalJson } from '../../shared/canonical-json.ts';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { assertArmed } from '../../shared/orders/armed.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Channel } from './channel.ts';
import type { Held } from './held.ts';
import type { Journal } from './journal.ts';
import type { JournalLine } from './journal-line.ts';
import type { KillSwitch } from './kill-switch.ts';
import { takeBackLeft } from './left-behind.ts';
import {
  firstLine,
  goesOn,
  type LiveOrder,
  type PlannedPart,
  recoveryOf,
  startLiveOrder,
} from './live-order.ts';
import type { InjectionMetrics } from './metrics.ts';
import { prepareAll } from './parts.ts';
import { createPlaces } from './places.ts';
import {
  brief,
  conclude,
  createSavedReceipts,
  interruptedReceipt,
  isSustained,
  nothingToStop,
  type SavedReceipts,
} from './receipts.ts';
import type { Recover } from './recovery.ts';
import type { Cut } from './sustained-part.ts';

/** Orders that callers wait for at the same time; each may run processes. */
const mostAnswering = 256;

/** An order as it came in. */
export type OrderRequest = {
  /** Absent: the agent makes one. */
  readonly orderId?: string;
  /** The method's name, for receipt and log. */
  readonly method: string;
  /** The body, for the comparison with an earlier order of the same id. */
  readonly asked: Readonly<Record<string, unknown>>;
};

/**
 * All orders of this agent: each is in the journal before its first effect, and the same id injects nothing again.
 */
export type Orders = {
  /** Carries an order out, or answers with the receipt of the same id. */
  carryOut(request: OrderRequest, plan: () => Promise<readonly Channel[]>): Promise<Receipt>;
  /** Refuses with `order_unknown`. */
  receipt(orderId: string): Receipt;
  /** Ends what goes on, takes back what can be, and answers with the last receipt. */
  stop(orderId: string): Promise<Receipt>;
  /** Takes back what orders of an earlier process have left. */
  recover(): Promise<void>;
  /**
   * Ends everything that goes on, and takes back what can be; does not wait for that. Single writes that are not answered yet end as
   * well, but not for a lost lease. Answers with how many orders.
   */
  cutAll(why: Cut): number;
  /** Ends everything that goes on, as the end of this process does. */
  close(): Promise<void>;
};

type OrdersOptions = {
  readonly node: string;
  readonly armed: boolean;
  /** The consent of the node's owner; absent: none is asked for. */
  readonly optIn?: { assertGiven(): Promise<void> };
  readonly journal: Journal;
  readonly held: Held;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly metrics: InjectionMetrics;
  readonly recover: Recover;
  /** Asked before an order is looked at, and again right before its first effect. */
  readonly killSwitch: Pick<KillSwitch, 'assertReleased' | 'began'>;
  readonly log: Log;
};

/** At most once per id, whatever dies in between: the journal is written before the first effect. */
export function createOrders(options: OrdersOptions): Orders {
  const { held, clock, log, metrics } = options;
  const receipts = createSavedReceipts(options);
  const places = createPlaces(metrics);
  // Until they are answered.
  const answering = new Map<string, { readonly asked: string; readonly receipt: Promise<Receipt> }>();
  // Until they end.
  const live = new Map<string, LiveOrder>();
  let isClosing = false;

  async function carryOut(request: OrderRequest, plan: () => Promise<readonly Channel[]>): Promise<Receipt> {
    const orderId = request.orderId ?? options.newId();
    const asked = canonical(request);
    const sameNow = answering.get(orderId);
    if (sameNow !== undefined) {
      assertSameOrder(orderId, sameNow.asked, asked);
      return { ...(await sameNow.receipt), replayed: true };
    }
    const earlier = recall(orderId);
    if (earlier !== undefined) {
      assertSameOrder(orderId, canonical(earlier), asked);
      return conclude({ ...earlier, replayed: true });
    }
    const receipt = execute({ ...request, orderId }, plan);
    answering.set(orderId, { asked, receipt });
    try {
      return await receipt;
    } finally {
      answering.delete(orderId);
    }
  }

  async function execute(
    request: OrderRequest & { readonly orderId: string },
    plan: () => Promise<readonly Channel[]>,
  ): Promise<Receipt> {
    assertArmed(options.armed);
    if (answering.size >= mostAnswering) throw tooManyAtOnce(answering.size);
    await options.optIn?.assertGiven();
    options.killSwitch.assertReleased();
    const parts = await prepareAll(await plan(), metrics);
    if (isClosing) throw new Refusal('shutting_down', 'this agent is stopping');
    options.killSwitch.assertReleased();
    const accepted = acceptedReceipt(options, request, parts);
    // Nothing to remember: without an effect, the same order may be tried again.
    if (parts.every(({ refused }) => refused !== undefined)) {
      return conclude({ ...accepted, state: 'ended', endedAt: accepted.acceptedAt });
    }
    if (goesOn(parts)) places.take(request.orderId);
    try {
      record({ held, receipts }, firstLine(accepted, parts), recoveryOf(parts));
    } catch (thrown) {
      places.leave(request.orderId);
      throw thrown;
    }
    const order = startLiveOrder({ accepted, parts, clock, metrics, log, save: receipts.save });
    live.set(request.orderId, order);
    options.killSwitch.began();
    const ended = order.ended.then(
      (receipt) => finish(receipt),
      (thrown) => fail(accepted, thrown),
    );
    if (!order.goesOn) return conclude(await ended);
    await order.begun;
    // A part that failed at once leaves nothing that goes on.
    const isOver = order.receipt().surfaces.length === parts.length && !isSustained(order.receipt());
    return conclude(isOver ? await ended : order.receipt());
  }

  function finish(receipt: Receipt, isReleased = live.get(receipt.orderId)?.isReleased()): Receipt {
    receipts.save(receipt);
    if (isReleased === true) held.release(receipt.orderId);
    live.delete(receipt.orderId);
    places.leave(receipt.orderId);
    const facts = { orderId: receipt.orderId, method: receipt.method, surfaces: receipt.surfaces.map(brief) };
    log.info({ ...facts, state: receipt.state }, 'order carried out');
    return receipt;
  }

  /** A defect of ours: the order is over, and what is known of it is kept. */
  function fail(accepted: Receipt, thrown: unknown): Receipt {
    log.error({ err: thrown, orderId: accepted.orderId }, 'an order ended by a defect');
    const known = live.get(accepted.orderId)?.receipt() ?? accepted;
    return finish({ ...interruptedReceipt(known, isoFromMillis(clock.now())) }, false);
  }

  function recall(orderId: string): Receipt | undefined {
    return live.get(orderId)?.receipt() ?? receipts.find(orderId);
  }

  function receipt(orderId: string): Receipt {
    const found = recall(orderId);
    if (found !== undefined) return { ...found, replayed: true };
    throw new Refusal('order_unknown', `orderId: no order "${orderId}" on this node`, {
      field: 'orderId',
      value: orderId,
    });
  }

  async function stop(orderId: string): Promise<Receipt> {
    const order = live.get(orderId);
    if (order === undefined) throw nothingToStop(receipt(orderId));
    order.cut('stopped');
    return { ...(await order.ended), replayed: true };
  }

  function cutAll(why: Cut): number {
    const cut = [...live.values()].filter(({ goesOn }) => goesOn || !isForWhatGoesOn(why));
    for (const order of cut) order.cut(why);
    return cut.length;
  }

  async function close(): Promise<void> {
    isClosing = true;
    cutAll('agent-restarted');
    await Promise.allSettled([...live.values()].map((order) => order.ended));
  }

  return { carryOut, receipt, stop, recover: () => takeBackLeft({ ...options, receipts }), cutAll, close };
}

/** The lease is for what goes on: a single write is over when it is answered, whoever waits for the answer. */
function isForWhatGoesOn(why: Cut): boolean {
  return why === 'lease-lost';
}

/** Before the first effect: what has to be taken back, then the order itself. */
function record(
  { held, receipts }: { readonly held: Held; readonly receipts: SavedReceipts },
  line: JournalLine,
  recovery: ReturnType<typeof recoveryOf>,
): void {
  if (recovery.length > 0) held.hold(line.orderId, recovery);
  try {
    receipts.begin(line);
  } catch (thrown) {
    if (recovery.length > 0) held.release(line.orderId);
    throw thrown;
  }
}

/** The receipt of an order whose parts were checked, before its first effect. */
function acceptedReceipt(
  { node, clock }: Pick<OrdersOptions, 'node' | 'clock'>,
  { orderId, method, asked }: OrderRequest & { readonly orderId: string },
  parts: readonly PlannedPart[],
): Receipt {
  return {
    orderId,
    node,
    method,
    asked: { ...asked },
    state: 'running',
    acceptedAt: isoFromMillis(clock.now()),
    endedAt: null,
    replayed: false,
    surfaces: parts.flatMap(({ refused }) => (refused === undefined ? [] : [refused])),
  };
}

/** Looked at before anything is awaited: from then on the order counts itself. */
function tooManyAtOnce(answering: number): Refusal {
  return new Refusal('too_many_running', `${answering} orders are being carried out, the most at once`, {
    allowed: { maximum: mostAnswering },
    retryAfterSeconds: 5,
    remedy: 'send it again, with the same id, when some have been answered',
  });
}

/** Key order does not make another order. */
function canonical(order: Pick<OrderRequest, 'method' | 'asked'>): string {
  return canonicalJson([order.method, order.asked]);
}

function assertSameOrder(orderId: string, earlier: string, now: string): void {
  if (earlier === now) return;
  throw new Refusal('order_id_reused', `orderId: "${orderId}" was used for another order`, {
    field: 'orderId',
    value: orderId,
    remedy: 'a new order needs a new id',
  });
}
