import { Refusal } from '../../shared/errors.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { nextLink, orderBefore, phaseOf, withoutBaseline, withReceipt, withRefusal } from '../drill/chain.ts';
import { type Attempt, orderEntries, receiptEntries, shortened, timelineEntry } from '../drill/timeline.ts';
import type { Injection } from '../store/store.ts';
import { type Dispatch, isToRepeat, slotWaitMs } from './dispatch.ts';
import { changed, expectAll, named, type Step, type StepDeps, statusOf } from './step.ts';

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
