import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { KarpenterFacts, NodeFacts, PodFacts, Toleration, Unread } from './facts.ts';
import {
  conditionsOf,
  count,
  expectedGpus,
  field,
  hasGpu,
  list,
  offeredGpus,
  text,
  textMap,
} from './node.ts';
import { mainContainer } from './one-of-several.ts';

/** Objects of the cluster as the plain facts that rules judge. */

/** Of a whole Node or of what the view keeps of it. */
export function nodeFacts(node: KubeObject): NodeFacts {
  const labels = textMap(node.metadata, 'labels');
  const expected = expectedGpus(labels);
  return {
    name: node.metadata.name,
    uid: text(node.metadata, 'uid') ?? '',
    createdAt: text(node.metadata, 'creationTimestamp') ?? '',
    labels,
    annotations: textMap(node.metadata, 'annotations'),
    architecture: labels['kubernetes.io/arch'] ?? text(node, 'status', 'nodeInfo', 'architecture') ?? '',
    instanceType: labels['node.kubernetes.io/instance-type'],
    hasGpu: hasGpu(node),
    offeredGpus: offeredGpus(node),
    ...(expected === undefined ? {} : { expectedGpus: expected }),
    conditions: conditionsOf(node),
    taints: list(node, 'spec', 'taints').map((taint) => {
      const value = text(taint, 'value');
      return {
        key: text(taint, 'key') ?? '',
        effect: text(taint, 'effect') ?? '',
        ...(value === undefined ? {} : { value }),
      };
    }),
  };
}

/** Of its main container, which is the only one of NMA and of dcgm-server unless somebody adds one. */
export function podFacts(pod: KubeObject): PodFacts {
  const container = mainContainer(pod.spec);
  // The kubelet sorts them by name, whatever the order of the containers is.
  const statuses = list(pod, 'status', 'containerStatuses');
  const name = text(container, 'name');
  const status = statuses.find((one) => text(one, 'name') === name) ?? statuses[0];
  const environment = list(container, 'env').map(
    (entry) => [text(entry, 'name') ?? '', text(entry, 'value') ?? ''] as const,
  );
  return {
    namespace: text(pod.metadata, 'namespace') ?? '',
    name: pod.metadata.name,
    uid: text(pod.metadata, 'uid') ?? '',
    phase: text(pod, 'status', 'phase') ?? 'Unknown',
    ready: list(pod, 'status', 'conditions').some(
      (condition) => text(condition, 'type') === 'Ready' && text(condition, 'status') === 'True',
    ),
    startedAt: text(status, 'state', 'running', 'startedAt') ?? text(pod, 'status', 'startTime') ?? null,
    restarts: count(status, 'restartCount') ?? 0,
    reason:
      text(status, 'state', 'waiting', 'reason') ??
      text(status, 'state', 'terminated', 'reason') ??
      text(status, 'lastState', 'terminated', 'reason'),
    image: podImage(pod),
    serviceAccount: text(pod, 'spec', 'serviceAccountName') ?? 'default',
    environment: Object.fromEntries(environment),
    volumes: list(pod, 'spec', 'volumes').map((volume) => text(volume, 'name') ?? ''),
  };
}

/** Image of the main container; empty where there is none. */
export function podImage(pod: KubeObject): string {
  return text(mainContainer(pod.spec), 'image') ?? '';
}

/** Image of the main container in a workload's template; empty where there is none. */
export function imageOf(workload: KubeObject): string {
  return text(mainContainer(field(workload, 'spec', 'template', 'spec')), 'image') ?? '';
}

/** Of a workload's pods; what a toleration leaves out is what Kubernetes takes for it. */
export function tolerationsOf(workload: KubeObject): readonly Toleration[] {
  return list(workload, 'spec', 'template', 'spec', 'tolerations').map((toleration) => ({
    key: text(toleration, 'key') ?? '',
    operator: text(toleration, 'operator') ?? 'Equal',
    value: text(toleration, 'value') ?? '',
    effect: text(toleration, 'effect') ?? '',
  }));
}

/** undefined: it runs as `default`, or there is no such workload. */
export function serviceAccountOf(workload: KubeObject | undefined): string | undefined {
  return workload === undefined
    ? undefined
    : text(workload, 'spec', 'template', 'spec', 'serviceAccountName');
}

/**
 * Karpenter's version and switches as its Deployment has them. A flag beats the environment (karpenter
 * pkg/operator/options); gates are `Name=bool,…`, and one that is not named has its default, off.
 */
