import type { KillSwitchState } from '../../shared/schemas/kill-switch.ts';
import type { Confidence } from '../catalogue/confidence.ts';
import type { PlannedWrite } from '../catalogue/surfaces/work.ts';
import type { DoctorReport, NodeFinding } from '../doctor/report.ts';
import type { ExperimentSpec, SkippedNode } from '../store/experiment.ts';
import type { Experiment, Injection } from '../store/store.ts';
import type { Facts, Unread } from '../view/facts.ts';
import type { NodeEvent } from '../view/node.ts';

/** One cause that was looked for on a node. */
export type NodeCheck = {
  readonly code: string;
  readonly title: string;
  readonly result: 'ok' | 'cause' | 'unknown';
  readonly text: string;
  readonly remedy?: string;
};

/** All that the page shows of one node. */
export type NodeView = {
  readonly facts: Facts;
  readonly finding: NodeFinding;
  /** In the order of the chain. */
  readonly checks: readonly NodeCheck[];
  readonly events: readonly NodeEvent[] | Unread;
};

/** An experiment with what happens on each of its nodes. */
export type DrillView = { readonly experiment: Experiment; readonly injections: readonly Injection[] };

/** A new drill as its form has it: texts as they were typed; absent: left empty. */
export type DrillForm = {
  readonly fault: string;
  /** `NAME=VALUE` each. */
  readonly set: readonly string[];
  readonly nodes: readonly string[];
  readonly selector?: string | undefined;
  readonly mode?: string | undefined;
  readonly value?: string | undefined;
  readonly repair?: string | undefined;
  readonly restore: boolean;
};

/** What a drill would do to one node; nothing is written for it. */
export type PlannedNode = {
  readonly node: string;
  readonly writes: readonly PlannedWrite[];
  /** What has to be seen, link by link. */
  readonly expected: readonly { readonly link: string; readonly expected: string }[];
  /** Why the drill would not come about. */
  readonly refusals: readonly { readonly message: string; readonly remedy: string }[];
  readonly confidence: Confidence;
  readonly risk: string;
  readonly undo: string;
};

/** A dry run. */
export type DrillPlan = {
  readonly spec: ExperimentSpec;
  /** Nodes that would be drilled; undefined: they may not be listed. */
  readonly nodes: readonly string[] | undefined;
  /** Each of them in detail; empty where no agent is asked. */
  readonly targets: readonly PlannedNode[];
  readonly skipped: readonly SkippedNode[];
};

/** Each fault with each pool: when a drill last proved there that it is detected. */
export type CoverageView = {
  readonly pools: readonly { readonly pool: string; readonly nodes: number }[];
  readonly cells: readonly {
    readonly fault: string;
    readonly pool: string;
    readonly state: 'proven' | 'broken' | 'undecided' | 'never';
    readonly lastProven: LastRun | null;
    readonly last: LastRun | null;
  }[];
};

/** A drill that has ended; `seconds` from the order to the reaction, null: none was seen. */
type LastRun = { readonly at: string; readonly experiment: string; readonly seconds: number | null };

/**
 * Where the page gets what it shows and where it passes on what somebody wants: the coordinator's own view, or a kubeconfig. Every
 * function refuses as the cluster does (`cluster_refused`, `cluster_unreachable`).
 */
export type PageSource = {
  /** `all`: nodes without a GPU as well. */
  readonly fleet: (all: boolean) => Promise<DoctorReport>;
  /** Refuses with `node_missing`. */
  readonly node: (name: string) => Promise<NodeView>;
  readonly drills: () => Promise<readonly Experiment[]>;
  /** Refuses with `experiment_unknown`. */
  readonly drill: (name: string) => Promise<DrillView>;
  readonly coverage: () => Promise<CoverageView>;
  readonly killSwitch: () => Promise<KillSwitchState>;
  /** Refuses as a drill would. */
  readonly plan: (form: DrillForm) => Promise<DrillPlan>;
  /** Resolves with the name of the experiment. */
  readonly start: (form: DrillForm) => Promise<string>;
  readonly abort: (name: string) => Promise<void>;
};
