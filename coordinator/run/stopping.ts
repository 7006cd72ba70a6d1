import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import { type Refusal, refusalFromUnknown, rowOf } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { lastingSeconds, outlastsItsAnswer } from '../../shared/orders/call.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import { faultOf, knownOf, receiptOf, withLink } from '../drill/chain.ts';
import { receiptEntries, timelineEntry } from '../drill/timeline.ts';
import type { Injection } from '../store/store.ts';

/** An agent that does not answer is asked again for so long; what is sustained ends by itself in the end. */
const patienceMs = 10_000;
const pauseMs = 2_000;

/** Ends what an agent still sustains when an injection is over. */
export type Stopping = {
  /**
   * Ends what is active of an injection and takes its last receipt; the timeline says what came of that. Where nothing is active
   * nobody is asked. Throws only what the signal was aborted with.
   */
  settle(injection: Injection, signal: AbortSignal): Promise<Injection>;
  /** Remembers what is active, for the case that the object goes away before it ends. */
  track(injection: Injection): void;
  /** Ends what is active of an experiment whose objects are gone: only the log says so. */
  abandon(experiment: string, signal: AbortSignal): Promise<void>;
};

/** Over the agents; remembers in memory what is sustained. */
export function createStopping(deps: {
  readonly agents: Agents;
  readonly clock: Clock;
  readonly log: Log;
}): Stopping {
  const { agents, clock, log } = deps;
  const active = new Map<string, Injection>();

  type Answer = { readonly receipt?: Receipt; readonly text: string };

  async function stop(injection: Injection, signal: AbortSignal): Promise<Answer> {
    const { node } = injection.spec;
    const { order } = faultOf(injection.spec);
    const what = `${order.method} ${order.orderId}`;
    const patience = clock.elapsed() + patienceMs;
    for (;;) {
      signal.throwIfAborted();
      try {
        const receipt = await agents.stop(node, order.orderId, signal);
        return { receipt, text: `stopped ${what}${howItEnded(receipt)}` };
      } catch (thrown) {
        signal.throwIfAborted();
        const refusal = refusalFromUnknown(thrown);
        const receipt = endedReceipt(refusal);
        if (receipt !== undefined)
          return { receipt, text: `${what} had ended by itself${howItEnded(receipt)}` };
        if (refusal.reason === 'order_unknown')
          return { text: `nothing to stop: the agent knows no order ${order.orderId}` };
        if (!rowOf(refusal.reason).mayPass || clock.elapsed() >= patience) {
          const until = endOf(order, receiptOf(injection));
          return { text: `${what} could not be stopped: ${refusal.message}; it ends by itself ${until}` };
        }
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  return {
    async settle(injection, signal) {
      const { spec, status } = injection;
      if (status === undefined || !isActive(injection)) return injection;
      const { receipt, text } = await stop(injection, signal);
      active.delete(injection.metadata.name);
      const before = receiptOf(injection);
      const known = before?.surfaces.length ?? 0;
      const timeline = [
        ...(status.timeline ?? []),
        ...(receipt === undefined ? [] : receiptEntries(receipt).slice(known)),
        timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, text),
      ];
      // Whether the order was replayed is told by its own answer.
      const replayed = before?.replayed ?? receipt?.replayed ?? false;
      return {
        ...injection,
        status: {
          ...status,
          timeline,
          ...(receipt === undefined
            ? {}
            : {
                links: withLink(injection, faultOf(spec).orderLink.id, { receipt: { ...receipt, replayed } }),
              }),
        },
      };
    },
    track(injection) {
      const { name } = injection.metadata;
      if (isActive(injection)) active.set(name, injection);
      else active.delete(name);
    },
    async abandon(experiment, signal) {
      const left = [...active.values()].filter(({ spec }) => spec.experiment === experiment);
      await Promise.all(
        left.map(async (injection) => {
          const { text } = await stop(injection, signal);
          active.delete(injection.metadata.name);
          log.warn({ node: injection.spec.node, experiment, text }, 'its objects are gone');
        }),
      );
    },
  };
}

/** Its receipt says so; or it lasts if it has arrived, which is not known. */
function isActive(injection: Injection): boolean {
  const { spec, status } = injection;
  if (status?.phase === 'Completed') return false;
  const receipt = receiptOf(injection);
  if (receipt !== undefined) return receipt.state === 'running';
  const { order, orderLink } = faultOf(spec);
  return knownOf(injection, orderLink)?.baseline !== undefined && outlastsItsAnswer(order);
}

/** An order that has ended is no failure to stop it: its receipt comes with the refusal. */
function endedReceipt({ details }: Refusal): Receipt | undefined {
  const receipt = details.receipt as Receipt | undefined;
  return receipt === undefined || receipt.state === 'running' ? undefined : receipt;
}

function howItEnded({ surfaces }: Receipt): string {
  const parts = surfaces.flatMap(({ surface, sustained }) =>
    sustained === undefined
      ? []
      : [
          `${surface} ${sustained.ended ?? 'active'} after ${sustained.beats} writes, ${sustained.failures} failed`,
        ],
  );
  return parts.length === 0 ? '' : `: ${parts.join('; ')}`;
}

function endOf(order: AgentOrder, receipt: Receipt | undefined): string {
  const until = (receipt?.surfaces ?? []).flatMap(({ sustained }) => sustained?.until ?? []).toSorted();
  const last = until.at(-1);
  if (last !== undefined) return `at ${last}`;
  const forSeconds = lastingSeconds(order);
  return forSeconds !== undefined && receipt !== undefined
    ? `at ${isoFromMillis(Date.parse(receipt.acceptedAt) + forSeconds * 1000)}`
    : `${forSeconds !== undefined ? renderDuration(forSeconds) : 'with its last part,'} after it was accepted, if it was`;
}
