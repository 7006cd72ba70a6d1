import { hasNoEngine } from '../../../shared/engines/choose.ts';
import { eventSource } from '../../catalogue/nma/conditions.ts';
import { firstWith } from '../../catalogue/nma/versions.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread, type Toleration } from '../../view/facts.ts';
import { incidentalToEngine, isForEngine, problemsOf, seenProblem } from '../drill.ts';
import { nmaNamespace, podSource, present, renderPod, seen, seenCondition } from '../evidence.ts';
import { runningPod } from '../liveness.ts';
import { engineWasHeard } from '../reactions.ts';
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
import { engineAddress, isOnNode } from './engine-elsewhere.ts';
import { lostReason, reportedLoss } from './engine-lost.ts';

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
  const { inventory } = facts.agent;
  const noEngine = !isUnread(inventory) && hasNoEngine(inventory);
  const running = runningPod(pod);
  if (running !== undefined && !noEngine)
    return refuted(`pod ${running.namespace}/${running.name} is Running and Ready`);
  const listened = listenedEngine(facts);
  if (listened !== undefined) return refuted(`NMA listens on another engine: ${listened}`);
  const heard = engineWasHeard(facts);
  if (heard !== undefined) return heard;
  const address = engineAddress(facts);
  if (address !== undefined && !isOnNode(address)) {
    // Configured is not seen.
    return isUnread(inventory)
      ? unknown(
          `NMA is to use the host engine at ${address} (DCGM_ADDRESS); whether one runs on the node was not read`,
        )
      : irrelevant;
  }
  // Without any NMA, a missing server is no news; EKS Auto has none.
  if (nma.mayBeHostProcess || (nma.pod === undefined && nma.daemonSet === undefined)) return irrelevant;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'engine_not_found');
  const kept = nma.kept?.dcgmServer;
  if (pod === undefined && problem === undefined && kept !== undefined) return unknown(kept.unread);
  const lost = reportedLoss(facts);
  const cause = {
    summary:
      pod === undefined
        ? `No dcgm-server pod is on the node, so NMA has no host engine to hear GPU faults from. ${whyAbsent(facts)}`
        : running === undefined
          ? `The dcgm-server pod ${pod.name} is ${renderPod(pod)}: NMA has no host engine to hear GPU faults from.`
          : `The dcgm-server pod ${pod.name} is Running, and no host engine process is on the node: NMA has none to hear GPU faults from.`,
    evidence: present<Evidence>(
      problem && seenProblem(problem),
      pod === undefined
        ? seen(facts, `pods on node ${facts.node.name}`, 'none with label k8s-app=dcgm-server')
        : seen(facts, `${podSource(pod)} status`, renderPod(pod)),
      noEngine
        ? seen(facts, `agent ${facts.node.name} ListHostEngines`, 'no host engine process')
        : undefined,
      lost && seenCondition(facts, lost),
      ...placement(facts),
    ),
    ...serverRemedy(facts),
  };
  if (problem === undefined && lost === undefined && (!noEngine || running !== undefined))
    return likely(cause);
  const isBlocking = noEngine && running === undefined && drill !== undefined && isForEngine(drill);
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
function tolerationCommand(taints: readonly Taint[]): string {
  const tolerations = taints.map(({ key, effect }) => ({ key, operator: 'Exists', effect }));
  const values = JSON.stringify({ dcgmAgent: { tolerations } });
  return `aws eks update-addon --cluster-name CLUSTER --addon-name ${eventSource} --configuration-values '${values}'`;
}

function serverRemedy(facts: Facts): Pick<Cause, 'remedy' | 'commands'> {
  const { pod, daemonSet } = facts.nma.dcgmServer;
  const namespace = nmaNamespace(facts);
  if (runningPod(pod) !== undefined && pod !== undefined) {
    const command = `kubectl -n ${pod.namespace} delete pod ${pod.name}`;
    const remedy = `Restart it: ${command}; before NMA 1.7.0 its shell stays when the engine in it ends.`;
    return { remedy, commands: [command] };
  }
  if (pod !== undefined) {
    const command = `kubectl -n ${pod.namespace} describe pod ${pod.name}`;
    return { remedy: `See why: ${command}.`, commands: [command] };
  }
  if (!daemonSet)
    return {
      remedy:
        'Enable it (Helm value dcgmAgent.enabled=true), or name another engine with nodeAgent.dcgmAddress.',
    };
  const taints = untolerated(facts);
  const tolerate = taints.length === 0 ? undefined : tolerationCommand(taints);
  const compare = [
    `kubectl -n ${namespace} get daemonset -l k8s-app=dcgm-server -o yaml`,
    `kubectl describe node ${facts.node.name}`,
  ];
  const remedy =
    (tolerate === undefined
      ? ''
      : `Let it run there: dcgmAgent.tolerations of the add-on's configuration values (the same name in the Helm values): ${tolerate}. `) +
    `Compare affinity and tolerations with the node: ${compare.join('; ')}.`;
  return { remedy, commands: [...present(tolerate), ...compare] };
}
