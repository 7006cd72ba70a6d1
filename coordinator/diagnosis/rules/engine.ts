import { reconcileTickMs } from '../../../shared/nma-timing.ts';
import { engineNamed } from '../../../shared/orders/call.ts';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import { advice, run } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import {
  injectedOn,
  isForEngine,
  needsHostEngine,
  type Problem,
  problemsOf,
  seenInjection,
  seenProblem,
} from '../drill.ts';
import { nmaNamespace, renderPod, seen } from '../evidence.ts';
import { runningPod } from '../liveness.ts';
import { irrelevant, type Judgement, proven, type Rule, refuted, unknown } from '../rule.ts';

/** One engine as a rule needs it, from the inventory or from a refusal's details. */
type Engine = Pick<HostEngineFacts, 'pid' | 'podUid' | 'address'> & {
  readonly listened: boolean;
  readonly proof: string;
  /** The engine was asked who listens and answered; undefined: an older agent does not say. */
  readonly answered: boolean | undefined;
  readonly problems: readonly string[];
};

/** Every engine takes an injection and says "success"; only the one that NMA is connected to can make it react. */
export const wrongEngine: Rule = {
  code: 'wrong-engine',
  title: 'The value went to an engine that NMA does not listen on',
  link: 'order',
  verdict: 'fail',
  judge(facts) {
    const target = deafTarget(facts);
    if (target === undefined) return listenedTarget(facts);
    const right = target.engines.find(({ listened }) => listened);
    if (right === undefined) return irrelevant;
    return proven({
      summary:
        `The host engine ${nameOf(facts, target.asked)} has no listener. NMA’s engine is ${nameOf(facts, right)} ` +
        `at ${right.address}: ${right.proof}.`,
      evidence: [...target.evidence, ...target.engines.map((engine) => seenEngine(facts, engine))],
      remedy: `Leave the engine out, then the agent takes NMA’s own, or name it: {"engine": {"pid": ${right.pid}}}.`,
    });
  },
};

/** No host engine of the node has NMA as its client. */
export const nobodyListens: Rule = {
  code: 'nobody-listens',
  title: 'NMA listens on no host engine of the node',
  link: 'order',
  verdict: 'fail',
  judge(facts) {
    const target = deafTarget(facts);
    if (target === undefined) return listenedTarget(facts);
    if (target.engines.some(({ listened }) => listened))
      return refuted('NMA listens on another engine of this node');
    const { pod } = facts.nma;
    const running = runningPod(pod);
    const nma =
      pod === undefined ? 'there is no NMA pod on the node' : `pod ${pod.name} is ${renderPod(pod)}`;
    const names = target.engines.map((engine) => nameOf(facts, engine)).join('; ') || 'none';
    return proven({
      summary: `NMA listens on no host engine of this node, so that no injected value can reach it. Engines: ${names}. Of NMA: ${nma}.`,
      evidence: [...target.evidence, ...target.engines.map((engine) => seenEngine(facts, engine))],
      ...(running
        ? advice`Read whether NMA has connected: ${run(`kubectl -n ${running.namespace} logs ${running.name} | grep -i dcgm`)}; it tries every ${String(reconcileTickMs / 1000)} s.`
        : advice`Get NMA running first: ${run(`kubectl -n ${nmaNamespace(facts)} get pods -o wide --field-selector spec.nodeName=${facts.node.name}`)}.`),
    });
  },
};

function listenedTarget(facts: Facts): Judgement {
  if (!isForHostEngine(facts)) return irrelevant;
  const engines = enginesOf(facts);
  if (engines === undefined) return unknown('the host engines of the node could not be listed', 'agent');
  const right = engines.find(({ listened }) => listened);
  const open = engines.flatMap(({ answered, problems }) => (answered === true ? [] : problems));
  if (right === undefined && open.length > 0)
    return unknown(`whether NMA listens could not be found out: ${open.join('; ')}`);
  return right === undefined
    ? irrelevant
    : refuted(`NMA listens on the engine ${nameOf(facts, right)}: ${right.proof}`);
}

type DeafTarget = {
  readonly asked: Pick<Engine, 'pid' | 'podUid'> | undefined;
  readonly engines: readonly Engine[];
  readonly evidence: readonly Evidence[];
};

