import type { Reason } from '../../shared/errors.ts';
import type { Inventory } from '../../shared/schemas/inventory.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import type { NmaVersion } from '../catalogue/nma/versions.ts';
import type { NodeRepairConfig } from '../catalogue/repair/eks.ts';
import type { RepairPolicy } from '../catalogue/repair/policies.ts';
import type { EksUnread } from '../eks/port.ts';
import type { LinkCause } from '../store/experiment.ts';
import type { TimelineEntry } from '../store/timeline.ts';

import type { ExpectedGpus, NodeCondition } from './node.ts';
import type { PoolBudget } from './node-pools.ts';
import type { Peers } from './peers.ts';
import type { KindState } from './view.ts';

/**
 * Everything that a diagnosis may look at, as it was read at one moment. Plain data: rules are pure.
 * `undefined` is "not there"; what could not be found out is `Unread`, with the reason, and proves nothing.
 */
export type Facts = {
  /** When the facts were read, RFC 3339, coordinator's clock. */
  readonly at: string;
  readonly node: NodeFacts;
  readonly nma: NmaFacts;
  readonly agent: AgentFacts;
  readonly repair: RepairFacts;
  /** How far the view that all this was taken from can be relied on, per kind. */
  readonly view: readonly KindState[];
  /** What is to be injected, or was. Absent in a preflight without fault. */
  readonly drill?: DrillFacts;
};

/** Why something could not be read, and what would help: no fact about it may be concluded. */
export type Unread = {
  readonly unread: string;
  readonly remedy?: string;
  /** Of the refusal that it could not be read for; absent: it was not asked for. */
  readonly reason?: Reason;
};

/** The Node as rules need it. */
export type NodeFacts = {
  readonly name: string;
  readonly uid: string;
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Those of controllers, such as karpenter.sh/do-not-repair. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly architecture: string;
  readonly instanceType: string | undefined;
  /** Whether anything on the Node object shows an NVIDIA GPU. */
  readonly hasGpu: boolean;
  /** GPUs that it offers to pods, time-sliced ones and MIG devices included (status.allocatable). */
  readonly offeredGpus: number;
  /** How many GPUs it should have; absent: neither label nor instance type says it. */
  readonly expectedGpus?: ExpectedGpus;
  readonly conditions: readonly NodeCondition[];
  readonly taints: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
};

/** A toleration of a pod template; what is absent there is empty, and the operator `Equal`. */
export type Toleration = {
  readonly key: string;
  readonly operator: string;
  readonly value: string;
  readonly effect: string;
};

/** A pod as rules need it; `environment` is that of its first container. */
export type PodFacts = {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly phase: string;
  readonly ready: boolean;
  readonly startedAt: string | null;
  readonly restarts: number;
  /** waiting or terminated reason of its first container, such as CrashLoopBackOff. */
  readonly reason: string | undefined;
  readonly image: string;
  readonly serviceAccount: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly volumes: readonly string[];
};

/** All that is known of NMA on a node. */
export type NmaFacts = {
  readonly daemonSet:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly image: string;
        readonly nodeSelector: Readonly<Record<string, string>>;
      }
    | undefined;
  /** The pod on this node. */
  readonly pod: PodFacts | undefined;
  readonly serviceAccount:
    | {
        readonly namespace: string;
        readonly name: string;
        readonly annotations: Readonly<Record<string, string>>;
      }
    | undefined;
  /** EKS Auto runs it as a host process: no pod is no evidence there. */
  readonly mayBeHostProcess: boolean;
  readonly version:
    | { readonly text: string; readonly row: NmaVersion; readonly exact: boolean; readonly note: string }
    | undefined;
  /** The end of the pod's log, oldest first. */
  readonly log: readonly string[] | Unread;
  /** `monitors:` of its ConfigMap: plugin name → enabled. */
  readonly disabledPlugins: readonly string[];
  /** What of it could not be read for want of a right, so that nothing above says anything about it. */
  readonly kept?: {
    readonly serviceAccount?: Unread;
    readonly configuration?: Unread;
    readonly pods?: Unread;
    readonly daemonSets?: Unread;
    readonly dcgmServer?: Unread;
  };
  readonly dcgmServer: {
    readonly daemonSet: boolean;
    /** Of the DaemonSet's pods; undefined: not read. */
    readonly tolerations?: readonly Toleration[];
    readonly pod: PodFacts | undefined;
  };
};

