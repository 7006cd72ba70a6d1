import { renderDuration } from '../../../shared/duration.ts';
import {
  conditionRows,
  karpenterLimits,
  managedGroupLimits,
  reasonTables,
  repairPage,
} from '../../catalogue/repair/eks.ts';
import { forcedPolicies, karpenterVersions } from '../../catalogue/repair/karpenter.ts';
import type { Finding } from '../finding.ts';
import type { At, DeedOf } from '../piece.ts';
import { say } from './say.ts';

const gpuRow = conditionRows.find(({ type }) => type === 'AcceleratedHardwareReady');
const wait = renderDuration(gpuRow?.waitSeconds ?? 0);
const firstRepairing = karpenterVersions.find(({ engine }) => engine !== 'none');
const voluntary = karpenterVersions.find(({ engine }) => engine === 'voluntary');
const karpenterWait = renderDuration(forcedPolicies[0]?.waitSeconds ?? 0);
const share = Math.round(managedGroupLimits.unhealthyShare * 100);
const reasonsWithout = reasonTables.flatMap(({ edition, rows }) =>
  rows.filter(({ action }) => action === 'none').map(({ pattern }) => ({ edition, pattern })),
);
const karpenterSource = firstRepairing?.edition.source ?? '';

const gateCommands = [
  "kubectl -n kube-system get deployment karpenter -o jsonpath='{.spec.template.spec.containers[*].env}'   # FEATURE_GATES: NodeRepair=true?",
  'helm upgrade karpenter oci://public.ecr.aws/karpenter/karpenter -n kube-system --reuse-values --set settings.featureGates.nodeRepair=true',
];

/** `Karpenter repairs by default`. */
export function explainKarpenterBelief(deed: At): readonly Finding[] {
  return [
    say(deed, {
      code: 'karpenter-gate-off',
      result: 'broken',
      certainty: 'likely',
      did: 'Expected Karpenter to repair by default.',
      summary: `Node repair came with Karpenter ${firstRepairing?.from} and stands behind the feature gate NodeRepair, which is alpha and off by default: nothing happens and no event says so. With the gate on it waits ${karpenterWait} for the GPU condition (from ${voluntary?.from} on 30 min for most reasons), taints the node instead of cordoning it, and pauses above ${Math.round(karpenterLimits.unhealthyShare * 100)} % unhealthy nodes of the pool. ${voluntaryText()}`,
      facts: [
        { source: karpenterSource, observed: 'feature gate NodeRepair: alpha, default false' },
        { source: karpenterLimits.edition.source, observed: 'breaker at 20 %, rounded up' },
      ],
      commands: gateCommands,
      missing: 'the gates of the Karpenter that runs',
    }),
  ];
}

function voluntaryText(): string {
  return `Up to 1.14 it deletes the node by force, over PodDisruptionBudgets; from ${voluntary?.from} on NodePool budgets (reason Unhealthy), karpenter.sh/do-not-repair and PodDisruptionBudgets can hold it up.`;
}

/** The gate as values, a Deployment or a command have it. */
export function explainKarpenterGate(deed: DeedOf<'karpenter-gate'>): readonly Finding[] {
  return [
    say(deed, {
      code: deed.on ? 'karpenter-gate-on' : 'karpenter-gate-off',
      result: deed.on ? 'works' : 'broken',
      did: `Karpenter’s feature gate NodeRepair is ${deed.on ? 'on' : 'off'}.`,
      summary: deed.on
        ? `It taints and replaces a node whose GPU condition has been False for ${karpenterWait} (from ${voluntary?.from} on 30 min for most reasons); a condition that is False already counts from its transition. ${voluntaryText()}`
        : 'Without it Karpenter repairs no node, and no event says so.',
      facts: [{ source: karpenterSource, observed: 'feature gate NodeRepair: alpha, default false' }],
      commands: deed.on
        ? [
            "kubectl get nodepools -o jsonpath='{.items[*].spec.disruption.budgets}'",
            'kubectl get events -A --field-selector reason=NodeRepairBlocked',
          ]
        : gateCommands,
    }),
  ];
}

/** What Karpenter itself logged or recorded. */
export function explainKarpenterLog(deed: DeedOf<'karpenter-log'>): readonly Finding[] {
  if (deed.what === 'repairing')
    return [
      say(deed, {
        code: 'karpenter-repairing',
        result: 'works',
        did: 'Karpenter took an unhealthy node for repair.',
        summary:
          'Repair works: the node gets the taint karpenter.sh/disrupted:NoSchedule (no cordon), its pods leave, and the NodeClaim goes.',
        facts: [
          {
            source: 'kubernetes-sigs/karpenter pkg/controllers/node/health, disruption/repair.go',
            observed: '"deleting unhealthy node", "selected repair policy", Unhealthy',
          },
        ],
        commands: ['kubectl get nodeclaims -o wide -w'],
      }),
    ];
  return [
    say(deed, {
      code: 'repair-threshold',
      result: 'broken',
      did: 'Karpenter refused a repair.',
      summary: `More than ${Math.round(karpenterLimits.unhealthyShare * 100)} % of the pool’s nodes (rounded up) are unhealthy, whatever their reason: repair pauses until fewer are.`,
      facts: [
        {
          source: karpenterLimits.edition.source,
          observed: 'NodeRepairBlocked: more than 20% nodes are unhealthy',
        },
      ],
      commands: [
        'kubectl get nodes -o custom-columns=N:.metadata.name,C:.status.conditions[*].type,S:.status.conditions[*].status',
      ],
    }),
  ];
}

