import { policiesListenMaxMs } from '../../../shared/nma-timing.ts';
import { gpuConditionType } from '../../catalogue/nma/conditions.ts';
import { engineLossReaction } from '../../catalogue/nma/reactions.ts';
import { advice, commandOf, run } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import type { NodeCondition } from '../../view/node.ts';
import {
  dcgmiCommand,
  noEngineToRestart,
  replaceNode,
  restartEngine,
  restartNma,
  unreadAdvice,
} from '../commands.ts';
import { incidentalToEngine, injectedAt, isAboutGpus, problemsOf, seenProblem } from '../drill.ts';
import {
  capital,
  connectedEngine,
  engineOfNma,
  isOlder,
  millis,
  podSource,
  present,
  renderPod,
  seen,
  seenCondition,
  seenInLog,
  unreadText,
  withoutInventory,
} from '../evidence.ts';
import { conditionOf } from '../liveness.ts';
import { engineWasHeard } from '../reactions.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** NMA's reason for the loss of its host engine. */
export const lostReason = engineLossReaction('').reason;

/** NMA reported DCGMError, or its engine was restarted since the injection. */
export const engineLost: Rule = {
  code: 'engine-lost',
  title: 'NMA has lost its host engine',
  link: 'detection',
  verdict: 'fail',
  judge: judgeLoss,
};

/**
 * NMA's report that it has lost its engine, while nothing newer contradicts it: NMA never takes it back (nma.md §3), so
 * that an engine which it is connected to now, or a start of NMA since, counts for more.
 */
export function reportedLoss(facts: Facts): NodeCondition | undefined {
  const condition = conditionOf(facts, gpuConditionType);
  if (condition?.status !== 'False' || condition.reason !== lostReason) return undefined;
  const isBeforeStart = isOlder(condition.lastHeartbeatTime, facts.nma.pod?.startedAt);
  return connectedEngine(facts) !== undefined || isBeforeStart ? undefined : condition;
}

function judgeLoss(facts: Facts): Judgement {
  const { nma, drill } = facts;
  const incidental = incidentalToEngine(facts);
  if (incidental !== undefined) return incidental;
  if (drill?.expectation.reason === lostReason) return irrelevant;
  const { pod } = nma.dcgmServer;
  const problem = problemsOf(facts).find(({ reason }) => reason === 'engine_unreachable');
  const lost = reportedLoss(facts);
  const line = seenInLog(facts, /failed to reconcile DCGM state|failed to health check DCGM/);
  const restarted = isRestarted(facts);
  if (problem === undefined && lost === undefined && !restarted) {
    const contrary = connectedNow(facts) ?? engineWasHeard(facts);
    if (contrary !== undefined) return contrary;
    if (line === undefined) return noLoss(facts);
  }
  const name = connectedEngine(facts);
  const now =
    problem === undefined || name === undefined
      ? ''
      : ` That was at ${problem.at}; the engine with pid ${name.pid} answers now, and NMA is connected to it.`;
  const cause = {
    summary: restarted
      ? `The host engine was restarted after the injection, at ${pod?.startedAt}: what was injected is gone with it, and NMA listens again only after up to ${policiesListenMaxMs / 1000} s.`
      : `NMA has no connection to its host engine${lost === undefined ? '' : ` and reports ${lostReason} (since ${lost.lastTransitionTime ?? 'an unknown time'})`}: GPU faults cannot reach it.${now}`,
    evidence: present<Evidence>(
      problem && seenProblem(problem),
      lost && seenCondition(facts, lost),
      pod && seen(facts, `${podSource(pod)} status`, renderPod(pod)),
      line,
    ),
    remedy: now === '' ? lossRemedy(facts) : 'Drill again: the engine is there.',
    commands: now === '' ? present(commandOf(restartEngine(facts)), commandOf(restartNma(facts))) : [],
  };
  // The line may be an old one: NMA says it once and then goes on.
  return problem !== undefined || lost !== undefined || restarted ? proven(cause) : likely(cause);
}

function lossRemedy(facts: Facts): string {
  const node = replaceNode(facts);
  if (node !== undefined) return `${capital(node)}; drill the new one a minute after its start.`;
  const engine = restartEngine(facts);
  if (engine === undefined) return `On this node ${noEngineToRestart}; then ${restartNma(facts)}.`;
  return `Restart the engine, then NMA: ${engine}; wait until it is Ready; ${restartNma(facts)}. Drill again a minute later.`;
}

/** What is seen of the engine now, against what NMA wrote before. */
function connectedNow(facts: Facts): Judgement | undefined {
  const engine = connectedEngine(facts);
  if (engine === undefined) return undefined;
  const { pid, address, nma } = engine;
  const condition = conditionOf(facts, gpuConditionType);
  const latched =
    condition?.status === 'False' && condition.reason === lostReason
      ? `; ${gpuConditionType} is False with ${lostReason} since ${condition.lastTransitionTime ?? 'an unknown time'}: an old state, which only a restart of NMA clears`
      : '';
  return refuted(
    `NMA is connected to the engine with pid ${pid} at ${address}, seen at ${facts.at}: ${nma.evidence}${latched}`,
  );
}

function noLoss(facts: Facts): Judgement {
  const { nma } = facts;
  const condition = conditionOf(facts, gpuConditionType);
  if (condition?.status === 'False' && condition.reason === lostReason)
    return unknown(
      `${gpuConditionType} is False with ${lostReason}, written at ${condition.lastHeartbeatTime}, before NMA started at ${nma.pod?.startedAt}`,
    );
  if (isUnread(nma.log) && nma.dcgmServer.pod === undefined)
    return unknown(`NMA’s log could not be read: ${nma.log.unread}`, 'log');
  return refuted(
    `${gpuConditionType} does not say ${lostReason}, and NMA’s engine was not restarted since the injection`,
  );
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
        ...unreadAdvice(facts, engine),
      });
    if (engine.inactiveGpus !== undefined)
      return proven({
        summary: `The host engine with pid ${engine.pid} has no active GPU; it knows GPUs that are not active.`,
        evidence: [
          seen(facts, `${source} engines[pid ${engine.pid}].inactiveGpus`, engine.inactiveGpus),
          listed,
        ],
        ...advice`See which GPUs are not active, and in what state they are: ${run(dcgmiCommand(facts, 'discovery -l -a'))}.`,
      });
    if (engine.problems.length > 0)
      return unknown(`the engine’s GPUs could not be listed: ${engine.problems.join('; ')}`);
    return likely({
      summary: `The host engine with pid ${engine.pid} sees no GPU, while NVML sees ${inventory.gpus.length}: its container was started without the NVIDIA runtime.`,
      evidence: [seen(facts, `${source} engines[pid ${engine.pid}].gpus`, '0'), listed],
      ...advice`Give the host engine’s container the NVIDIA runtime class, then check: ${run(dcgmiCommand(facts, 'discovery -l'))}.`,
    });
  },
};
