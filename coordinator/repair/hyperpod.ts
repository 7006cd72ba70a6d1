import type { Facts } from '../view/facts.ts';
import { seenLabel } from './parts.ts';
import type { RepairForecast } from './schema.ts';

/** What HyperPod's own health agent writes on a node that it takes out (SageMaker guide, "resiliency of HyperPod on EKS"). */
const statusLabel = 'sagemaker.amazonaws.com/node-health-status';
const pending: Readonly<Record<string, RepairForecast['action']>> = {
  UnschedulablePendingReplacement: 'replace',
  UnschedulablePendingReboot: 'reboot',
};

/** HyperPod finds faults with its own agent and does not look at the conditions of NMA, which its chart leaves out. */
export function forecastHyperPod(facts: Facts): RepairForecast {
  const status = facts.node.labels[statusLabel];
  const action = status === undefined ? undefined : pending[status];
  return {
    controller: 'SageMaker HyperPod',
    willAct: action === undefined ? 'unknown' : 'yes',
    action: action ?? 'replace or reboot',
    trigger: null,
    afterSeconds: action === undefined ? null : 0,
    dueAt: action === undefined ? null : facts.at,
    latestSeconds: action === undefined ? null : 0,
    blockedBy: [],
    unread:
      action === undefined
        ? [
            {
              what: 'whether HyperPod recovers nodes by itself (NodeRecovery Automatic or None)',
              command: 'aws sagemaker describe-cluster --cluster-name CLUSTER --query NodeRecovery',
            },
          ]
        : [],
    evidence: [
      seenLabel(facts, 'sagemaker.amazonaws.com/compute-type', 'hyperpod'),
      ...(action === undefined ? [] : [seenLabel(facts, statusLabel, status ?? '')]),
    ],
    notes: [
      'HyperPod’s own health monitoring agent decides by its own rules; NMA’s chart leaves these nodes out, so that its conditions lead to nothing here',
    ],
  };
}
