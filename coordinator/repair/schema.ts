import type { RepairAction } from '../catalogue/repair/eks.ts';
import type { RepairController } from '../catalogue/repair/owners.ts';
import type { Evidence } from '../store/explanation.ts';

/** Why a controller will not act; the causes of the diagnosis have the same codes. */
export type BlockCode =
  | 'repair-not-enabled'
  | 'karpenter-too-old'
  | 'karpenter-gate-off'
  | 'karpenter-not-running'
  | 'repair-vetoed'
  | 'repair-budget'
  | 'repair-threshold'
  | 'repair-no-action';

/** One thing that stands against a repair. */
export type Block = { readonly code: BlockCode; readonly because: string };

/** The condition whose wait is over first. */
export type RepairTrigger = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  /** lastTransitionTime, RFC 3339, the node's clock; null: it has not turned yet. */
  readonly since: string | null;
  /** How long the controller waits from then on. */
  readonly waitSeconds: number;
};

/** What one controller would do about this node, over all of its conditions. */
export type RepairForecast = {
  readonly controller: RepairController;
  /** `unknown`: the cluster does not show what decides it; `unread` has what to look at. */
  readonly willAct: 'yes' | 'no' | 'unknown';
  /** What it does when it acts; `none` where it never will. */
  readonly action: RepairAction;
  /** null: no condition of the node, and none that the drill turns, leads to a repair. */
  readonly trigger: RepairTrigger | null;
  /**
   * Seconds until it acts at the earliest, from now (0: it is due); where the condition has not turned yet, from its
   * transition. null: it will not act by itself, or its wait is not known.
   */
  readonly afterSeconds: number | null;
  /** The same as a time, RFC 3339, coordinator's clock; null: it is counted from a transition that is still to come. */
  readonly dueAt: string | null;
  /**
   * As `afterSeconds`, for the reason with the longest wait that the condition may have by then. null: there may be no
   * repair at all, because its reason changes to one without action, or each change begins the wait anew.
   */
  readonly latestSeconds: number | null;
  /** All that stands against it; empty where it will act. */
  readonly blockedBy: readonly Block[];
  /** What decides as well and is not in the API server or not read, with the command that shows it. */
  readonly unread: readonly { readonly what: string; readonly command: string }[];
  readonly evidence: readonly Evidence[];
  /** What else will surprise: how it shows, what it overrides, what does not follow. */
  readonly notes: readonly string[];
};
