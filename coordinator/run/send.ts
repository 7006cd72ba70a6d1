import type { Clock } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown, rowOf } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import { nextLink, orderBefore, phaseOf, withoutBaseline, withReceipt, withRefusal } from '../drill/chain.ts';
import { type Attempt, orderEntries, receiptEntries, shortened, timelineEntry } from '../drill/timeline.ts';
import type { Injection } from '../store/store.ts';
import { changed, expectAll, named, type Step, type StepDeps, statusOf } from './step.ts';

/** How long an agent that does not answer is asked again; the same order id makes that safe. */
const agentPatienceMs = 30_000;
const agentPauseMs = 2_000;
/** An order that is on its way when the experiment is aborted may still tell what it did. */
const orderGraceMs = 5_000;

/** On top of what the agent asks to wait: its clock is not ours. */
const slotMarginMs = 250;
/** What an agent asks for is not waited for blindly: asked too early, it writes nothing and says how long again. */
const longestSlotWaitMs = 60_000;
/** Where it does not say how long: a whole slot (agent/dcgm/alert-slots.ts). */
const usualSlotWaitMs = 6_000;

/** How an order reaches its agent. */
type Dispatch = {
  /** Gives the order until the agent answers; every try is added to `attempts`. */
  send(
    target: { readonly node: string; readonly order: AgentOrder },
    attempts: Attempt[],
    signal: AbortSignal,
  ): Promise<Receipt>;
};

