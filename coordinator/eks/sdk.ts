import type {
  DescribeNodegroupCommandOutput,
  NodeRepairConfigOverrides,
  NodeRepairConfig as SentConfig,
} from '@aws-sdk/client-eks';
import { messageFromUnknown } from '../../shared/errors.ts';
import type { NodeRepairConfig, NodeRepairOverride } from '../catalogue/repair/eks.ts';
import { describeCommand, type EksUnread, type NodeGroups } from './port.ts';

/** Which cluster is asked about, and where. Credentials are those of the SDK’s default chain: Pod Identity, IRSA, environment. */
export type EksOptions = {
  /** Name of the cluster in EKS. */
  readonly cluster: string;
  /** AWS region, such as ap-northeast-2. */
  readonly region: string;
  /** Of the EKS API; absent: that of the region. */
  readonly endpoint?: string;
  /** How long one answer may take, retries included, ms; default 5000: a plan waits for it. */
  readonly timeoutMs?: number;
};

/** By the official SDK, which is loaded at the first question only: most clusters have no managed node group. */
export function createEksNodeGroups(options: EksOptions): NodeGroups {
  const { cluster, region, endpoint, timeoutMs = 5_000 } = options;
  let client: Promise<(nodegroupName: string) => Promise<DescribeNodegroupCommandOutput>> | undefined;

  async function connect() {
    const { DescribeNodegroupCommand, EKSClient } = await import('@aws-sdk/client-eks');
    const eks = new EKSClient({ region, maxAttempts: 3, ...(endpoint === undefined ? {} : { endpoint }) });
    return async (nodegroupName: string): Promise<DescribeNodegroupCommandOutput> =>
      eks.send(new DescribeNodegroupCommand({ clusterName: cluster, nodegroupName }), {
        abortSignal: AbortSignal.timeout(timeoutMs),
      });
  }

  return {
    async repairConfig(nodeGroup) {
      try {
        client ??= connect();
        const { nodegroup } = await (await client)(nodeGroup);
        return nodegroup === undefined
          ? unread('EKS answered without a node group', nodeGroup)
          : configOf(nodegroup.nodeRepairConfig ?? {});
      } catch (thrown) {
        return unread(because(thrown), nodeGroup);
      }
    },
  };

  function unread(why: string, nodeGroup: string): EksUnread {
    return {
      unread: `EKS was asked for node group ${nodeGroup}: ${why}`,
      remedy: describeCommand(cluster, nodeGroup),
    };
  }
}

/** The SDK’s errors by their names; an error without one never left this machine. */
function because(thrown: unknown): string {
  const { name = '' } = (thrown ?? {}) as { readonly name?: string };
  const message = messageFromUnknown(thrown);
  const known: Readonly<Record<string, string>> = {
    AccessDeniedException: 'denied; the coordinator’s role needs eks:DescribeNodegroup',
    ResourceNotFoundException: 'there is no such cluster or node group in this region and account',
    ThrottlingException: 'throttled, also when it was asked again',
    CredentialsProviderError: 'no AWS credentials were found',
    TimeoutError: 'no answer in time',
    AbortError: 'no answer in time',
  };
  const row = known[name];
  return row === undefined ? `${name || 'failed'}: ${message}` : `${row} (${message})`;
}

/** A group without a configuration has its repair off (EKS guide "node-repair"). */
function configOf(sent: SentConfig): NodeRepairConfig {
  const {
    enabled = false,
    maxUnhealthyNodeThresholdCount: count,
    nodeRepairConfigOverrides: overrides,
  } = sent;
  const percentage = sent.maxUnhealthyNodeThresholdPercentage;
  return {
    enabled,
    ...(count === undefined ? {} : { maxUnhealthyNodeThresholdCount: count }),
    ...(percentage === undefined ? {} : { maxUnhealthyNodeThresholdPercentage: percentage }),
    ...(overrides === undefined ? {} : { nodeRepairConfigOverrides: overrides.flatMap(overrideOf) }),
  };
}

const actions = ['Replace', 'Reboot', 'NoAction'] as const;

/** An override without condition or reason decides nothing. An action that is not known here is left to the tables. */
function overrideOf({
  nodeMonitoringCondition,
  nodeUnhealthyReason,
  minRepairWaitTimeMins,
  repairAction,
}: NodeRepairConfigOverrides): readonly NodeRepairOverride[] {
  if (nodeMonitoringCondition === undefined || nodeUnhealthyReason === undefined) return [];
  const action = actions.find((known) => known === repairAction);
  return [
    {
      nodeMonitoringCondition,
      nodeUnhealthyReason,
      ...(minRepairWaitTimeMins === undefined ? {} : { minRepairWaitTimeMins }),
      ...(action === undefined ? {} : { repairAction: action }),
    },
  ];
}
