import type { KubeObject } from '../cluster/port.ts';
import type { KarpenterFacts, Unread } from './facts.ts';
import { field, list, text } from './node.ts';

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

type Setting = { readonly value: string | undefined; readonly unread?: Unread };

/** Go's flag package takes one dash or two, and the value behind `=` or as the next argument. */
function settingOf(container: unknown, flag: string, variable: string): Setting {
  const words = [...list(container, 'command'), ...list(container, 'args')].map(String);
  for (const [index, word] of words.entries()) {
    const found = /^--?([a-z-]+)(?:=(.*))?$/s.exec(word);
    if (found?.[1] !== flag) continue;
    const next = words[index + 1];
    return { value: found[2] ?? (next === undefined || next.startsWith('-') ? '' : next) };
  }
  const entry = list(container, 'env').find((one) => text(one, 'name') === variable);
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

/** undefined: the gate is not named. Values are those of Go's strconv.ParseBool. */
function gateOf(gates: string | undefined, name: string): boolean | undefined {
  const found = (gates ?? '')
    .split(',')
    .map((gate) => gate.trim().split('='))
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
