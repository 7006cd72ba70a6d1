import { policiesListenMaxMs } from '../../../shared/nma-timing.ts';
import { eventSource, gpuConditionType } from '../../catalogue/nma/conditions.ts';
import { firstWith } from '../../catalogue/nma/versions.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread, type Toleration } from '../../view/facts.ts';
import {
  incidentalToEngine,
  injectedAt,
  isAboutGpus,
  isForEngine,
  problemsOf,
  seenProblem,
} from '../drill.ts';
import {
  dcgmServerShell,
  engineOfNma,
  millis,
  nmaNamespace,
  podSource,
  present,
  renderPod,
  restartPod,
  seen,
  seenCondition,
  seenInLog,
  unreadRemedy,
  unreadText,
  withoutInventory,
} from '../evidence.ts';
import { conditionOf, runningPod } from '../liveness.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

const lostReason = 'DCGMError';

/** The chart schedules it by instance type, gives it no tolerations, and amd64 only while the agent has its arm64 gate (nma.md §4.5). */
export const dcgmServerMissing: Rule = {
  code: 'dcgm-server-missing',
  title: 'There is no dcgm-server on the node',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeServer,
};

function judgeServer(facts: Facts): Judgement {
  const { nma, drill } = facts;
  const { pod } = nma.dcgmServer;
  const incidental = incidentalToEngine(facts);
  if (incidental !== undefined) return incidental;
  // The missing engine is then what was drilled.
  if (drill?.expectation.reason === lostReason && drill.receipt !== undefined) return irrelevant;
  const running = runningPod(pod);
  if (running !== undefined) return refuted(`pod ${running.namespace}/${running.name} is Running and Ready`);
  const address = nma.pod?.environment.DCGM_ADDRESS;
  if (address !== undefined) return refuted(`NMA uses the host engine at ${address} (DCGM_ADDRESS)`);
  const listened = listenedEngine(facts);
  if (listened !== undefined) return refuted(`NMA listens on another engine: ${listened}`);
  // Without any NMA, a missing server is no news; EKS Auto has none.
  if (nma.mayBeHostProcess || (nma.pod === undefined && nma.daemonSet === undefined)) return irrelevant;
  const { inventory } = facts.agent;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'engine_not_found');
  const kept = nma.kept?.dcgmServer;
  if (pod === undefined && problem === undefined && kept !== undefined) return unknown(kept.unread);
  const condition = conditionOf(facts, gpuConditionType);
  const hasLost = condition?.status === 'False' && condition.reason === lostReason;
  const noEngine = !isUnread(inventory) && inventory.engines.length === 0;
  const cause = {
    summary:
      pod === undefined
        ? `No dcgm-server pod is on the node, so NMA has no host engine to hear GPU faults from. ${whyAbsent(facts)}`
        : `The dcgm-server pod ${pod.name} is ${renderPod(pod)}: NMA has no host engine to hear GPU faults from.`,
    evidence: present<Evidence>(
      problem && seenProblem(problem),
      pod === undefined
        ? seen(facts, `pods on node ${facts.node.name}`, 'none with label k8s-app=dcgm-server')
        : seen(facts, `${podSource(pod)} status`, renderPod(pod)),
      noEngine
        ? seen(facts, `agent ${facts.node.name} ListHostEngines`, 'no host engine process')
        : undefined,
      hasLost && condition !== undefined ? seenCondition(facts, condition) : undefined,
      ...placement(facts),
    ),
    remedy: serverRemedy(facts),
  };
  if (problem === undefined && !hasLost && !noEngine) return likely(cause);
  const isBlocking = noEngine && drill !== undefined && isForEngine(drill);
  return proven({ ...cause, blocks: isBlocking });
}

function listenedEngine({ agent }: Facts): string | undefined {
  if (isUnread(agent.inventory)) return undefined;
  const engine = agent.inventory.engines.find(({ nma }) => nma.listening);
  return engine && `pid ${engine.pid} at ${engine.address}`;
}