/** All that is known of our agent on a node. */
export type AgentFacts = {
  /** `undefined`: no agent is known for the node. */
  readonly url: string | undefined;
  readonly inventory: Inventory | Unread;
  /** Set where the agents' pods could not be read, so that no url above means nothing. */
  readonly directory?: Unread;
};

/** What decides on a repair beside the node itself. Who owns the node is in its labels (catalogue/repair/owners.ts). */
export type RepairFacts = {
  /** Nodes of the same pool or group (or of the cluster), this one included, and the others that are not healthy. */
  readonly peers: Peers;
  readonly karpenter: KarpenterFacts | undefined;
  /** Set where Deployments could not be read, so that no Karpenter above means nothing. */
  readonly karpenterUnread?: Unread;
  /** Pods on the node with the annotation karpenter.sh/do-not-disrupt, as namespace/name. Not read for a drill. */
  readonly doNotDisruptPods: readonly string[] | Unread;
  /** Pods on the node that have to run elsewhere when it goes, as namespace/name. Read with the ones above. */
  readonly displacedPods: readonly string[] | Unread;
  /** Those of them that a PodDisruptionBudget lets nobody evict now. Read with the ones above; absent: not read. */
  readonly budgetedPods?: readonly string[] | Unread;
  /** Of the node's pool. Read only where a Karpenter runs that repairs within budgets. */
  readonly budgets: readonly PoolBudget[] | Unread;
  readonly settings?: RepairSettings;
};

/** Karpenter's Deployment: which version runs, and what it was told. */
export type KarpenterFacts = {
  /** namespace/name. */
  readonly deployment: string;
  readonly image: string;
  /** undefined: neither argument nor environment names it, so the default (off) holds. */
  readonly nodeRepairGate: boolean | undefined;
  /** Gate RebootForRepair of its AWS provider; undefined: not named, so the default (off) holds. */
  readonly rebootGate?: boolean | undefined;
  /** LEGACY_NODE_REPAIR or --legacy-node-repair: from 1.15 on it repairs as 1.14 does. */
  readonly legacyRepair?: boolean;
  /** Its pods that are ready; absent: the Deployment does not say. */
  readonly readyReplicas?: number;
  /** Set where a setting comes from an object that is not read, so that the gates above say nothing. */
  readonly settingsUnread?: Unread;
  /** The words that gates and switches were read from. */
  readonly evidence: string;
};

/** What the API server does not show and somebody knows: without it the defaults of the version hold. */
export type RepairSettings = {
  /** What this Karpenter waits for and does; absent: the policies of its version's AWS provider. */
  readonly karpenterPolicies?: readonly RepairPolicy[];
  /** `nodegroup.nodeRepairConfig` of EKS DescribeNodegroup. */
  readonly nodeGroup?: NodeRepairConfig;
  /** Why EKS did not say it, with the command that shows it; absent: it was not asked. */
  readonly nodeGroupUnread?: EksUnread;
};

/** A drill as rules need it: what was planned, what was injected and what was seen. */
export type DrillFacts = {
  readonly fault: string;
  /** What the agent is to do, or was. */
  readonly order: MethodCall;
  /**
   * Set: only whether the detection path works is asked, not what the value that the order writes leads to. So is the
   * condition judged that a negative drill wants unchanged.
   */
  readonly pathOnly?: true;
  readonly expectation: Expectation;
  /** uid of the Node object when the drill was planned: a replaced node keeps its name in some clusters. */
  readonly nodeUid?: string;
  /** Set once the agent has answered. */
  readonly receipt: Receipt | undefined;
  /** Why the agent refused or failed, if it did. */
  readonly refusal:
    | {
        readonly reason: string;
        readonly message: string;
        readonly details: Readonly<Record<string, unknown>>;
      }
    | undefined;
  /** The condition of the expected type as it stood before the injection. */
  readonly conditionBefore: NodeCondition | undefined;
  /** What was seen on the node since the injection. */
  readonly timeline: readonly TimelineEntry[];
  /** The link behind detection that was missed, and why, where its objects show it. Absent: none was, or they do not. */
  readonly missed?: { readonly link: string; readonly cause: LinkCause; readonly because: string };
  /** When the wait ended; undefined while it has not begun (preflight). */
  readonly waitedUntil: string | undefined;
};

/** Whether there is a reason instead of a fact. */
export function isUnread(value: object | undefined): value is Unread {
  return value !== undefined && 'unread' in value;
}
