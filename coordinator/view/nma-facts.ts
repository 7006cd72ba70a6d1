import { parse } from 'yaml';
import { messageFromUnknown } from '../../shared/errors.ts';
import { findNmaVersion } from '../catalogue/nma/versions.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { isUnread, type NmaFacts, type PodFacts, type Unread } from './facts.ts';
import { field, isAutoNode, text, textMap } from './node.ts';
import {
  imageOf,
  podFacts,
  serviceAccountOf,
  tolerationsOf,
  unlessRefused,
  unreadAs,
} from './object-facts.ts';
import { servingPod, workloadOf } from './one-of-several.ts';
import type { SharedReads } from './shared-reads.ts';
import type { View } from './view.ts';

const logLines = 400;

/** What a node's monitoring agent is and does: from the view, its settings read for all nodes at once, its log if asked. */
export function createNmaFacts(deps: {
  readonly cluster: Pick<Cluster, 'read' | 'podLog'>;
  readonly view: Pick<View, 'all' | 'podsOf' | 'unread'>;
  readonly shared: SharedReads;
}): (node: KubeObject, isLogRead: boolean) => Promise<NmaFacts> {
  const { cluster, view, shared } = deps;

  async function readServiceAccount(namespace: string | undefined, name: string | undefined) {
    if (namespace === undefined || name === undefined) return undefined;
    return shared(`serviceaccounts ${namespace}/${name}`, async () => {
      const found = await unlessKept(namespace, cluster.read('serviceaccounts', { namespace, name }));
      if (found === undefined || isUnread(found)) return found;
      return { namespace, name, annotations: found.metadata.annotations ?? {} };
    });
  }

  async function readLog(pod: PodFacts | undefined): Promise<readonly string[] | Unread> {
    if (pod === undefined) return { unread: 'there is no pod on this node' };
    try {
      const log = await cluster.podLog({ namespace: pod.namespace, name: pod.name }, { tailLines: logLines });
      return log === undefined
        ? { unread: 'the pod has no log yet' }
        : log.split('\n').filter((line) => line !== '');
    } catch (thrown) {
      return { unread: messageFromUnknown(thrown) };
    }
  }

  /** `monitors:` of the chart's ConfigMap (nma.md §4.4); absent means all enabled. */
  async function readDisabledPlugins(namespace: string | undefined): Promise<readonly string[] | Unread> {
    if (namespace === undefined) return [];
    const name = 'eks-node-monitoring-agent-monitor-config';
    return shared(`configmaps ${namespace}/${name}`, async () => {
      const found = await unlessKept(namespace, cluster.read('configmaps', { namespace, name }));
      if (isUnread(found)) return found;
      const yaml = found === undefined ? undefined : text(found, 'data', 'config.yaml');
      return yaml === undefined ? [] : disabledIn(yaml);
    });
  }

  return async (node, isLogRead) => {
    const { name } = node.metadata;
    const found = servingPod(view.podsOf('nmaPods', name));
    const isAuto = isAutoNode(node);
    // Of a process of the host the add-on's objects, which are for the other nodes of the cluster, say nothing.
    const isHostProcess = isAuto && found === undefined;
    const dcgmPod = servingPod(view.podsOf('dcgmServerPods', name));
    const daemonSet = isHostProcess ? undefined : workloadOf(view.all('nmaDaemonSets'), found);
    const dcgmDaemonSet = isHostProcess ? undefined : workloadOf(view.all('dcgmServerDaemonSets'), dcgmPod);
    const pod = found === undefined ? undefined : podFacts(found);
    const namespace = pod?.namespace ?? daemonSet?.metadata.namespace;
    const image = pod?.image ?? (daemonSet === undefined ? undefined : imageOf(daemonSet));
    const [account, configuration, log] = await Promise.all([
      readServiceAccount(namespace, pod?.serviceAccount ?? serviceAccountOf(daemonSet)),
      readDisabledPlugins(namespace),
      isLogRead ? readLog(pod) : { unread: 'it was not asked for' },
    ]);
    return {
      daemonSet:
        daemonSet === undefined
          ? undefined
          : {
              namespace: daemonSet.metadata.namespace ?? '',
              name: daemonSet.metadata.name,
              image: imageOf(daemonSet),
              nodeSelector: textMap(daemonSet, 'spec', 'template', 'spec', 'nodeSelector'),
            },
      pod,
      serviceAccount: isUnread(account) ? undefined : account,
      mayBeHostProcess: isAuto,
      version: image === undefined ? undefined : { text: image, ...findNmaVersion(image) },
      log,
      disabledPlugins: isUnread(configuration) ? [] : configuration,
      kept: {
        ...(isUnread(account) ? { serviceAccount: account } : {}),
        ...(isUnread(configuration) ? { configuration } : {}),
        ...unreadAs('pods', view.unread('nmaPods')),
        ...unreadAs('daemonSets', view.unread('nmaDaemonSets')),
        ...unreadAs('dcgmServer', view.unread('dcgmServerPods') ?? view.unread('dcgmServerDaemonSets')),
      },
      dcgmServer: {
        daemonSet: dcgmDaemonSet !== undefined,
        ...(dcgmDaemonSet === undefined ? {} : { tolerations: tolerationsOf(dcgmDaemonSet) }),
        pod: dcgmPod === undefined ? undefined : podFacts(dcgmPod),
      },
    };
  };
}

function disabledIn(yaml: string): readonly string[] {
  try {
    const monitors = field(parse(yaml), 'monitors');
    return Object.entries((monitors ?? {}) as object).flatMap(([plugin, settings]) =>
      field(settings, 'enabled') === false ? [plugin] : [],
    );
  } catch {
    // The agent refuses such a file and does not start: its pod shows that.
    return [];
  }
}

/** Rights on the monitoring agent's namespace are given for one namespace; it may be in another. */
function unlessKept<T>(namespace: string, answer: Promise<T>): Promise<T | Unread> {
  const usual = `let the coordinator read it: with its chart nma.namespace=${namespace}`;
  return unlessRefused(answer, ({ message, details: { remedy = usual } }) => ({
    unread: `${message}; ${remedy}`,
  }));
}
