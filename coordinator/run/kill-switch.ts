import { setTimeout as sleep } from 'node:timers/promises';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { outlastsItsAnswer } from '../../shared/orders/call.ts';
import type { KillSwitchState, KillSwitchUpdate } from '../../shared/schemas/kill-switch.ts';
import type { Agents } from '../agents/port.ts';
import { knownOf } from '../drill/chain.ts';
import { isEnded } from '../drill/ended.ts';
import type { KillSwitch } from '../store/kill-switch.ts';
import { experimentFrom, type Injection, injectionFrom, type Store } from '../store/store.ts';
import type { View } from '../view/view.ts';

/** Between two looks at the switch, in real time: a third of the agents' lease (agent/injection/kill-switch.ts). */
const everyMs = 400;
/** An agent that does not answer by then is asked again at a later look. */
const answerMs = 1_000;
/** Agents without anything that goes on: after a failure, and after they confirmed an engaged or a released switch. */
const againMs = 5_000;
const engagedAgainMs = 60_000;
const releasedAgainMs = 600_000;
/**
 * Agents without anything that goes on which are informed at one look: of a change or an engaged switch, and of a released one, which
 * may take its time: an order releases its agent by itself (`withKillSwitch`).
 */
const atOnce = 64;
const releasedAtOnce = 4;

type Informed = { readonly engaged: boolean | undefined; readonly at: number };

/**
 * Reads the switch again and again and passes it on to the agents. Every coordinator does, also one that waits for the lease: while one
 * of them lives and can read the switch, what goes on on the nodes may go on; without one it ends by itself within 2 s.
 */
export async function runKillSwitch(
  deps: {
    readonly killSwitch: Pick<KillSwitch, 'read'>;
    readonly agents: Pick<Agents, 'setKillSwitch'>;
    readonly view: Pick<View, 'all' | 'node'>;
    readonly store: Pick<Store, 'abortExperiment'>;
    /** Nodes whose agents are informed, beside those that are drilled. */
    readonly nodes: () => readonly string[];
    readonly log: Log;
  },
  signal: AbortSignal,
): Promise<void> {
  const { killSwitch, agents, view, store, nodes, log } = deps;
  const informed = new Map<string, Informed>();
  const asking = new Set<string>();
  let trouble: string | undefined;

  async function inform(node: string, state: KillSwitchState): Promise<void> {
    const { engaged } = state;
    if (asking.has(node)) return;
    asking.add(node);
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(answerMs)]);
      await agents.setKillSwitch(node, updateOf(state), limit);
      informed.set(node, { engaged, at: performance.now() });
    } catch (thrown) {
      if (!signal.aborted) log.debug({ node, because: messageFromUnknown(thrown) }, 'agent not informed');
      informed.set(node, { engaged: undefined, at: performance.now() });
    } finally {
      asking.delete(node);
    }
  }

  /** Nodes that hear of each look: where a lease is to be renewed; of an engaged switch all that are drilled. */
  function busyNodes(engaged: boolean): ReadonlySet<string> {
    const open = view.all('injections').map(injectionFrom);
    const drilled = open.filter(({ status }) => status?.phase !== 'Completed');
    return new Set(drilled.filter((injection) => engaged || mayGoOn(injection)).map(({ spec }) => spec.node));
  }

  function isDue(node: string, engaged: boolean): boolean {
    const known = informed.get(node);
    if (known === undefined) return true;
    const age = performance.now() - known.at;
    if (known.engaged === undefined) return age > againMs;
    return known.engaged !== engaged || age > (engaged ? engagedAgainMs : releasedAgainMs);
  }

  /** Agents without anything that goes on which are to be informed at this look. */
  function dueNodes(busy: ReadonlySet<string>, engaged: boolean): readonly string[] {
    const due = nodes().filter((node) => !busy.has(node) && isDue(node, engaged));
    if (engaged) return due.slice(0, atOnce);
    const changed = due.filter((node) => informed.get(node)?.engaged === true).slice(0, atOnce);
    return changed.length > 0 ? changed : due.slice(0, releasedAtOnce);
  }

  async function look(): Promise<void> {
    const state = await killSwitch.read();
    const busy = busyNodes(state.engaged);
    for (const node of [...busy, ...dueNodes(busy, state.engaged)]) void inform(node, state);
    for (const node of informed.keys()) if (view.node(node) === undefined) informed.delete(node);
    if (!state.engaged) return;
    const running = view.all('experiments').map(experimentFrom);
    const toAbort = running.filter(({ spec, status }) => !isEnded(status) && spec.abort !== true);
    await Promise.all(toAbort.map(({ metadata }) => store.abortExperiment(metadata.name)));
  }

  while (!signal.aborted) {
    try {
      await look();
      trouble = undefined;
    } catch (thrown) {
      const because = messageFromUnknown(thrown);
      if (!signal.aborted && because !== trouble)
        log.warn(
          { because },
          'the kill switch cannot be read; what goes on at agents ends unless this passes',
        );
      trouble = because;
    }
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

/**
 * Whether something may go on at the agent that needs its lease. Not an order that writes once, nor one that has ended, however long
 * its reaction is waited for: a thousand agents are not called each 400 ms for nothing.
 */
function mayGoOn(injection: Injection): boolean {
  return injection.spec.chain.some((link) => {
    if (link.order === undefined || !outlastsItsAnswer(link.order)) return false;
    const receipt = knownOf(injection, link)?.receipt;
    return receipt === undefined || receipt.state === 'running';
  });
}

/**
 * The same agents, to which no order is sent while the switch is engaged. An agent that was not informed of its release so far is
 * informed first: nobody shall have to wait for that before a drill. Should the switch be engaged in that very moment, the next look
 * engages it again, as the node is being drilled.
 */
export function withKillSwitch(agents: Agents, killSwitch: KillSwitch): Agents {
  return {
    ...agents,
    async order(node, order, signal) {
      await killSwitch.assertReleased();
      try {
        return await agents.order(node, order, signal);
      } catch (thrown) {
        if (!(thrown instanceof Refusal) || thrown.reason !== 'kill_switch_engaged') throw thrown;
        const state = await killSwitch.read();
        if (state.engaged) throw thrown;
        await agents.setKillSwitch(node, updateOf(state), signal);
        return agents.order(node, order, signal);
      }
    },
  };
}

/** What an agent is informed of. */
function updateOf({ engaged, reason, revision }: KillSwitchState): KillSwitchUpdate {
  return {
    engaged,
    ...(reason === undefined ? {} : { reason }),
    ...(revision === undefined ? {} : { revision }),
  };
}
