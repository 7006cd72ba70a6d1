import type { Cause } from '../diagnosis/rule.ts';

/** The version of the report's shape; a member that goes or changes its meaning makes it another. */
export const doctorSchema = 'xidrill.dev/doctor/v1';

/** The links that can be judged before anything is injected: what comes behind `taint` follows from it. */
export const doctorLinks = ['order', 'detection', 'taint'] as const;

/** A link of the chain (design: a drill is a chain of links). */
export type DoctorLink = (typeof doctorLinks)[number];

/**
 * `broken`: something stands against it. `unknown`: something that decides it could not be read, or is not in the cluster.
 * `none`: it is not asked for, such as an agent where nobody drills.
 */
export type LinkState = 'ok' | 'broken' | 'unknown' | 'none';

/** A cause that was found on a node. */
export type DoctorCause = {
  /** Has a section of coordinator/diagnosis/CAUSES.md. */
  readonly code: string;
  readonly title: string;
  readonly certainty: 'proven' | 'likely';
  readonly summary: string;
  readonly evidence: Cause['evidence'];
  readonly remedy: string;
  /** Of the remedy, to copy; words in capitals are to be filled in. */
  readonly commands: readonly string[];
};

/** Something that was not decided, and why. */
export type OpenQuestion = { readonly code: string; readonly title: string; readonly because: string };

/** One link of one node. */
export type LinkFinding = {
  readonly state: LinkState;
  /** What it was judged by where it is ok or none. */
  readonly because: string;
  /** In the order of the chain, a proven one first. */
  readonly causes: readonly DoctorCause[];
  readonly open: readonly OpenQuestion[];
};

/** One GPU node with all of its links. */
export type NodeFinding = {
  readonly node: string;
  /** Who owns it: `Karpenter node pool gpu`; empty: nobody that is known. */
  readonly owner: string;
  readonly links: Readonly<Record<DoctorLink, LinkFinding>>;
  /** What each controller would do, the pods on the node aside; empty: nothing repairs it. */
  readonly repairs: readonly RepairSummary[];
};

/** A controller's forecast in the words of a line. */
export type RepairSummary = {
  readonly controller: string;
  readonly willAct: 'yes' | 'no' | 'unknown';
  /** `replace`, `reboot`, `replace or reboot` or `none`. */
  readonly action: string;
  /** From the transition of the condition, or from now where that has turned; null: never, or not known. */
  readonly afterSeconds: number | null;
};

/** Nodes with the same finding on a link: one line, however many they are. */
export type DoctorGroup = {
  readonly link: DoctorLink;
  /** Of the taint link: the owner of the nodes; empty otherwise. */
  readonly owner: string;
  /** All of them, sorted. */
  readonly nodes: readonly string[];
  /** The node that causes, evidence and commands are of: the first. */
  readonly example: string;
  readonly repairs: readonly RepairSummary[];
} & LinkFinding;

/** Something that the caller may not read, and the command that shows the missing right. */
export type NotRead = { readonly what: string; readonly because: string; readonly command: string };

/** What doctor found. */
export type DoctorReport = {
  readonly schema: typeof doctorSchema;
  /** RFC 3339, the clock of this machine. */
  readonly at: string;
  /** `ok` where every asked link of every node is; `broken` where one is; `unknown` where none is broken but one open. */
  readonly result: 'ok' | 'broken' | 'unknown';
  /** One sentence. */
  readonly summary: string;
  readonly counts: { readonly nodes: number; readonly gpuNodes: number; readonly asked: number };
  /** Broken ones first, then the largest. */
  readonly groups: readonly DoctorGroup[];
  readonly nodes: readonly NodeFinding[];
  readonly notRead: readonly NotRead[];
};