/** Sends an order again while it is not known whether it arrived: its id keeps it from being carried out twice. */
export function createDispatch(deps: {
  readonly agents: Agents;
  readonly clock: Clock;
  readonly log: Log;
}): Dispatch {
  const { agents, clock, log } = deps;

  /** Aborts with `signal`, a moment later where only the experiment ends: what was injected has to be told. */
  function withGrace(signal: AbortSignal): { readonly signal: AbortSignal; release(): void } {
    const patient = new AbortController();
    const released = new AbortController();
    const onAbort = () => {
      const { reason } = signal;
      const isEnding = reason instanceof Refusal && reason.reason === 'experiment_ended';
      if (!isEnding) patient.abort(reason);
      else
        clock.sleep(orderGraceMs, released.signal).then(
          () => patient.abort(reason),
          () => undefined,
        );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    return {
      signal: patient.signal,
      release: () => {
        signal.removeEventListener('abort', onAbort);
        released.abort();
      },
    };
  }

  return {
    async send({ node, order }, attempts, signal) {
      const patience = clock.elapsed() + agentPatienceMs;
      for (;;) {
        signal.throwIfAborted();
        const at = clock.now();
        const patient = withGrace(signal);
        try {
          const receipt = await agents.order(node, order, patient.signal);
          attempts.push({ at });
          return receipt;
        } catch (thrown) {
          const refusal = refusalFromUnknown(thrown);
          attempts.push({ at, failed: refusal.message });
          if (!mayPass(refusal) || isToRepeat(refusal) || clock.elapsed() >= patience) throw thrown;
          log.warn({ node, message: refusal.message }, 'order not answered, asking again');
        } finally {
          patient.release();
        }
        await clock.sleep(agentPauseMs, signal);
      }
    },
  };
}

/**
 * How long to wait before the same order is sent again: the host engine would have dropped its alert, and the agent
 * wrote nothing. Undefined: another refusal, or one of an order that was begun, whose receipt stands for ever.
 */
export function slotWaitMs(refusal: Refusal): number | undefined {
  if (refusal.reason !== 'alert_slot_busy') return undefined;
  const { waitMs, receipt } = refusal.details;
  const isBegun = (receipt as Receipt | undefined)?.surfaces.some(({ outcome }) => outcome !== 'refused');
  if (isBegun === true) return undefined;
  const asked = typeof waitMs === 'number' && waitMs > 0 ? waitMs : usualSlotWaitMs;
  return Math.min(asked + slotMarginMs, longestSlotWaitMs);
}

/** The step is made again until the deadline: nothing was written, and what kept the order from being taken may pass. */
function isToRepeat(refusal: Refusal): boolean {
  return mayPass(refusal) && rowOf(refusal.reason).injected === 'no';
}

/** An order that was begun has its receipt for ever: the same id is answered with it. */
function mayPass({ reason, details }: Refusal): boolean {
  return rowOf(reason).mayPass && details.receipt === undefined;
}

/** The step of a link whose order is to be sent: a receipt, the end of the drill, or the same again after a wait. */
export function createSendStep(
  deps: StepDeps & {
    readonly dispatch: Dispatch;
    /** Hears what keeps an injection from going on for a while. */
    readonly onTrouble: (injection: string, because: string) => void;
  },
): (step: Step) => Promise<Injection> {
  const { store, clock, log, links, dispatch, conclusions } = deps;

  async function send(step: Step): Promise<Injection> {
    const { injection, open, observer, signal } = step;
    const { spec, status } = injection;
    const { link } = open;
    const { order } = orderBefore(spec.chain, link.id);
    const target = { node: spec.node, order };
    const attempts: Attempt[] = [];
    expectAll(links, injection, link.id, observer);
    let receipt: Receipt;
    try {
      receipt = await dispatch.send(target, attempts, signal);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const waitMs = slotWaitMs(thrown);
      if (waitMs !== undefined) return waitForSlot(step, thrown, waitMs);
      if (isToRepeat(thrown)) throw thrown;
      signal.throwIfAborted();
      return refused(step, thrown, attempts);
    }
    const sentAt = attempts.at(-1)?.at ?? clock.now();
    const entries = named(open, [...orderEntries(target, attempts), ...receiptEntries(receipt)]);
    const sent = changed(injection, {
      links: withReceipt(injection, link.id, { receipt, sentAt, now: clock.now() }),
      timeline: [...(status?.timeline ?? []), ...entries],
    });
    const next = nextLink(links, sent);
    const phase = next === 'conclude' ? phaseOf(open) : phaseOf(next);
    try {
      return await store.writeInjectionStatus(injection, { ...statusOf(sent), phase });
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'object_invalid') throw thrown;
      // The step would be made again until the deadline, each time with the same order and the same end.
      return refused(step, unstorable(target, thrown), attempts);
    }
  }

  async function refused(
    { injection, open, signal }: Step,
    refusal: Refusal,
    attempts: readonly Attempt[],
  ): Promise<Injection> {
    const { spec, status } = injection;
    // The receipt has a place of its own.
    const { receipt: inDetails, ...details } = refusal.details;
    const receipt = inDetails as Receipt | undefined;
    const { order } = orderBefore(spec.chain, open.link.id);
    const recent = named(open, [
      ...orderEntries({ node: spec.node, order }, attempts),
      timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, `${refusal.reason}: ${refusal.message}`),
    ]);
    const stored = { reason: refusal.reason, message: refusal.message, details };
    const ended = changed(injection, {
      links: withRefusal(injection, open.link.id, stored, receipt, clock.now()),
      timeline: [...(status?.timeline ?? []), ...recent],
    });
    return conclusions.conclude(ended, recent, signal);
  }

  /** Nothing was written: after the wait the same order is sent again, with a baseline of then. */
  async function waitForSlot(
    { injection, open, signal }: Step,
    refusal: Refusal,
    waitMs: number,
  ): Promise<Injection> {
    const { metadata, spec, status } = injection;
    const text = `${refusal.reason}: ${refusal.message}; nothing was written, the same order is sent again`;
    const note = timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, text);
    const again = await store.writeInjectionStatus(injection, {
      ...statusOf(injection),
      links: withoutBaseline(injection, open.link.id),
      timeline: shortened([...(status?.timeline ?? []), note]),
    });
    // Should the deadline pass meanwhile, this is what kept it.
    deps.onTrouble(metadata.name, refusal.message);
    log.info({ injection: metadata.name, waitMs }, 'waiting for the host engine to take another alert');
    await clock.sleep(waitMs, signal);
    return again;
  }

  return send;
}

/** A receipt of the documented form that the API server does not take: too large, or with a value that its schema refuses. */
function unstorable(target: { readonly node: string; readonly order: AgentOrder }, thrown: Refusal): Refusal {
  const { node, order } = target;
  return new Refusal(
    'agent_answer_invalid',
    `the answer of the agent of ${node} to ${order.method} cannot be stored: ${thrown.message}`,
    { method: order.method, remedy: 'read the receipt from the agent itself: GetReceipt with the order id' },
    thrown,
  );
}
