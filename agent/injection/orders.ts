import { canonicalJson } from '../../shared/canonical-json.ts';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { isReason, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Receipt, Surface, SurfaceResult } from '../../shared/schemas/receipt.ts';
import { assertArmed } from './guard.ts';
import type { Journal } from './journal.ts';
import type { InjectionMetrics } from './metrics.ts';

/** A surface's part of an order. `prepare` may refuse and has no effect; what it returns injects and reads back. */
export type Channel = {
  readonly surface: Surface;
  readonly undo: string;
  prepare(): Promise<() => Promise<InjectedPart>>;
};

export type InjectedPart = Pick<SurfaceResult, 'written' | 'readBack' | 'engine' | 'notes'>;

export type OrderRequest = {
  readonly orderId?: string;
  readonly method: string;
  readonly asked: Readonly<Record<string, unknown>>;
};

export type Orders = {
  /** Carries an order out, or answers with the receipt of the same id. */
  carryOut(request: OrderRequest, plan: () => Promise<readonly Channel[]>): Promise<Receipt>;
  receipt(orderId: string): Receipt;
};

type OrdersOptions = {
  readonly node: string;
  readonly armed: boolean;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly metrics: InjectionMetrics;
  readonly log: Log;
};

/** At most once per id, whatever dies in between: the journal is written before the first effect. */
export function createOrders(options: OrdersOptions): Orders {
  const { journal, clock, log, metrics } = options;
  // Ended orders that the journal did not take: what was injected is told all the same, for as long as we live.
  const unsaved = new Map<string, Receipt>();
  const running = new Map<string, { readonly asked: string; readonly receipt: Promise<Receipt> }>();

  async function carryOut(request: OrderRequest, plan: () => Promise<readonly Channel[]>): Promise<Receipt> {
    const orderId = request.orderId ?? options.newId();
    const asked = canonical(request);
    const sameNow = running.get(orderId);
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
    running.set(orderId, { asked, receipt });
    try {
      return await receipt;
    } finally {
      running.delete(orderId);
    }
  }

  async function execute(
    request: OrderRequest & { readonly orderId: string },
    plan: () => Promise<readonly Channel[]>,
  ): Promise<Receipt> {
    assertArmed(options.armed);
    const prepared = await prepareAll(await plan(), metrics);
    const begun: Receipt = {
      orderId: request.orderId,
      node: options.node,
      method: request.method,
      asked: { ...request.asked },
      state: 'running',
      acceptedAt: isoFromMillis(clock.now()),
      endedAt: null,
      replayed: false,
      surfaces: prepared.flatMap((part) => ('refused' in part ? [part.refused] : [])),
    };
    // Nothing to remember: without an effect, the same order may be tried again.
    if (prepared.every((part) => 'refused' in part)) return conclude(endedReceipt(begun, begun.surfaces));
    journal.write(begun);

    const surfaces: SurfaceResult[] = [];
    for (const part of prepared) surfaces.push('refused' in part ? part.refused : await perform(part));
    const ended = endedReceipt(begun, surfaces);
    save(ended);
    log.info(
      { orderId: ended.orderId, method: ended.method, surfaces: surfaces.map(brief) },
      'order carried out',
    );
    return conclude(ended);
  }

  function endedReceipt(receipt: Receipt, surfaces: SurfaceResult[]): Receipt {
    return { ...receipt, state: 'ended', endedAt: isoFromMillis(clock.now()), surfaces };
  }

  /** What has happened has happened: a journal that fails now does not make it an error. */
  function save(receipt: Receipt): void {
    try {
      journal.write(receipt);
    } catch (thrown) {
      unsaved.set(receipt.orderId, receipt);
      log.error({ err: thrown, orderId: receipt.orderId }, 'the receipt could not be written down');
    }
  }

  function recall(orderId: string): Receipt | undefined {
    return unsaved.get(orderId) ?? journal.read(orderId);
  }

  async function perform(part: Prepared): Promise<SurfaceResult> {
    const { surface, undo } = part.channel;
    const at = isoFromMillis(clock.now());
    const stop = metrics.time(surface);
    try {
      const done = await part.inject();
      metrics.count(surface, 'injected');
      return { surface, outcome: 'injected', ...done, at, undo };
    } catch (thrown) {
      const refusal = refusalFromUnknown(thrown);
      if (refusal.reason === 'internal') log.error({ err: thrown, surface }, 'injection failed');
      metrics.count(surface, 'failed');
      if (refusal.reason === 'read_back_failed' || refusal.reason === 'injection_not_visible') {
        metrics.readBackFailed(surface);
      }
      return { ...negative(part.channel, 'failed', refusal), at };
    } finally {
      stop();
    }
  }

  return {
    carryOut,
    receipt(orderId) {
      const receipt = recall(orderId);
      if (receipt !== undefined) return { ...receipt, replayed: true };
      throw new Refusal('order_unknown', `orderId: no order "${orderId}" on this node`, {
        field: 'orderId',
        value: orderId,
      });
    },
  };
}

