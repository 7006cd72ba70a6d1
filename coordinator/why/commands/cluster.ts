import type { At, Deed, TextFact } from '../piece.ts';
import { optionOf, type Unwrapped } from '../unwrap.ts';

/** What a command to the cluster, to AWS or to Helm did. */
type Read = { readonly deeds: readonly Deed[]; readonly facts?: readonly TextFact[] };

const nothing: Read = { deeds: [] };
const addOn = 'eks-node-monitoring-agent';

/** `kubectl`, without exec and debug, which lead elsewhere. */
export function readKubectl({ argv }: Unwrapped, at: At): Read {
  const args = argv.slice(1);
  const line = args.join(' ');
  const verb = args.find((arg) => verbs.has(arg));
  const look = (what: 'node' | 'logs' | 'other'): Read => ({ deeds: [{ ...at, is: 'look', what }] });
  switch (verb) {
    case 'annotate': {
      if (!line.includes('eks.amazonaws.com/role-arn')) return look('other');
      return {
        deeds: [
          {
            ...at,
            ...(line.includes('role-arn-') ? { is: 'role-removed' } : { is: 'role', how: 'annotation' }),
          },
        ],
      };
    }
    case 'patch':
    case 'edit':
    case 'replace':
      if (/clusterrole/i.test(line)) return { deeds: [{ ...at, is: 'cluster-role' }] };
      if (/(^| )nodes?[ /]/.test(line) && /status/.test(line))
        return { deeds: [{ ...at, is: 'condition-edit' }] };
      return gateOf(line, at) ?? look('other');
    case 'set':
      return gateOf(line, at) ?? look('other');
    case 'create':
      return /clusterrole/i.test(line) ? { deeds: [{ ...at, is: 'cluster-role' }] } : look('other');
    case 'logs':
      return look('logs');
    case 'get':
      if (/(^| )(events?|ev)( |$)/.test(line)) return eventSearch(line, at);
      return look(/(^| )(nodes?|no)([ /]|$)/.test(line) ? 'node' : 'other');
    case 'events':
      return eventSearch(line, at);
    case 'describe':
      return /(^| )(nodes?|no)([ /]|$)/.test(line)
        ? { deeds: [{ ...at, is: 'event-search', by: 'describe' }] }
        : look('other');
    default:
      return look('other');
  }
}

const verbs: ReadonlySet<string> = new Set([
  'annotate',
  'patch',
  'edit',
  'replace',
  'set',
  'create',
  'logs',
  'get',
  'describe',
  'events',
  'apply',
  'delete',
  'rollout',
  'wait',
  'top',
  'label',
  'cordon',
  'drain',
  'port-forward',
  'config',
  'version',
  'auth',
  'scale',
  'explain',
  'cp',
]);

function eventSearch(line: string, at: At): Read {
  if (
    /reason=(?!AcceleratedHardwareReady|KernelReady|StorageReady|NetworkingReady|ContainerRuntimeReady)\w/.test(
      line,
    )
  )
    return { deeds: [{ ...at, is: 'event-search', by: 'reason' }] };
  if (/(-n|--namespace)[ =](?!default)\S/.test(line))
    return { deeds: [{ ...at, is: 'event-search', by: 'namespace' }] };
  return { deeds: [{ ...at, is: 'look', what: 'other' }] };
}

function gateOf(line: string, at: At): Read | undefined {
  const gate =
    /NodeRepair=(true|false)/i.exec(line) ?? /featureGates\.nodeRepair[=:]\s*"?(true|false)/i.exec(line);
  return gate === null
    ? undefined
    : { deeds: [{ ...at, is: 'karpenter-gate', on: gate[1]?.toLowerCase() === 'true' }] };
}

