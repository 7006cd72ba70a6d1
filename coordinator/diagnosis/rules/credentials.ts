import { renderDuration } from '../../../shared/duration.ts';
import { commandOf } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import type { Facts } from '../../view/facts.ts';
import { restartAllNma } from '../commands.ts';
import {
  isOlder,
  nmaNamespace,
  podSource,
  present,
  renderPod,
  seen,
  seenHeartbeat,
  seenInLog,
} from '../evidence.ts';
import { managedConditions, writingOf } from '../liveness.ts';
import {
  type Cause,
  irrelevant,
  type Judgement,
  likely,
  proven,
  type Rule,
  refuted,
  unknown,
} from '../rule.ts';

const roleAnnotation = 'eks.amazonaws.com/role-arn';

/** What the two webhooks put into a pod (nma.md §4.6). */
const irsaVariables = ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE'];
const podIdentityVariables = ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'];
const irsaVolume = 'aws-iam-token';
const podIdentityVolume = 'eks-pod-identity-token';

/** The plugin's own words and NMA's, in the order of how much they say (nma.md §4.6). */
const logPatterns = [
  /No such file or directory: '\/var\/run\/secrets\/(eks\.amazonaws\.com\/serviceaccount|pods\.eks\.amazonaws\.com\/serviceaccount)/,
  /getting credentials: exec: executable \S*chroot failed/,
  /failed to report managed conditions/,
];

/**
 * NMA writes conditions with the kubelet's identity: it runs the kubelet's credential plugin in a chroot on the host,
 * with the pod's environment. A role given to the pod puts variables there that name a file which only the pod has
 * (aws/eks-node-monitoring-agent issue 23). Events go out with the ServiceAccount and are not touched.
 */
export const credentialsBroken: Rule = {
  code: 'credentials-broken',
  title: 'An AWS role on the pod breaks NMA’s condition writes',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  mayBeIncidental: true,
  judge: judgeCredentials,
};

/** Whether there is anything for this rule to judge: then it is the one that explains old heartbeats. */
export function hasCredentialMarks(facts: Facts): boolean {
  const found = markersOf(facts);
  if (found.annotation !== undefined || found.pod.length > 0) return true;
  return failuresIn(facts).length > 0;
}

/** Lines of the log since the last condition was written: what failed before that has passed. */
function failuresIn(facts: Facts): readonly Evidence[] {
  const writing = writingOf(facts);
  const written = writing.state === 'absent' ? undefined : writing.condition.lastHeartbeatTime;
  return present(...logPatterns.map((pattern) => seenInLog(facts, pattern))).filter(
    ({ at }) => !isOlder(at, written),
  );
}

function judgeCredentials(facts: Facts): Judgement {
  const found = markersOf(facts);
  const logLines = failuresIn(facts);
  const writing = writingOf(facts);
  if (!hasCredentialMarks(facts)) {
    const kept = facts.nma.kept?.serviceAccount;
    // Whatever it carries: conditions are written.
    if (kept !== undefined && writing.state === 'fresh')
      return refuted(
        `NMA’s ServiceAccount could not be read, but ${writing.condition.type} was written ${renderDuration(writing.age)} ago`,
      );
    if (kept !== undefined) return unknown(`NMA’s ServiceAccount could not be read: ${kept.unread}`);
    if (facts.nma.serviceAccount === undefined && facts.nma.pod === undefined) return irrelevant;
    return refuted(
      `neither the ServiceAccount nor the pod carries an AWS role (${roleAnnotation}, AWS_ROLE_ARN)`,
    );
  }
  if (writing.state === 'fresh') {
    const heartbeat = `${writing.condition.type} was written ${renderDuration(writing.age)} ago`;
    return refuted(`an AWS role or a credential error is there, but conditions are written: ${heartbeat}`);
  }
  if (writing.state === 'ahead' && logLines.length === 0)
    return unknown(
      'an AWS role is there, but the node’s clock is ahead: how old its heartbeats are cannot be told',
    );
  if (writing.state === 'stale' && writing.nodeSilent && logLines.length === 0) {
    return unknown(
      'an AWS role is there, but the kubelet’s own heartbeat is as old: the node or its clock is off',
    );
  }
  const evidence: Evidence[] = [
    ...present(found.annotation),
    ...(writing.state === 'absent' ? [noConditions(facts)] : [seenHeartbeat(facts, writing.condition)]),
    ...logLines,
    ...found.pod,
  ];
  const kind = facts.drill?.expectation.kind;
  const cause = { summary: summaryOf(facts, found), evidence, ...remedyOf(facts, found) };
  // Events are written all the same, so that a missing event has another cause.
  const incidental = kind === 'event';
  const isProven =
    logLines.length > 0 || (writing.state === 'stale' && (found.pod.length > 0 || found.podUnread));
  return isProven
    ? proven({ ...cause, incidental, blocks: kind === 'condition' })
    : likely({ ...cause, incidental });
}

