import type { Inventory } from '../../shared/schemas/inventory.ts';
import type { KillSwitchUpdate } from '../../shared/schemas/kill-switch.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';

/** The agents of the cluster, by node. */
export interface Agents {
  /** Where the node's agent is, or undefined: none is known. */
  find(node: string): Promise<string | undefined>;
  /**
   * Sends an order; the same order id again gives the same receipt. Refuses with the agent's own reason, with
   * `agent_unknown`, or with `agent_unreachable` where it is not known whether the order arrived.
   */
  order(node: string, order: AgentOrder, signal?: AbortSignal): Promise<Receipt>;
  /** What became of an order. Refuses with `order_unknown`, or as `order` does. */
  receipt(node: string, orderId: string, signal?: AbortSignal): Promise<Receipt>;
  /**
   * Ends the sustained parts of an order, and answers with its receipt. Refuses with `nothing_to_stop` where it has ended before,
   * with `order_unknown`, or as `order` does.
   */
  stop(node: string, orderId: string, signal?: AbortSignal): Promise<Receipt>;
  /**
   * Passes the kill switch on; not engaged also renews the lease of what goes on. Refuses with `kill_switch_outdated` where the agent
   * knows a newer state, or as `order` does.
   */
  setKillSwitch(node: string, update: KillSwitchUpdate, signal?: AbortSignal): Promise<void>;
  /** Everything the agent knows of its node. Refuses as `order` does. */
  inventory(node: string, signal?: AbortSignal): Promise<Inventory>;
  /** Whether the node's agent answers at all. Never throws. */
  isUp(node: string): Promise<boolean>;
}
