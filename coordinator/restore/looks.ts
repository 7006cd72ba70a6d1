import type { Clock } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Injection } from '../store/store.ts';
import type { Collector } from '../view/collect.ts';
import type { Facts, Unread } from '../view/facts.ts';
import { text } from '../view/node.ts';
import type { ReadNode } from '../view/read-node.ts';
import type { View } from '../view/view.ts';
import { sentOrders } from './plan.ts';
import type { RestoreAgents } from './port.ts';
import type { RestoreSeen } from './seen.ts';
import type { RestoreStepRow } from './steps.ts';

/** What a restore looks at. */
export type LooksDeps = {
  readonly view: Pick<View, 'observe' | 'node' | 'podsOf' | 'injectionsOn' | 'onChange' | 'isCurrent'>;
  readonly collector: Pick<Collector, 'repairBasics'>;
  /** Reads one node from the API server. */
  readonly readNode: ReadNode;
  readonly agents: RestoreAgents;
  readonly clock: Clock;
  readonly log: Log;
};

/** How a restore sees its node, and how it ends what the agent there sustains. */
export function createLooks(deps: LooksDeps) {
  async function inventoryOf(
    node: string,
    signal: AbortSignal,
  ): Promise<NonNullable<RestoreSeen['inventory']>> {
    try {
      return await deps.agents.inventory(node, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      return { unread: messageFromUnknown(thrown) } satisfies Unread;
    }
  }

  return {
    inventoryOf,
    /** At the end of a wait the last word is the API server's own: a watch may be silent without knowing it. */
    async look(
      { spec }: Injection,
      row: RestoreStepRow,
      signal: AbortSignal,
      isLast = false,
    ): Promise<RestoreSeen> {
      const known = deps.view.node(spec.node);
      const isSure = !isLast && known?.metadata.uid === spec.nodeUid && deps.view.isCurrent('nodes');
      const node = isSure
        ? { ...deps.view.observe(spec.node), isGone: false }
        : await deps.readNode({ node: spec.node, nodeUid: spec.nodeUid });
      return {
        node,
        monitorPods: deps.view.podsOf('nmaPods', spec.node),
        enginePods: deps.view.podsOf('dcgmServerPods', spec.node),
        ...(row.asksAgent ? { inventory: await inventoryOf(spec.node, signal) } : {}),
        now: deps.clock.now(),
      };
    },
    /** undefined: there is no such node any more, or another one has its name. */
    async factsOf({ spec }: Injection): Promise<Facts | undefined> {
      try {
        const facts = await deps.collector.repairBasics(spec.node);
        return facts.node.uid === spec.nodeUid ? facts : undefined;
      } catch (thrown) {
        if (thrown instanceof Refusal && thrown.reason === 'node_missing') return undefined;
        throw thrown;
      }
    },
    /**
     * What had ended, or is not known to the agent, needs no stop; an agent that does not answer ends it by itself in time.
     */
    async stopOrders(injection: Injection, signal: AbortSignal): Promise<undefined> {
      const { node } = injection.spec;
      const running = sentOrders(injection).filter(
        ({ receipt }) => receipt === undefined || receipt.state === 'running',
      );
      for (const { order } of running) {
        try {
          await deps.agents.stop(node, order.orderId, signal);
        } catch (thrown) {
          signal.throwIfAborted();
          deps.log.info({ node, because: messageFromUnknown(thrown) }, 'nothing was stopped');
        }
      }
    },
  };
}

/** Wakes a wait when something changes on the node or its pods. */
export function createNews(view: Pick<View, 'onChange'>, node: string) {
  let wake: () => void = () => undefined;
  let isNew = false;
  const note = () => {
    isNew = true;
    wake();
  };
  const closers = [
    view.onChange('nodes', ({ object }) => {
      if (object.metadata.name === node) note();
    }),
    ...(['nmaPods', 'dcgmServerPods'] as const).map((kind) =>
      view.onChange(kind, ({ object }) => {
        if (text(object, 'spec', 'nodeName') === node) note();
      }),
    ),
  ];
  return {
    async wait(milliseconds: number, clock: Clock, signal: AbortSignal): Promise<void> {
      if (!isNew) {
        const over = new AbortController();
        wake = () => over.abort();
        await clock.sleep(milliseconds, AbortSignal.any([signal, over.signal])).catch((thrown: unknown) => {
          if (!over.signal.aborted) throw thrown;
        });
        wake = () => undefined;
      }
      isNew = false;
    },
    close: () => {
      for (const close of closers) close();
    },
  };
}
