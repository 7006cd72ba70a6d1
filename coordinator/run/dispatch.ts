import type { Clock } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown, rowOf } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import type { Attempt } from '../drill/timeline.ts';

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
export type Dispatch = {
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
      const patience = clock.now() + agentPatienceMs;
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
          if (!mayPass(refusal) || isToRepeat(refusal) || clock.now() >= patience) throw thrown;
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
export function isToRepeat(refusal: Refusal): boolean {
  return mayPass(refusal) && rowOf(refusal.reason).injected === 'no';
}

/** An order that was begun has its receipt for ever: the same id is answered with it. */
function mayPass({ reason, details }: Refusal): boolean {
  return rowOf(reason).mayPass && details.receipt === undefined;
}
