import { renderDuration } from '../../../shared/duration.ts';
import { heartbeatStaleMs, policiesListenMaxMs } from '../../../shared/nma-timing.ts';
import { commandOf } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import type { Facts, PodFacts } from '../../view/facts.ts';
import { readNmaLog, restartNma } from '../commands.ts';
import {
  gapsOf,
  hasWaitedLongEnough,
  injectedAt,
  injectedOn,
  isSilent,
  kernelReadBack,
  mustReactTo,
  needsHostEngine,
  seenInjection,
  waitedSeconds,
} from '../drill.ts';
import {
  ageSeconds,
  millis,
  nmaDaemonSet,
  nmaNamespace,
  podSource,
  present,
  renderPod,
  seen,
  seenHeartbeat,
} from '../evidence.ts';
import { runningPod, signOfLife, writingOf } from '../liveness.ts';
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
import { hasCredentialMarks } from './credentials.ts';

/** Never blocks: NMA may run as a host process, or be started by hand, and then no pod proves nothing. */
export const nmaNotRunning: Rule = {
  code: 'nma-not-running',
  title: 'NMA is not running on the node',
  link: 'detection',
  verdict: 'fail',
  judge: judgeRunning,
};

function judgeRunning(facts: Facts): Judgement {
  const { pod, daemonSet, mayBeHostProcess } = facts.nma;
  const running = runningPod(pod);
  if (running !== undefined) return refuted(`pod ${running.namespace}/${running.name} is Running and Ready`);
  const life = signOfLife(facts);
  const keptPods = facts.nma.kept?.pods;
  if (pod === undefined && life === undefined && keptPods !== undefined) return unknown(keptPods.unread);
  if (pod === undefined && life !== undefined) return refuted(`no pod was found, but NMA lives: ${life}`);
  const silence = silenceEvidence(facts);
  if (pod === undefined && silence === undefined) {
    if (daemonSet === undefined && !mayBeHostProcess) return irrelevant;
    if (mayBeHostProcess && writingOf(facts).state === 'absent') {
      return unknown('EKS Auto may run NMA as a host process, and it has written no condition yet');
    }
  }
  const cause = {
    summary: runningSummary(facts, silence !== undefined),
    evidence: present(
      pod === undefined ? noPod(facts) : seen(facts, `${podSource(pod)} status`, renderPod(pod)),
      ...heartbeats(facts),
      ...(silence ?? []),
    ),
    ...runningRemedy(facts, pod),
  };
  return life === undefined && isSurelyDown(facts, silence !== undefined) ? proven(cause) : likely(cause);
}

function isSurelyDown(facts: Facts, isSilence: boolean): boolean {
  const { pod, mayBeHostProcess } = facts.nma;
  if (pod !== undefined) return pod.phase !== 'Running';
  if (['fresh', 'ahead'].includes(writingOf(facts).state)) return false;
  if (!isSilence) return !mayBeHostProcess;
  return hasWaitedLongEnough(facts) && gapsOf(facts).length === 0;
}

/** A record that NMA has to react to was read back from the kernel log, and nothing came. */
function silenceEvidence(facts: Facts): readonly Evidence[] | undefined {
  const { drill } = facts;
  const record = kernelReadBack(drill)?.record;
  if (record === undefined || !isSilent(facts)) return undefined;
  if (!mustReactTo(facts, record)) return undefined;
  const source = `events and conditions of node ${facts.node.name}`;
  const waited = renderDuration(waitedSeconds(facts) ?? 0);
  return [
    ...injectedOn(drill).map((result) => seenInjection(facts, result)),
    seen(
      facts,
      source,
      `no ${drill?.expectation.kind} ${drill?.expectation.reason} within ${waited} of the injection`,
    ),
  ];
}