/** `--node-repair-config` of a managed node group. */
export function explainNodeRepair(deed: DeedOf<'node-repair'>): readonly Finding[] {
  const show =
    'aws eks describe-nodegroup --cluster-name CLUSTER --nodegroup-name GROUP --query nodegroup.nodeRepairConfig';
  if (deed.enabled !== true)
    return [
      say(deed, {
        code: 'repair-not-enabled',
        result: deed.enabled === false ? 'broken' : 'open',
        ...(deed.enabled === undefined ? { certainty: 'likely' as const } : {}),
        did:
          deed.enabled === false
            ? 'Switched auto repair of the node group off.'
            : 'Changed a node group without saying anything about auto repair.',
        summary:
          'Auto repair of a managed node group is off unless it is switched on: then nothing follows a condition.',
        facts: [{ source: repairPage.source, observed: 'node auto repair: opt-in for managed node groups' }],
        commands: [
          show,
          'aws eks update-nodegroup-config --cluster-name CLUSTER --nodegroup-name GROUP --node-repair-config enabled=true',
        ],
      }),
    ];
  const [without] = reasonsWithout;
  return [
    say(deed, {
      code: 'repair-not-due',
      result: 'works',
      did: 'Switched auto repair of the managed node group on.',
      summary: `EKS waits ${wait} after the condition turned False, and acts by its reason: ${gpuRow?.action}, none for DCGMError and DCGMHealthCode…. In a group of more than ${managedGroupLimits.smallestCounted} nodes it pauses while more than ${share} % are unhealthy. A Warning event leads to nothing.`,
      facts: [
        { source: repairPage.source, observed: `AcceleratedHardwareReady: ${wait}` },
        ...(without === undefined
          ? []
          : [{ source: without.edition.source, observed: `no action: ${without.pattern.source}` }]),
        {
          source: managedGroupLimits.edition.source,
          observed: `more than ${managedGroupLimits.smallestCounted} nodes and ${share} %`,
        },
      ],
      commands: [show, 'kubectl get node NODE -w   # until the wait is over'],
    }),
  ];
}

/** `in a few minutes the node is cordoned and replaced`. */
export function explainRepairWait(deed: At): readonly Finding[] {
  return [
    say(deed, {
      code: 'repair-not-due',
      result: 'open',
      certainty: 'likely',
      did: 'Expected the node to be cordoned and replaced soon after the fault.',
      summary: `Nothing repairs a node before its wait is over: EKS ${wait} for AcceleratedHardwareReady (30 min for others), Karpenter ${karpenterWait}, or from ${voluntary?.from} on 30 min for most reasons. EKS cordons and drains; Karpenter taints with karpenter.sh/disrupted instead of cordoning. An event alone, or reason DCGMError, leads to nothing.`,
      facts: [
        { source: repairPage.source, observed: `AcceleratedHardwareReady: ${wait}` },
        { source: karpenterSource, observed: `AcceleratedHardwareReady=False: ${karpenterWait}` },
      ],
      commands: [
        "kubectl get node NODE -o jsonpath='{.metadata.labels}'   # whose node: eks.amazonaws.com/nodegroup, karpenter.sh/nodepool",
        "kubectl get node NODE -o jsonpath='{.spec.taints}'",
      ],
      missing: 'whose node it is, and since when its condition is False',
    }),
  ];
}

/** Budgets of a NodePool that allow nothing. */
export function explainPoolBudget(deed: At): readonly Finding[] {
  return [
    say(deed, {
      code: 'repair-budget',
      result: 'broken',
      certainty: 'likely',
      did: 'The NodePool has a budget of 0 nodes.',
      summary: `Up to Karpenter 1.14 repair ignores budgets; from ${voluntary?.from} on an entry of 0 without reasons, or with reason Unhealthy, lets it repair nothing.`,
      facts: [
        {
          source: voluntary?.edition.source ?? '',
          observed: 'repair is a voluntary disruption with reason Unhealthy',
        },
      ],
      commands: [
        "kubectl get nodepools -o jsonpath='{.items[*].spec.disruption.budgets}'",
        "kubectl -n kube-system get deployment karpenter -o jsonpath='{.spec.template.spec.containers[*].image}'",
      ],
      missing: 'which Karpenter runs',
    }),
  ];
}
