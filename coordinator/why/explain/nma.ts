import { nmaVersions } from '../../catalogue/nma/versions.ts';
import type { Finding } from '../finding.ts';
import { nmaLogRows } from '../nma-log.ts';
import type { Deed, DeedOf } from '../piece.ts';
import { inEngine, restartNma, say, showCondition, showEvents, showNma, type World } from './say.ts';

const addOnName = 'eks-node-monitoring-agent';
const issue23 = {
  source: `aws/${addOnName} issue 23; cmd/${addOnName}/restconfig.go`,
  observed:
    'conditions are written with the kubelet’s kubeconfig, whose credential plugin runs in a chroot on the host with the pod’s environment',
};
const removeRole = [
  `kubectl -n kube-system annotate serviceaccount ${addOnName} eks.amazonaws.com/role-arn-`,
  restartNma,
];

const roleDid: Readonly<Record<DeedOf<'role'>['how'], string>> = {
  'add-on':
    'Gave the add-on an IAM role (IRSA): the ServiceAccount gets the annotation eks.amazonaws.com/role-arn.',
  'service-account': 'Made an IAM role for the ServiceAccount (IRSA) and annotated it.',
  annotation: 'Annotated the ServiceAccount with an IAM role (IRSA).',
  'pod-identity': 'Gave the ServiceAccount a role by a Pod Identity association.',
  pod: 'The pod carries an AWS role in its environment.',
};

/** A role for NMA, however it was given. All ways in one text are one finding, with the log lines that prove it. */
export function explainRole(deed: DeedOf<'role'>, world: World): readonly Finding[] {
  const roles = world.deeds.filter((one): one is DeedOf<'role'> => one.is === 'role');
  if (roles[0] !== deed) return [];
  const failures = world.deeds.filter((one) => isCredentialFailure(one));
  const stale = world.deeds.filter((one) => one.is === 'heartbeats');
  const hasPodIdentity = roles.some(({ how }) => how === 'pod-identity');
  const isProven = failures.length > 0;
  return [
    say(deed, {
      code: 'credentials-broken',
      result: 'broken',
      ...(isProven ? {} : { certainty: 'likely' as const }),
      did: [...new Set(roles.map(({ how }) => roleDid[how]))].join(' '),
      summary:
        'NMA needs no role, and with one its condition writes break: it runs the kubelet’s credential plugin in a chroot on the host, where the pod’s AWS variables name a token file that is not there. Events still work; conditions are no longer written.',
      lines: [...roles.slice(1), ...failures, ...stale],
      facts: [issue23],
      seenBy: [
        { who: 'pods', sees: false, because: 'they stay Running: only the log and the heartbeat show it' },
      ],
      commands: [
        ...(hasPodIdentity
          ? [
              `aws eks list-pod-identity-associations --cluster-name CLUSTER --namespace kube-system --service-account ${addOnName}`,
              'aws eks delete-pod-identity-association --cluster-name CLUSTER --association-id ID',
            ]
          : []),
        ...removeRole,
      ],
      ...(isProven
        ? {}
        : {
            missing: `a heartbeat older than 5 min 15 s (${showCondition}), or "failed to report managed conditions" in NMA’s log`,
          }),
    }),
  ];
}

function isCredentialFailure(deed: Deed): boolean {
  return deed.is === 'nma-log' && rowOf(deed)?.code === 'credentials-broken';
}

function rowOf({ row }: DeedOf<'nma-log'>) {
  return nmaLogRows.find(({ id }) => id === row);
}

/** A line of NMA's log. */
export function explainNmaLog(deed: DeedOf<'nma-log'>, world: World): readonly Finding[] {
  const row = rowOf(deed);
  if (row === undefined) return [];
  // All failures of one cause are one finding: that of the role, where the text has one, else that of the first line.
  const same = world.deeds.filter(
    (one): one is DeedOf<'nma-log'> => one.is === 'nma-log' && rowOf(one)?.code === row.code,
  );
  const hasRole = row.code === 'credentials-broken' && world.deeds.some(({ is }) => is === 'role');
  if (hasRole || same[0] !== deed) return [];
  const isCredentials = row.code === 'credentials-broken';
  const alone = isCredentials && same.every((one) => ['panic-255', 'conditions-failed'].includes(one.row));
  const says = [...new Set(same.map((one) => rowOf(one)?.says ?? ''))].join(' ');
  return [
    say(deed, {
      code: row.code,
      result: row.result,
      ...(alone ? { certainty: 'likely' as const } : {}),
      did: 'A line of NMA’s log.',
      summary: isCredentials
        ? `${says} An AWS role on the pod (IRSA or Pod Identity) does that; NMA needs none. Events still work, conditions are not written, and the ClusterRole is not the cause.`
        : says,
      lines: same.slice(1),
      facts: [{ source: row.source, observed: says }],
      commands: isCredentials
        ? removeRole
        : row.code === 'arm64-gate'
          ? updateNma()
          : [...(row.commands ?? [showCondition])],
      ...(alone
        ? { missing: 'the lines before it in the log, and the annotation of the ServiceAccount' }
        : {}),
    }),
  ];
}

/** The add-on without a role. */
export function explainAddOn(deed: DeedOf<'add-on'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'role-not-needed',
      result: 'works',
      did: `Installed NMA without an IAM role${deed.version === undefined ? '' : `, version ${deed.version}`}.`,
      summary:
        'That is right: events go out with the ServiceAccount, conditions with the kubelet’s identity, and neither needs a role.',
      facts: [issue23],
      commands: [showNma, showCondition],
    }),
  ];
}