function runningSummary(facts: Facts, silent: boolean): string {
  const { pod, mayBeHostProcess } = facts.nma;
  const { name } = facts.node;
  const what = pod === undefined ? `there is no NMA pod on ${name}` : `pod ${pod.name} is ${renderPod(pod)}`;
  const proof = silent
    ? ' A kernel record that every NMA version reacts to stood in the node’s log, and nothing answered it.'
    : '';
  const writing = writingOf(facts);
  const last =
    writing.state === 'fresh'
      ? ` Its last heartbeat is ${renderDuration(writing.age)} old, from before it went.`
      : writing.state === 'stale'
        ? ` Its last heartbeat is ${renderDuration(writing.age)} old.`
        : writing.state === 'ahead'
          ? ' Its last heartbeat lies in the future: the node’s clock is ahead.'
          : ' It has left no condition on the node.';
  const auto = mayBeHostProcess ? ' On EKS Auto it is a host process and has no pod.' : '';
  return `NMA is not running on that node: ${what}.${proof}${last}${auto}`;
}

function runningRemedy(facts: Facts, pod: PodFacts | undefined): Pick<Cause, 'remedy' | 'commands'> {
  const namespace = nmaNamespace(facts);
  const { name } = facts.node;
  if (pod !== undefined) {
    const commands = [
      `kubectl -n ${namespace} describe pod ${pod.name}`,
      `kubectl -n ${namespace} logs ${pod.name} --previous`,
    ];
    return { remedy: `See why it does not run: ${commands.join('; ')}.`, commands };
  }
  if (facts.nma.mayBeHostProcess) {
    const command = `kubectl delete node ${name}`;
    const remedy = `On EKS Auto replace the node (${command}); elsewhere install NMA and drill again.`;
    return { remedy, commands: [command] };
  }
  if (facts.nma.daemonSet === undefined)
    return {
      remedy: `Start NMA on the node, or install it: ${installCommand}.`,
      commands: [installCommand],
    };
  const commands = [
    `kubectl -n ${namespace} describe daemonset ${nmaDaemonSet(facts)}`,
    `kubectl get node ${name} --show-labels`,
  ];
  const remedy = `See why the DaemonSet leaves this node out (nodeSelector, affinity, compute-type label): ${commands.join('; ')}.`;
  return { remedy, commands };
}

const installCommand = 'aws eks create-addon --cluster-name CLUSTER --addon-name eks-node-monitoring-agent';

/** Neither a DaemonSet nor a pod of NMA was found. */
export const nmaNotInstalled: Rule = {
  code: 'nma-not-installed',
  title: 'NMA is not installed in the cluster',
  link: 'detection',
  verdict: 'fail',
  judge(facts) {
    const { pod, daemonSet, mayBeHostProcess } = facts.nma;
    if (daemonSet !== undefined)
      return refuted(`DaemonSet ${daemonSet.namespace}/${daemonSet.name} is installed`);
    if (pod !== undefined)
      return refuted(`pod ${pod.namespace}/${pod.name} is on the node, without a DaemonSet`);
    if (mayBeHostProcess) return irrelevant;
    const life = signOfLife(facts);
    if (life !== undefined) return refuted(`there is no DaemonSet, but NMA lives: ${life}`);
    const kept = facts.nma.kept?.daemonSets ?? facts.nma.kept?.pods;
    if (kept !== undefined) return unknown(kept.unread);
    return likely({
      summary: 'NMA is not installed: the cluster has neither its DaemonSet nor a pod of it on this node.',
      evidence: present(noPod(facts), ...heartbeats(facts)),
      remedy: `Install it without a role: ${installCommand}.`,
      commands: [installCommand],
    });
  },
};

/** Conditions are old although the pod runs, and no other rule says why. */
export const nmaNotWriting: Rule = {
  code: 'nma-not-writing',
  title: 'NMA has stopped writing conditions',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeWriting,
};