/** `aws eks …`. */
export function readAws({ argv }: Unwrapped, at: At): Read {
  const args = argv.slice(1);
  if (!args.includes('eks')) return { deeds: [{ ...at, is: 'look', what: 'other' }] };
  if (args.includes('create-addon') || args.includes('update-addon')) {
    const name = optionOf(args, ['--addon-name']);
    // Where no add-on is named, as in a sentence about it, the one of this subject is meant.
    if (name !== undefined && name !== addOn) return { deeds: [{ ...at, is: 'look', what: 'other' }] };
    const version = optionOf(args, ['--addon-version']);
    const role = args.some((arg) => arg.startsWith('--service-account-role-arn'));
    const identity = args.some((arg) => arg.startsWith('--pod-identity-associations'));
    return {
      deeds: [
        ...(role ? [{ ...at, is: 'role', how: 'add-on' } as const] : []),
        ...(identity ? [{ ...at, is: 'role', how: 'pod-identity' } as const] : []),
        ...(role || identity ? [] : [{ ...at, is: 'add-on', version } as const]),
        ...valuesOf(optionOf(args, ['--configuration-values']) ?? '', at),
      ],
      ...(version === undefined ? {} : { facts: [{ ...at, is: 'nma-version', version }] }),
    };
  }
  if (args.includes('create-pod-identity-association')) {
    const account = optionOf(args, ['--service-account']);
    return account === undefined || account.includes(addOn)
      ? { deeds: [{ ...at, is: 'role', how: 'pod-identity' }] }
      : nothing;
  }
  if (args.includes('delete-pod-identity-association')) return { deeds: [{ ...at, is: 'role-removed' }] };
  const config = optionOf(args, ['--node-repair-config']);
  if (args.includes('update-nodegroup-config') || args.includes('create-nodegroup') || config !== undefined)
    return { deeds: [{ ...at, is: 'node-repair', enabled: enabledIn(config) }] };
  return { deeds: [{ ...at, is: 'look', what: 'other' }] };
}

/** `enabled=true`, or JSON with it; undefined: it does not say. */
export function enabledIn(config: string | undefined): boolean | undefined {
  const found = /"?enabled"?\s*[=:]\s*"?(true|false)/i.exec(config ?? '');
  return found === null ? undefined : found[1]?.toLowerCase() === 'true';
}

function valuesOf(text: string, at: At): readonly Deed[] {
  const off =
    /"?(nvidia|kernel-monitor|networking|storage-monitor|runtime)"?\s*:\s*\{\s*"?enabled"?\s*:\s*false/.exec(
      text,
    );
  return [
    ...(off === null ? [] : [{ ...at, is: 'monitor-off', plugin: off[1] ?? '' } as const]),
    ...(/"?dcgmAgent"?\s*:\s*\{\s*"?enabled"?\s*:\s*false/.test(text)
      ? [{ ...at, is: 'engine-off' } as const]
      : []),
  ];
}

/** `eksctl …`. */
export function readEksctl({ argv }: Unwrapped, at: At): Read {
  const args = argv.slice(1);
  const line = args.join(' ');
  if (/iamserviceaccount/.test(line) && args.includes('create')) {
    const account = optionOf(args, ['--name']);
    return account === undefined || account.includes(addOn)
      ? { deeds: [{ ...at, is: 'role', how: 'service-account' }] }
      : nothing;
  }
  if (/podidentityassociation/.test(line) && args.includes('create'))
    return { deeds: [{ ...at, is: 'role', how: 'pod-identity' }] };
  if (/(^| )addon( |$)/.test(line) && (args.includes('create') || args.includes('update'))) {
    const name = optionOf(args, ['--name']);
    if (name !== undefined && name !== addOn) return nothing;
    const role = args.some((arg) => arg.startsWith('--service-account-role-arn'));
    const version = optionOf(args, ['--version']);
    return {
      deeds: [role ? { ...at, is: 'role', how: 'add-on' } : { ...at, is: 'add-on', version }],
      ...(version === undefined ? {} : { facts: [{ ...at, is: 'nma-version', version }] }),
    };
  }
  return { deeds: [{ ...at, is: 'look', what: 'other' }] };
}

/** `helm …`: only values that matter to the chain. */
export function readHelm({ argv }: Unwrapped, at: At): Read {
  const line = argv.join(' ');
  const off = /nodeAgent\.monitors\.([\w-]+)\.enabled=false/.exec(line);
  const deeds: readonly Deed[] = [
    ...(gateOf(line, at)?.deeds ?? []),
    ...(off === null ? [] : [{ ...at, is: 'monitor-off', plugin: off[1] ?? '' } as const]),
    ...(line.includes('dcgmAgent.enabled=false') ? [{ ...at, is: 'engine-off' } as const] : []),
    ...(/role-arn=/.test(line) ? [{ ...at, is: 'role', how: 'annotation' } as const] : []),
  ];
  return deeds.length === 0 ? { deeds: [{ ...at, is: 'look', what: 'other' }] } : { deeds };
}
