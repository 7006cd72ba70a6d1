import type { Inventory } from '../../shared/schemas/inventory.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';

/** What a restore needs of a node's agent. */
export type RestoreAgents = {
  /** Everything the agent knows of its node: which host engine NMA is connected to. Refuses with `agent_unreachable` and others. */
  inventory(node: string, signal?: AbortSignal): Promise<Inventory>;
  /** Ends what an order sustains; refuses with `nothing_to_stop` where it has ended. */
  stop(node: string, orderId: string, signal?: AbortSignal): Promise<Receipt>;
};

/** The one write of a restore to the cluster beside its own record. */
export type RestorePods = {
  /**
   * Deletes the pod with this uid, and no other, as `kubectl delete pod` does; its DaemonSet brings it back. Does nothing where
   * it is gone. Refuses with `cluster_refused` without the right.
   */
  restart(pod: { readonly namespace: string; readonly name: string; readonly uid: string }): Promise<void>;
};