function judgeWriting(facts: Facts): Judgement {
  const { pod, mayBeHostProcess } = facts.nma;
  const writing = writingOf(facts);
  if (writing.state === 'fresh') {
    return refuted(`${writing.condition.type} was written ${renderDuration(writing.age)} ago`);
  }
  // Not running, or broken by a role: those rules say it better.
  if (runningPod(pod) === undefined && !mayBeHostProcess) return irrelevant;
  if (hasCredentialMarks(facts)) return irrelevant;
  if (writing.state === 'absent') return unknown('NMA runs, but none of its conditions is on the node');
  if (writing.state === 'ahead') {
    const by = renderDuration(writing.aheadSeconds);
    return unknown(
      `heartbeats of the node lie ${by} in the future: its clock is ahead, and how old they are cannot be told`,
    );
  }
  if (writing.nodeSilent) {
    return unknown('all heartbeats of the node are old, the kubelet’s too: the node or its clock is off');
  }
  const kind = facts.drill?.expectation.kind;
  const { condition, age, sinceStart } = writing;
  const slowest = renderDuration(heartbeatStaleMs / 1000);
  const read = readNmaLog(facts, " | grep -i 'managed conditions'");
  const limit = sinceStart ? 'from before the pod started' : `older than ${slowest}, its slowest renewal`;
  const cause = {
    summary:
      `NMA is not writing: the newest heartbeat of its conditions is ${renderDuration(age)} old (${limit}), while the kubelet ` +
      'writes its own. What the conditions say is history.',
    evidence: present(
      seenHeartbeat(facts, condition),
      ...kubeletHeartbeat(facts),
      pod && podStatus(facts, pod),
    ),
    remedy: `Read why: ${read}; then ${restartNma(facts)}; and drill again.`,
    commands: present(commandOf(read), commandOf(restartNma(facts))),
  };
  // A missing event is not explained by it, but a hung process would explain both.
  if (kind === 'event') return likely(cause);
  return proven({ ...cause, blocks: kind === 'condition' && runningPod(pod) !== undefined });
}

/** nma.md §2.3: policies listen 30 to 36 s after a start; a restart also forgets what came before it. */
export const nmaJustStarted: Rule = {
  code: 'nma-just-started',
  title: 'NMA was (re)started around the injection',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { pod } = facts.nma;
    const injected = injectedAt(facts.drill);
    if (injected === undefined || !isSilent(facts)) return irrelevant;
    if (pod === undefined) return irrelevant;
    const [start, at] = [millis(pod.startedAt), millis(injected)];
    if (start === undefined || at === undefined) return unknown('the pod’s start time could not be read');
    const lead = needsHostEngine(facts) === false ? 1000 : policiesListenMaxMs;
    const before = ageSeconds(injected, pod.startedAt) ?? 0;
    if (start + lead < at) return refuted(`the pod ran for ${renderDuration(before)} before the injection`);
    const when =
      before >= 0
        ? `${renderDuration(before)} before the injection`
        : `${renderDuration(-before)} after the injection`;
    return likely({
      summary: `NMA started ${when}: it forgets what was before, and its GPU policies listen only ${renderDuration(policiesListenMaxMs / 1000)} after a start.`,
      evidence: [
        podStatus(facts, pod),
        ...injectedOn(facts.drill).map((result) => seenInjection(facts, result)),
      ],
      remedy: 'Wait a minute and drill again.',
    });
  },
};

function podStatus(facts: Facts, pod: PodFacts): Evidence {
  return seen(facts, `${podSource(pod)} status`, renderPod(pod));
}

function noPod(facts: Facts): Evidence {
  const { daemonSet } = facts.nma;
  const set =
    daemonSet === undefined
      ? 'no DaemonSet app.kubernetes.io/name=eks-node-monitoring-agent in any namespace'
      : `DaemonSet ${daemonSet.namespace}/${daemonSet.name}`;
  return seen(facts, `pods on node ${facts.node.name}`, `${set}; no pod of NMA`);
}

function heartbeats(facts: Facts): readonly Evidence[] {
  const writing = writingOf(facts);
  if (writing.state !== 'absent') return [seenHeartbeat(facts, writing.condition)];
  const types = facts.node.conditions.map(({ type }) => type).join(', ');
  return [
    seen(
      facts,
      `nodes/${facts.node.name} status.conditions`,
      `types ${types || 'none'}; none with a heartbeat of NMA`,
    ),
  ];
}

function kubeletHeartbeat(facts: Facts): readonly Evidence[] {
  const ready = facts.node.conditions.find(({ type }) => type === 'Ready');
  return ready === undefined ? [] : [seenHeartbeat(facts, ready)];
}