type Prepared = { readonly channel: Channel; readonly inject: () => Promise<InjectedPart> };

/**
 * What is wrong with the request itself refuses the whole order; what is wrong with one surface's surroundings is told
 * in its entry, and the others go on.
 */
async function prepareAll(
  channels: readonly Channel[],
  metrics: InjectionMetrics,
): Promise<readonly (Prepared | { readonly refused: SurfaceResult })[]> {
  const prepared: (Prepared | { readonly refused: SurfaceResult })[] = [];
  for (const channel of channels) {
    try {
      prepared.push({ channel, inject: await channel.prepare() });
    } catch (thrown) {
      const refusal = refusalFromUnknown(thrown);
      metrics.count(channel.surface, 'refused');
      if (isAboutOrder(refusal)) throw thrown;
      prepared.push({ refused: negative(channel, 'refused', refusal) });
    }
  }
  return prepared;
}

/** Wrong in itself, or only too early: then no surface is written, and the same order may come again. */
function isAboutOrder({ code, reason }: Refusal): boolean {
  return code === 'invalid_argument' || code === 'resource_exhausted' || reason === 'internal';
}

function negative(channel: Channel, outcome: 'refused' | 'failed', refusal: Refusal): SurfaceResult {
  return {
    surface: channel.surface,
    outcome,
    code: refusal.reason,
    message: refusal.message,
    details: { ...refusal.details },
    undo: outcome === 'refused' ? 'nothing was written' : channel.undo,
    notes: [],
  };
}

/** Nothing injected is an error, with the receipt in its details: a caller that only looks at the status is not misled. */
function conclude(receipt: Receipt): Receipt {
  if (receipt.surfaces.some(({ outcome }) => outcome === 'injected')) return receipt;
  if (receipt.state !== 'ended') {
    throw new Refusal(
      'order_interrupted',
      `the agent stopped while carrying out ${receipt.orderId}; it may or may not have been written`,
      {
        remedy: 'look for it in the kernel log or the host engine; send a new order id to inject again',
        receipt,
      },
    );
  }
  // One that was tried may have left something behind, so it is the one to hear of.
  const first = receipt.surfaces.find(({ outcome }) => outcome === 'failed') ?? receipt.surfaces[0];
  const reason = first?.code !== undefined && isReason(first.code) ? first.code : 'internal';
  throw new Refusal(reason, first?.message ?? 'nothing was injected', { ...first?.details, receipt });
}

export function interruptedReceipt(receipt: Receipt, endedAt: string): Receipt {
  return { ...receipt, state: 'interrupted', endedAt };
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

function brief(result: SurfaceResult): string {
  return `${result.surface} ${result.outcome}${result.code === undefined ? '' : ` (${result.code})`}`;
}
