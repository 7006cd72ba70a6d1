import type { CausePage } from './page.ts';

/** Causes that keep the node from being repaired after the reaction. */
export const repairPages: Readonly<Record<string, CausePage>> = {
  'karpenter-too-old': {
    symptom: 'The condition is False, and Karpenter does nothing.',
    proof: 'The version of Karpenter’s Deployment has no node repair.',
    refuted: 'This version has it.',
    remedy: 'Upgrade Karpenter to 1.1 or later and switch its feature gate NodeRepair on.',
  },
  'karpenter-gate-off': {
    symptom: 'The condition is False, and Karpenter does nothing.',
    proof:
      'Neither `--feature-gates` nor `FEATURE_GATES` of its Deployment has `NodeRepair=true`: the gate is alpha and off by default.',
    refuted: 'The gate is on. Open where the setting comes from another object.',
    remedy:
      'Helm value `settings.featureGates.nodeRepair=true`. A condition that is False already counts from its transition: the node may be deleted at once.',
  },
  'karpenter-not-running': {
    symptom: 'The gate is on, and nothing happens.',
    proof: 'Its Deployment has no ready pod.',
    refuted: 'It has one.',
    remedy: '`kubectl describe deployment` says why. A repair that is due then comes at its start.',
  },
  'repair-no-action': {
    symptom: 'The fault is seen, and nothing follows.',
    proof:
      'The controller’s documented action for that condition and reason is none, or the reaction is an event.',
    refuted: 'The controller has an action for it.',
    remedy:
      'Drill a reason that leads to an action (Xid 79: replace), or override it in the node group’s `nodeRepairConfigOverrides`.',
  },
  'repair-vetoed': {
    symptom: 'Other nodes are repaired, this one is not.',
    proof: 'The annotation `karpenter.sh/do-not-repair` on the node, or a node without a NodePool.',
    refuted: 'Nothing on the node forbids it.',
    remedy: 'Remove the annotation when the node may be repaired.',
  },
  'repair-budget': {
    symptom: 'From Karpenter 1.15 on: the node waits, and Karpenter says that disruption is blocked.',
    proof: 'The budgets of the NodePool allow 0 nodes for the reason Unhealthy.',
    refuted: 'No budget forbids it. Open where NodePools may not be read.',
    remedy: 'Give repairs a budget of their own: `{nodes: "1", reasons: [Unhealthy]}`.',
  },
  'repair-threshold': {
    symptom: 'Several nodes are unhealthy, and none is repaired.',
    proof:
      'The share of unhealthy nodes of the pool or group, this one included, is above the controller’s limit of 20 %.',
    refuted: 'Few enough are unhealthy.',
    remedy: 'Clear or replace the others first. EKS has a setting for it, Karpenter has none.',
  },
  'repair-not-due': {
    symptom: 'The drill ended, and the repair has not begun.',
    proof:
      'The controller waits 10 or 30 min after the transition, by condition and reason, and that is not over.',
    refuted: 'The wait is over.',
    remedy: 'Wait for as long as the explanation says: `kubectl get node NODE -w`.',
  },
  'repair-not-enabled': {
    symptom: 'The condition stays False for hours.',
    proof:
      'The node belongs to nobody that repairs it: proven. A managed node group has its repair off unless somebody switched it on, which the API server does not show: likely.',
    refuted: 'A controller that is on owns the node.',
    remedy:
      '`aws eks update-nodegroup-config … --node-repair-config enabled=true`, or run GPU nodes from a NodePool with the gate on.',
  },
};