function placement(facts: Facts): readonly Evidence[] {
  const { node, nma } = facts;
  const taints = node.taints.filter(({ effect }) => effect !== 'PreferNoSchedule');
  return present(
    nma.dcgmServer.daemonSet
      ? undefined
      : seen(facts, 'daemonsets k8s-app=dcgm-server', 'none in the cluster'),
    taints.length === 0
      ? undefined
      : seen(
          facts,
          `nodes/${node.name} spec.taints`,
          taints.map(({ key, value, effect }) => `${key}=${value ?? ''}:${effect}`).join(', '),
        ),
    node.instanceType === undefined
      ? undefined
      : seen(
          facts,
          `nodes/${node.name} metadata.labels[node.kubernetes.io/instance-type]`,
          node.instanceType,
        ),
    node.architecture === 'amd64'
      ? undefined
      : seen(facts, `nodes/${node.name} status.nodeInfo.architecture`, node.architecture),
  );
}

function whyAbsent(facts: Facts): string {
  const { node, nma } = facts;
  if (!nma.dcgmServer.daemonSet)
    return 'The cluster has no DaemonSet dcgm-server at all (dcgmAgent.enabled=false?).';
  const taints = untolerated(facts);
  const isRead = nma.dcgmServer.tolerations !== undefined;
  const reasons = present(
    taints.length === 0
      ? undefined
      : `${isRead ? 'it does not' : 'by default it does not'} tolerate the taint ${taints.map(({ key }) => key).join(', ')} of the node`,
    node.architecture === 'arm64' && nma.version?.row.arm64Gate === true
      ? `its affinity is amd64 only before v${firstWith((row) => !row.arm64Gate)}`
      : undefined,
    `its affinity lists instance types (this is ${node.instanceType ?? 'without that label'})`,
  );
  return `Why it may be left out: ${reasons.join('; ')}.`;
}

type Taint = Facts['node']['taints'][number];

/** Taints that keep the DaemonSet's pod off the node; what its template tolerates is not known where it was not read. */
function untolerated({ node, nma }: Facts): readonly Taint[] {
  const { tolerations = [] } = nma.dcgmServer;
  return node.taints.filter(
    (taint) =>
      taint.effect !== 'PreferNoSchedule' &&
      !tolerations.some((toleration) => isTolerated(taint, toleration)),
  );
}

/** As the scheduler does it (k8s.io/api/core/v1, Toleration.ToleratesTaint): no key, no effect and `Exists` match all. */
function isTolerated(taint: Taint, { key, operator, value, effect }: Toleration): boolean {
  if (effect !== '' && effect !== taint.effect) return false;
  if (key === '') return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
}

/** The chart's value, which the add-on takes among its configuration values. */
function tolerationRemedy(taints: readonly Taint[]): string {
  const tolerations = taints.map(({ key, effect }) => ({ key, operator: 'Exists', effect }));
  const values = JSON.stringify({ dcgmAgent: { tolerations } });
  return (
    `Let it run there: dcgmAgent.tolerations of the add-on's configuration values (the same name in the Helm values): ` +
    `aws eks update-addon --cluster-name CLUSTER --addon-name ${eventSource} --configuration-values '${values}'.`
  );
}

function serverRemedy(facts: Facts): string {
  const { pod, daemonSet } = facts.nma.dcgmServer;
  const namespace = nmaNamespace(facts);
  if (pod !== undefined) return `See why: kubectl -n ${pod.namespace} describe pod ${pod.name}.`;
  if (!daemonSet)
    return 'Enable it (Helm value dcgmAgent.enabled=true), or name another engine with nodeAgent.dcgmAddress.';
  const taints = untolerated(facts);
  return (
    (taints.length === 0 ? '' : `${tolerationRemedy(taints)} `) +
    `Compare affinity and tolerations with the node: kubectl -n ${namespace} get daemonset dcgm-server -o yaml; ` +
    `kubectl describe node ${facts.node.name}.`
  );
}

/** NMA reported DCGMError, or its engine was restarted since the injection. */
export const engineLost: Rule = {
  code: 'engine-lost',
  title: 'NMA has lost its host engine',
  link: 'detection',
  verdict: 'fail',
  judge: judgeLoss,
};

