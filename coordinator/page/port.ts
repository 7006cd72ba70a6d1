import type { KillSwitchCall, KillSwitchState } from '../../shared/schemas/kill-switch.ts';
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
export type DrillView = {
  readonly experiment: Experiment;
  readonly injections: readonly Injection[];
  /** When a restore would be carried out that somebody asks for now; undefined: there is nothing to restore. */
  readonly restorable: 'now' | 'at-end' | undefined;
  /** Whether nothing is left to do for it: neither the drill nor a restore goes on or is about to. */
  readonly isSettled: boolean;
};

/** What the buttons of the page do, each with the right that the same request needs by REST. */
export const pageActs = {
  start: { verb: 'create', resource: 'experiments' },
  abort: { verb: 'update', resource: 'experiments' },
  restore: { verb: 'update', resource: 'experiments' },
  killSwitch: { verb: 'update', resource: 'killswitch' },
} as const;
/** One of `pageActs`. */
export type PageAct = keyof typeof pageActs;

/** Why a button of the page cannot be used. */
export type Barred = {
  readonly because: string;
  /** What to do about it, in words. */
  readonly remedy?: string;
  /** Shows that it is so, or mends it. */
  readonly command?: string;
};

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
  /** Refuses with `restore_disabled` as well. */
  readonly restore: (name: string) => Promise<void>;
  /** `by`: the user who asks; absent: not known. */
  readonly setKillSwitch: (call: KillSwitchCall, by?: string) => Promise<unknown>;
};