export function karpenterFacts(deployment: KubeObject): KarpenterFacts {
  const containers = list(deployment, 'spec', 'template', 'spec', 'containers');
  // The chart calls it so; a mesh may put its own container first.
  const container = containers.find((one) => text(one, 'name') === 'controller') ?? containers[0];
  const gates = settingOf(container, 'feature-gates', 'FEATURE_GATES');
  const awsGates = settingOf(container, 'aws-feature-gates', 'AWS_FEATURE_GATES');
  const legacy = settingOf(container, 'legacy-node-repair', 'LEGACY_NODE_REPAIR');
  const unread = [gates, awsGates, legacy].find((setting) => setting.unread !== undefined)?.unread;
  const ready = readyReplicas(deployment);
  return {
    deployment: `${deployment.metadata.namespace ?? ''}/${deployment.metadata.name}`,
    image: text(container, 'image') ?? '',
    nodeRepairGate: gateOf(gates.value, 'NodeRepair'),
    rebootGate: gateOf(awsGates.value, 'RebootForRepair'),
    legacyRepair: legacy.value !== undefined && (legacy.value === '' || isTrue(legacy.value)),
    ...(ready === undefined ? {} : { readyReplicas: ready }),
    ...(unread === undefined ? {} : { settingsUnread: unread }),
    evidence: [
      gates.value === undefined
        ? 'neither --feature-gates nor FEATURE_GATES is set'
        : `feature gates "${gates.value}"`,
      ...(awsGates.value === undefined ? [] : [`AWS feature gates "${awsGates.value}"`]),
      ...(legacy.value === undefined ? [] : [`legacy node repair ${legacy.value || 'true'}`]),
      ...(unread === undefined ? [] : [unread.unread]),
    ].join('; '),
  };
}

/** The gate NodeRepair of Karpenter's container; undefined: it is not named. `unread`: it may be set where nobody looks. */
export function repairGateOf(container: unknown): {
  readonly on: boolean | undefined;
  readonly unread?: Unread;
} {
  const { value, ...rest } = settingOf(container, 'feature-gates', 'FEATURE_GATES');
  return { on: gateOf(value, 'NodeRepair'), ...rest };
}

type Setting = { readonly value: string | undefined; readonly unread?: Unread };

/**
 * Go's flag package takes one dash or two, and the value behind `=` or as the next argument; of a flag or a variable that stands
 * there twice the last one holds.
 */
function settingOf(container: unknown, flag: string, variable: string): Setting {
  const words = [...list(container, 'command'), ...list(container, 'args')].map(String);
  const at = words.findLastIndex((word) => flagIn(word)?.name === flag);
  if (at >= 0) {
    const next = words[at + 1];
    const value = flagIn(words[at] ?? '')?.value ?? (next === undefined || next.startsWith('-') ? '' : next);
    return expanded(container, value);
  }
  const entry = list(container, 'env').findLast((one) => text(one, 'name') === variable);
  if (entry !== undefined && field(entry, 'valueFrom') === undefined)
    return { value: text(entry, 'value') ?? '' };
  if (entry !== undefined) {
    return {
      value: undefined,
      unread: { unread: `${variable} comes from another object, which is not read` },
    };
  }
  const sources = list(container, 'envFrom');
  if (sources.length === 0) return { value: undefined };
  return {
    value: undefined,
    unread: { unread: `its environment comes from other objects (envFrom), which are not read` },
  };
}

function flagIn(word: string): { readonly name: string; readonly value: string | undefined } | undefined {
  const [, name, value] = /^--?([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
  return name === undefined ? undefined : { name, value };
}

/** The kubelet puts the values of variables in place of `$(NAME)` in arguments. */
function expanded(container: unknown, given: string): Setting {
  const names = [...given.matchAll(/\$\((\w+)\)/g)].map(([, name = '']) => name);
  const variables = new Map(
    list(container, 'env').map((one) => [text(one, 'name'), text(one, 'value')] as const),
  );
  const missing = names.find((name) => variables.get(name) === undefined);
  if (missing !== undefined)
    return {
      value: undefined,
      unread: { unread: `${given} names the variable ${missing}, whose value is not in the Deployment` },
    };
  return { value: given.replaceAll(/\$\((\w+)\)/g, (_all, name: string) => variables.get(name) ?? '') };
}

/** undefined: the gate is not named. Values are those of Go's strconv.ParseBool; spaces count nowhere (MapStringBool). */
function gateOf(gates: string | undefined, name: string): boolean | undefined {
  const found = (gates ?? '')
    .split(',')
    .map((gate) => gate.split('=').map((part) => part.trim()))
    .findLast(([gate]) => gate === name);
  return found === undefined ? undefined : isTrue(found[1] ?? '');
}

function isTrue(value: string): boolean {
  return ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(value.trim());
}

/** undefined: nobody has written its status yet, which says nothing about its pods. */
function readyReplicas(deployment: KubeObject): number | undefined {
  if (field(deployment, 'spec', 'replicas') === 0) return 0;
  if (field(deployment, 'status', 'observedGeneration') === undefined) return undefined;
  const ready = field(deployment, 'status', 'readyReplicas');
  return typeof ready === 'number' ? ready : 0;
}

/** One member where something is unread, none otherwise. */
export function unreadAs<K extends string>(
  key: K,
  unread: Unread | undefined,
): { readonly [key in K]?: Unread } {
  return (unread === undefined ? {} : { [key]: unread }) as { readonly [key in K]?: Unread };
}

/** What is refused for want of a right is unread; what may pass is thrown. */
export async function unlessRefused<T>(
  answer: Promise<T>,
  asUnread: (refusal: Refusal) => Unread = unreadBecause,
): Promise<T | Unread> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'cluster_refused') return asUnread(thrown);
    throw thrown;
  }
}

/** A part that could not be read, with the words of what went wrong and the remedy where there is one. */
export function unreadBecause(thrown: unknown): Unread {
  const unread = messageFromUnknown(thrown);
  if (!(thrown instanceof Refusal)) return { unread };
  const { reason, details } = thrown;
  return { unread, reason, ...(details.remedy === undefined ? {} : { remedy: details.remedy }) };
}