function judgeLoss(facts: Facts): Judgement {
  const { nma, drill } = facts;
  const incidental = incidentalToEngine(facts);
  if (incidental !== undefined) return incidental;
  if (drill?.expectation.reason === lostReason) return irrelevant;
  const { pod } = nma.dcgmServer;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'engine_unreachable');
  const condition = conditionOf(facts, gpuConditionType);
  const hasLost = condition?.status === 'False' && condition.reason === lostReason;
  const line = seenInLog(facts, /failed to reconcile DCGM state|failed to health check DCGM/);
  const restarted = isRestarted(facts);
  if (problem === undefined && !hasLost && line === undefined && !restarted) {
    if (isUnread(nma.log) && pod === undefined)
      return unknown(`NMA’s log could not be read: ${nma.log.unread}`);
    return refuted(
      `${gpuConditionType} does not say ${lostReason}, and NMA’s engine was not restarted since the injection`,
    );
  }
  const cause = {
    summary: restarted
      ? `The host engine was restarted after the injection: what was injected is gone with it, and NMA listens again only after up to ${policiesListenMaxMs / 1000} s.`
      : `NMA has no connection to its host engine${hasLost ? ` and reports ${lostReason}` : ''}: GPU faults cannot reach it.`,
    evidence: present<Evidence>(
      problem && seenProblem(problem),
      hasLost && condition !== undefined ? seenCondition(facts, condition) : undefined,
      pod && seen(facts, `${podSource(pod)} status`, renderPod(pod)),
      line,
    ),
    remedy:
      `Restart the engine, then NMA: ${restartPod(pod, `kubectl -n ${nmaNamespace(facts)} rollout restart daemonset dcgm-server`)}; ` +
      `wait until it is Ready; ${restartPod(nma.pod, 'restart NMA on the node')}. Drill again a minute later.`,
  };
  // The line may be an old one: NMA says it once and then goes on.
  return problem !== undefined || hasLost || restarted ? proven(cause) : likely(cause);
}

function isRestarted({ nma, drill }: Facts): boolean {
  const [started, injected] = [millis(nma.dcgmServer.pod?.startedAt), millis(injectedAt(drill))];
  return started !== undefined && injected !== undefined && started > injected;
}

/** No runtime class or NVIDIA_VISIBLE_DEVICES: the engine runs and serves, with zero GPUs (issues 241, 242). */
export const engineWithoutGpus: Rule = {
  code: 'engine-without-gpus',
  title: 'NMA’s host engine has no GPU',
  link: 'detection',
  verdict: 'fail',
  judge(facts) {
    if (!isAboutGpus(facts)) return irrelevant;
    const { inventory } = facts.agent;
    if (isUnread(inventory)) return withoutInventory(inventory);
    const engine = engineOfNma(inventory);
    if (engine === undefined || inventory.gpus.length === 0) return irrelevant;
    if (engine.gpus.length > 0)
      return refuted(`the engine with pid ${engine.pid} has ${engine.gpus.length} GPUs`);
    const source = `agent ${facts.node.name} GetInventory`;
    const listed = seen(facts, `${source} gpus`, inventory.gpus.map(({ uuid }) => uuid).join(', '));
    if (engine.unreadableGpus !== undefined)
      return proven({
        summary: unreadText(engine),
        evidence: [
          ...engine.unreadableGpus.map(({ id, because }) =>
            seen(facts, `${source} engines[pid ${engine.pid}].unreadableGpus`, `GPU ${id}: ${because}`),
          ),
          ...engine.problems.map((problem) =>
            seen(facts, `${source} engines[pid ${engine.pid}].problems`, problem),
          ),
          listed,
        ],
        remedy: unreadRemedy(facts, engine),
      });
    if (engine.inactiveGpus !== undefined)
      return proven({
        summary: `The host engine with pid ${engine.pid} has no active GPU; it knows GPUs that are not active.`,
        evidence: [
          seen(facts, `${source} engines[pid ${engine.pid}].inactiveGpus`, engine.inactiveGpus),
          listed,
        ],
        remedy: `See which GPUs are not active, and in what state they are: ${dcgmServerShell(facts)} dcgmi discovery -l -a.`,
      });
    if (engine.problems.length > 0)
      return unknown(`the engine’s GPUs could not be listed: ${engine.problems.join('; ')}`);
    return likely({
      summary: `The host engine with pid ${engine.pid} sees no GPU, while NVML sees ${inventory.gpus.length}: its container was started without the NVIDIA runtime.`,
      evidence: [seen(facts, `${source} engines[pid ${engine.pid}].gpus`, '0'), listed],
      remedy: `Give dcgm-server the NVIDIA runtime class, then check: ${dcgmServerShell(facts)} dcgmi discovery -l.`,
    });
  },
};