/** The engine that was asked for or written to, if it has no listener. */
function deafTarget(facts: Facts): DeafTarget | undefined {
  const problem = problemsOf(facts).find(({ reason }) => reason === 'nobody_listens');
  if (problem !== undefined) {
    const engines = enginesOfRefusal(problem) ?? enginesOf(facts) ?? [];
    return { asked: askedEngine(facts, engines), engines, evidence: [seenProblem(problem)] };
  }
  const written = injectedOn(facts.drill).find(({ surface }) => surface === 'dcgm');
  const engines = enginesOf(facts);
  if (written !== undefined) {
    const { engine, readBack } = written;
    const watchers = readBack !== undefined && 'after' in readBack ? readBack.after.watchers : undefined;
    const isDeaf = engines?.some(({ pid, listened }) => pid === engine?.pid && !listened) ?? false;
    const isElsewhere = engines?.some(({ pid, listened }) => pid !== engine?.pid && listened) ?? false;
    if (watchers !== 0 && !(isDeaf && isElsewhere)) return undefined;
    return { asked: engine, engines: engines ?? [], evidence: [seenInjection(facts, written)] };
  }
  if (facts.drill?.receipt !== undefined || !isForHostEngine(facts)) return undefined;
  if (engines === undefined || engines.length === 0) return undefined;
  const asked =
    facts.drill === undefined || engineNamed(facts.drill.order) === undefined
      ? undefined
      : askedEngine(facts, engines);
  if (asked !== undefined && !isSurelyDeaf(asked)) return undefined;
  if (asked === undefined && !engines.every(isSurelyDeaf)) return undefined;
  return { asked, engines, evidence: [] };
}

/** An engine that could not be asked may be NMA's all the same; one that has trouble with a GPU only was asked. */
function isSurelyDeaf({ listened, answered, problems }: Engine): boolean {
  return !listened && (answered ?? problems.length === 0);
}

function askedEngine(facts: Facts, engines: readonly Engine[]): Engine | undefined {
  const asked = facts.drill === undefined ? undefined : engineNamed(facts.drill.order);
  if (asked === undefined) return engines.find(({ listened }) => !listened);
  return engines.find(({ pid, address }) => pid === asked.pid || address === asked.address);
}

/** Whether the drill writes into an engine: with the whole inventory at hand, deafness is worth saying without one. */
function isForHostEngine(facts: Facts): boolean {
  const { drill } = facts;
  return drill === undefined || (isForEngine(drill) && needsHostEngine(facts) === true);
}

function enginesOf({ agent }: Facts): readonly Engine[] | undefined {
  if (isUnread(agent.inventory)) return undefined;
  return agent.inventory.engines.map(({ pid, podUid, address, nma, problems }) => ({
    pid,
    podUid,
    address,
    listened: nma.listening,
    proof: nma.evidence,
    answered: nma.answered,
    problems,
  }));
}

/** shared/engines/choose.ts puts every engine that it saw into the details. */
function enginesOfRefusal({ details }: Problem): readonly Engine[] | undefined {
  const { engines } = details;
  if (!Array.isArray(engines)) return undefined;
  return engines.filter(isObject).map((engine) => ({
    pid: Number(engine.pid),
    podUid: typeof engine.podUid === 'string' ? engine.podUid : null,
    address: String(engine.address ?? 'an unknown address'),
    listened: engine.listened === true,
    proof: String(engine.evidence ?? 'no evidence given'),
    answered: undefined,
    problems: [],
  }));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function nameOf(facts: Facts, engine: Pick<Engine, 'pid' | 'podUid'> | undefined): string {
  if (engine === undefined) return 'that was asked for';
  const { pod } = facts.nma.dcgmServer;
  if (engine.podUid === null) return `pid ${engine.pid} on the host`;
  const name = pod?.uid === engine.podUid ? `${pod.namespace}/${pod.name}` : engine.podUid;
  return `pid ${engine.pid} in pod ${name}`;
}

function seenEngine(facts: Facts, engine: Engine): Evidence {
  const { pid, address, listened, proof } = engine;
  const text = `${address}, ${listened ? 'NMA listens' : 'NMA does not listen'}: ${proof}`;
  return seen(facts, `agent ${facts.node.name} ListHostEngines pid ${pid}`, text);
}