type Markers = {
  readonly annotation: Evidence | undefined;
  readonly pod: readonly Evidence[];
  readonly isPodIdentity: boolean;
  /** NMA's container always has variables of its own: an empty environment was not read. */
  readonly podUnread: boolean;
};

function markersOf(facts: Facts): Markers {
  const { serviceAccount, pod } = facts.nma;
  const role = serviceAccount?.annotations[roleAnnotation];
  const annotation =
    serviceAccount === undefined || role === undefined
      ? undefined
      : seen(facts, `${accountSource(facts)} metadata.annotations[${roleAnnotation}]`, role);
  if (pod === undefined) return { annotation, pod: [], isPodIdentity: false, podUnread: true };
  const variables = [...irsaVariables, ...podIdentityVariables].filter(
    (name) => pod.environment[name] !== undefined,
  );
  const volumes = [irsaVolume, podIdentityVolume].filter((name) => pod.volumes.includes(name));
  const source = podSource(pod);
  return {
    annotation,
    pod: [
      ...variables.map((name) => seen(facts, `${source} env[${name}]`, String(pod.environment[name]))),
      ...volumes.map((name) => seen(facts, `${source} spec.volumes`, name)),
    ],
    isPodIdentity: [...variables, ...volumes].some((name) =>
      [...podIdentityVariables, podIdentityVolume].includes(name),
    ),
    podUnread: annotation !== undefined && Object.keys(pod.environment).length === 0,
  };
}

function accountSource(facts: Facts): string {
  const { serviceAccount } = facts.nma;
  return `serviceaccounts/${serviceAccount?.namespace}/${serviceAccount?.name}`;
}

function noConditions(facts: Facts): Evidence {
  const path = `nodes/${facts.node.name} status.conditions`;
  if (managedConditions(facts).length > 0)
    return seen(facts, path, 'no heartbeat time on any condition of NMA');
  const types = facts.node.conditions.map(({ type }) => type).join(', ');
  const pod = facts.nma.pod === undefined ? '' : `; the pod: ${renderPod(facts.nma.pod)}`;
  return seen(facts, path, `none of NMA’s conditions, only ${types || 'nothing'}${pod}`);
}

function summaryOf(facts: Facts, found: Markers): string {
  const what = found.isPodIdentity
    ? 'a Pod Identity association'
    : found.annotation === undefined && found.pod.length === 0
      ? 'its environment'
      : 'an IAM role (IRSA)';
  const writing = writingOf(facts);
  const age =
    writing.state === 'stale'
      ? ` for ${renderDuration(writing.age)}`
      : writing.state === 'absent'
        ? ' at all'
        : ', for how long the node’s clock does not tell';
  return (
    `NMA has not written a condition${age}: ${what} breaks the kubelet’s credential plugin, which NMA runs on the host ` +
    'with the pod’s AWS variables. Only conditions are lost, events still work. NMA needs no role, and the ' +
    'ClusterRole is not the cause: conditions are written with the kubelet’s identity.'
  );
}

function remedyOf(facts: Facts, found: Markers): Pick<Cause, 'remedy' | 'commands'> {
  const namespace = nmaNamespace(facts);
  const account =
    facts.nma.serviceAccount?.name ?? facts.nma.pod?.serviceAccount ?? 'eks-node-monitoring-agent';
  const steps: string[] = [];
  const commands: string[] = [];
  if (found.isPodIdentity) {
    const list = `aws eks list-pod-identity-associations --cluster-name CLUSTER --namespace ${namespace} --service-account ${account}`;
    const remove = 'aws eks delete-pod-identity-association --cluster-name CLUSTER --association-id ID';
    steps.push(`delete the association (${list}; ${remove})`);
    commands.push(list, remove);
  }
  if (found.annotation !== undefined || !found.isPodIdentity) {
    const command = `kubectl -n ${namespace} annotate serviceaccount ${account} ${roleAnnotation}-`;
    steps.push(command);
    commands.push(command);
  }
  const restart = restartAllNma(facts);
  steps.push(restart);
  const remedy = `Remove it and restart the pods: ${steps.join('; then ')}. Leave the ClusterRole as it is.`;
  return { remedy, commands: [...commands, ...present(commandOf(restart))] };
}
