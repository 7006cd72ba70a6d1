import { canonicalJson } from '../../shared/canonical-json.ts';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { assertArmed } from '../../shared/orders/armed.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { type Channel, negative } from './channel.ts';
import type { Held } from './held.ts';
import type { Journal } from './journal.ts';
import type { JournalLine } from './journal-line.ts';
import { firstLine, type LiveOrder, type PlannedPart, recoveryOf, startLiveOrder } from './live-order.ts';
import type { InjectionMetrics } from './metrics.ts';
import { brief, conclude, interruptedReceipt, isSustained, noted, nothingToStop } from './receipts.ts';
import type { Recover } from './recovery.ts';

/** Each keeps timers and runs processes; a node has a handful of GPUs. */
const mostRunning = 16;

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
  /** Ends everything that goes on, as the end of this process does. */
  close(): Promise<void>;
};

type OrdersOptions = {
  readonly node: string;
  readonly armed: boolean;
  readonly journal: Journal;
  readonly held: Held;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly metrics: InjectionMetrics;
  readonly recover: Recover;
  readonly log: Log;
};

/** At most once per id, whatever dies in between: the journal is written before the first effect. */
export function createOrders(options: OrdersOptions): Orders {
  const { journal, held, clock, log, metrics } = options;
  // Ended orders that the journal did not take: their receipts are answered from memory, as long as this process runs.
  const unsaved = new Map<string, Receipt>();
  // Until they are answered.
  const answering = new Map<string, { readonly asked: string; readonly receipt: Promise<Receipt> }>();
  // Until they end.
  const live = new Map<string, LiveOrder>();
  const inBackground = new Set<string>();
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
    const parts = await prepareAll(await plan(), metrics);
    if (isClosing) throw new Refusal('shutting_down', 'this agent is stopping');
    const accepted: Receipt = {
      orderId: request.orderId,
      node: options.node,
      method: request.method,
      asked: { ...request.asked },
      state: 'running',
      acceptedAt: isoFromMillis(clock.now()),
      endedAt: null,
      replayed: false,
      surfaces: parts.flatMap(({ refused }) => (refused === undefined ? [] : [refused])),
    };
    // Nothing to remember: without an effect, the same order may be tried again.
    if (parts.every(({ refused }) => refused !== undefined)) {
      return conclude({ ...accepted, state: 'ended', endedAt: accepted.acceptedAt });
    }
    const goesOn = parts.some(
      ({ channel, prepared }) =>
        prepared !== undefined && (channel.afterMs > 0 || prepared.sustain !== undefined),
    );
    if (goesOn) takePlace(request.orderId);
    try {
      record(firstLine(accepted, parts), recoveryOf(parts));
    } catch (thrown) {
      leavePlace(request.orderId);
      throw thrown;
    }
    const order = startLiveOrder({ accepted, parts, clock, metrics, log, save });
    live.set(request.orderId, order);
    const ended = order.ended.then(
      (receipt) => finish(receipt),
      (thrown) => fail(accepted, thrown),
    );
    if (!goesOn) return conclude(await ended);
    await order.begun;
    // A part that failed at once leaves nothing that goes on.
    const isOver = order.receipt().surfaces.length === parts.length && !isSustained(order.receipt());
    return conclude(isOver ? await ended : order.receipt());
  }

  /** Before the first effect: what has to be taken back, then the order itself. */
  function record(line: JournalLine, recovery: ReturnType<typeof recoveryOf>): void {
    if (recovery.length > 0) held.hold(line.orderId, recovery);
    try {
      journal.begin(line);
    } catch (thrown) {
      if (recovery.length > 0) held.release(line.orderId);
      throw thrown;
    }
    for (const earlier of unsaved.values()) save(earlier);
  }

  function finish(receipt: Receipt, isReleased = live.get(receipt.orderId)?.isReleased()): Receipt {
    save(receipt);
    if (isReleased === true) held.release(receipt.orderId);
    live.delete(receipt.orderId);
    leavePlace(receipt.orderId);
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

  function takePlace(orderId: string): void {
    if (inBackground.size >= mostRunning) {
      throw new Refusal(
        'too_many_running',
        `${inBackground.size} orders go on already, and this agent keeps ${mostRunning} at most`,
        {
          allowed: { maximum: mostRunning },
          running: [...inBackground],
          remedy: 'StopInjection ends one of them; or wait for their ends',
        },
      );
    }
    inBackground.add(orderId);
    metrics.running(inBackground.size);
  }

  function leavePlace(orderId: string): void {
    inBackground.delete(orderId);
    metrics.running(inBackground.size);
  }

  /** What has happened has happened: a journal that fails now does not make it an error. */
  function save(line: JournalLine): void {
    try {
      journal.write(line);
      unsaved.delete(line.orderId);
    } catch (thrown) {
      if (line.state !== 'running') unsaved.set(line.orderId, line);
      log.error({ err: thrown, orderId: line.orderId }, 'the receipt could not be written down');
    }
  }

  function recall(orderId: string): Receipt | undefined {
    return live.get(orderId)?.receipt() ?? unsaved.get(orderId) ?? journal.read(orderId);
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

  async function recover(): Promise<void> {
    for (const { orderId, recovery, done } of held.left) {
      const notes = new Map<number, string>();
      let isReleased = true;
      for (const { part, ...one } of recovery) {
        const { note, isDone } = done.get(part) ?? (await options.recover(one));
        log.warn({ orderId, note }, 'taken back what an interrupted order had left');
        notes.set(part, `after the restart of the agent: ${note}`);
        isReleased &&= isDone;
      }
      annotate(orderId, notes);
      if (isReleased) held.release(orderId);
    }
  }

  /** What was taken back stands in the receipt as well, where that can still be read. */
  function annotate(orderId: string, notes: ReadonlyMap<number, string>): void {
    try {
      const receipt = journal.read(orderId);
      if (receipt === undefined) return;
      const surfaces = receipt.surfaces.map((entry, part) => {
        const note = notes.get(part);
        return note === undefined ? entry : noted(entry, note);
      });
      save({ ...receipt, surfaces });
    } catch (thrown) {
      log.error({ err: thrown, orderId }, 'what was taken back does not stand in the receipt');
    }
  }

  async function close(): Promise<void> {
    isClosing = true;
    for (const order of live.values()) order.cut('agent-restarted');
    await Promise.allSettled([...live.values()].map((order) => order.ended));
  }

  return { carryOut, receipt, stop, recover, close };
}

/**
 * What is wrong with the request itself refuses the whole order; what is wrong with one surface's surroundings is reported
 * in its entry, and the other surfaces are written.
 */
async function prepareAll(
  channels: readonly Channel[],
  metrics: InjectionMetrics,
): Promise<readonly PlannedPart[]> {
  const prepared: PlannedPart[] = [];
  for (const channel of channels) {
    try {
      prepared.push({ channel, prepared: await channel.prepare() });
    } catch (thrown) {
      const refusal = refusalFromUnknown(thrown);
      metrics.count(channel.surface, 'refused');
      if (isAboutOrder(refusal)) throw thrown;
      prepared.push({ channel, refused: negative(channel, 'refused', refusal), because: refusal });
    }
  }
  assertWholeSurfaces(prepared);
  return prepared;
}

/** A script of which one surface would be written in part is another one than was asked for. */
function assertWholeSurfaces(parts: readonly PlannedPart[]): void {
  const partial = parts.find(
    ({ channel, because }) =>
      because !== undefined &&
      parts.some((other) => other.channel.surface === channel.surface && other.prepared !== undefined),
  );
  if (partial?.because !== undefined) throw partial.because;
}

/** Wrong in itself, or only too early: then no surface is written, and the same order may come again. */
function isAboutOrder({ code, reason }: Refusal): boolean {
  return code === 'invalid_argument' || code === 'resource_exhausted' || reason === 'internal';
}

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