/** The role taken away again. */
export function explainRoleRemoved(deed: DeedOf<'role-removed'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'role-not-needed',
      result: 'works',
      did: 'Took the AWS role from the ServiceAccount.',
      summary:
        'That is the remedy, once the pods have been started again: their environment is set at their start.',
      facts: [issue23],
      commands: [restartNma, showCondition],
    }),
  ];
}

/** More rights for the wrong identity. */
export function explainClusterRole(deed: DeedOf<'cluster-role'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'cluster-role-not-the-cause',
      result: 'open',
      did: 'Changed the rights of NMA’s ServiceAccount.',
      summary:
        'That changes nothing: conditions are written with the kubelet’s identity, not with the ServiceAccount, and the chart’s ClusterRole has nodes/status anyway. Leave the ClusterRole as the chart has it.',
      facts: [issue23],
      commands: [`kubectl -n kube-system get serviceaccount ${addOnName} -o yaml`, showCondition],
    }),
  ];
}

/** A monitor switched off by values. */
export function explainMonitorOff(deed: DeedOf<'monitor-off'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'monitor-disabled',
      result: 'broken',
      did: `Switched the monitor ${deed.plugin} of NMA off.`,
      summary: `NMA no longer finds anything of this kind${deed.plugin === 'nvidia' ? ', and AcceleratedHardwareReady is absent or keeps an old heartbeat' : ''}. The configuration is read at start only.`,
      facts: [
        { source: `aws/${addOnName} pkg/config/monitor.go`, observed: 'monitors: <plugin>: enabled: false' },
      ],
      commands: [`kubectl -n kube-system get configmap ${addOnName}-monitor-config -o yaml`, restartNma],
    }),
  ];
}

/** No host engine by values. */
export function explainEngineOff(deed: DeedOf<'engine-off'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'engine-lost',
      result: 'broken',
      certainty: 'likely',
      did: 'Switched NMA’s own host engine (dcgm-server) off.',
      summary:
        'NMA then needs another engine, named by nodeAgent.dcgmAddress; without one it reports DCGMError and sees no GPU fault.',
      facts: [
        {
          source: `aws/${addOnName} charts, since v1.7.1`,
          observed: 'dcgmAgent.enabled, nodeAgent.dcgmAddress',
        },
      ],
      commands: [
        `kubectl -n kube-system get daemonset ${addOnName} -o jsonpath='{.spec.template.spec.containers[*].env}'`,
      ],
      missing: 'whether nodeAgent.dcgmAddress is set',
    }),
  ];
}

/** An event of NMA: it did react. */
export function explainEvent(deed: DeedOf<'event'>): readonly Finding[] {
  const [reason = ''] = deed.message.split(':', 1);
  return [
    say(deed, {
      code: 'nma-reacted',
      result: 'works',
      did: `NMA reported ${reason} as an event.`,
      summary: `Detection works. An event leaves ${deed.reason} as it is, and no repair follows from it; its reason is the condition type, NMA’s own reason is the head of the message.`,
      facts: [
        {
          source: `aws/${addOnName} pkg/manager/node_exporter.go`,
          observed: 'Warning: event; Fatal: condition, never both',
        },
      ],
      commands: [showEvents],
    }),
  ];
}

/** A search that cannot find NMA's events. */
export function explainEventSearch(deed: DeedOf<'event-search'>): readonly Finding[] {
  const why = {
    reason:
      'the event’s reason is the condition type (AcceleratedHardwareReady …); NMA’s own reason is the head of the message',
    namespace: 'events about nodes are in namespace default',
    describe: 'describe selects events by the node’s uid, and NMA’s events have none',
  }[deed.by];
  return [
    say(deed, {
      code: 'looked-elsewhere',
      result: 'open',
      certainty: 'likely',
      did: 'Looked for events of the node.',
      summary: `NMA’s events may be missing there all the same: ${why}.`,
      facts: [
        { source: `aws/${addOnName} pkg/manager/node_exporter.go; client-go tools/record`, observed: why },
      ],
      commands: [showEvents],
    }),
  ];
}

/** A condition written by hand. */
export function explainConditionEdit(deed: DeedOf<'condition-edit'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'condition-overwritten',
      result: 'broken',
      did: 'Changed the status of the node by hand.',
      summary:
        'NMA writes its conditions again within 5 min 15 s, from its own memory: the change does not last, and it tests no detection. A repair controller may act on it meanwhile.',
      facts: [
        {
          source: `aws/${addOnName} pkg/manager/node_exporter.go`,
          observed: 'heartbeat every 5 min, report every 15 s',
        },
      ],
      commands: [restartNma, inEngine('test --inject --gpuid 0 -f 230 -v 109')],
      drill: { name: 'xid', parameters: { xid: 109 } },
    }),
  ];
}

/** Updates the add-on to the first version that watches GPUs on arm64. */
export function updateNma(): readonly string[] {
  const fixed = nmaVersions.find((row) => !row.arm64Gate)?.version;
  return [
    `aws eks update-addon --cluster-name CLUSTER --addon-name ${addOnName} --addon-version v${fixed}-eksbuild.1`,
    `kubectl get nodes -L kubernetes.io/arch,node.kubernetes.io/instance-type   # or an amd64 GPU node`,
  ];
}
