import type { NodeRepairConfig } from '../catalogue/repair/eks.ts';

/** Why the settings of a node group could not be read, and the command by which a person can. */
export type EksUnread = { readonly unread: string; readonly remedy: string };

/** What EKS knows of managed node groups and the API server does not show. Read-only. */
export interface NodeGroups {
  /**
   * `nodeRepairConfig` of a managed node group, completed by the documented default (off). Never throws: what is denied,
   * throttled, absent or not reached is a reason, and nothing is concluded from it.
   */
  repairConfig(nodeGroup: string): Promise<NodeRepairConfig | EksUnread>;
}

/** The command that shows the same to a person. */
export function describeCommand(cluster: string, nodeGroup: string): string {
  return `aws eks describe-nodegroup --cluster-name ${cluster} --nodegroup-name ${nodeGroup} --query nodegroup.nodeRepairConfig`;
}
