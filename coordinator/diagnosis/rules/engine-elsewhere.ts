import { isIP } from 'node:net';
import { whyUnseen } from '../../../shared/engines/choose.ts';
import { advice, run } from '../../store/advice.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import { incidentalToEngine, isForEngine } from '../drill.ts';
import { podSource, seen } from '../evidence.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** NMA is told of an engine that no process of this node is, such as a Service of the GPU Operator (nma.md §4.5). */
export const engineElsewhere: Rule = {
  code: 'engine-elsewhere',
  title: 'NMA’s host engine does not run on the node',
  link: 'order',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeElsewhere,
};

/** Where NMA looks for its engine by its environment, `host:port`; undefined: at the chart's own, localhost:5555. */
export function engineAddress({ nma }: Facts): string | undefined {
  return nma.pod?.environment.DCGM_ADDRESS || undefined;
}

/** Whether an address can only be on the node that uses it; another IP address may be the node's own. */
export function isOnNode(address: string): boolean {
  const host = hostOf(address);
  return host === '' || host === 'localhost' || host === '::1' || /^127\./.test(host);
}

function hostOf(address: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed;
  return isIP(address) === 6 ? address : address.replace(/:\d+$/, '');
}

function judgeElsewhere(facts: Facts): Judgement {
  const incidental = incidentalToEngine(facts);
  if (incidental !== undefined) return incidental;
  const { node, nma, agent, drill } = facts;
  const address = engineAddress(facts);
  if (address === undefined || nma.pod === undefined || isOnNode(address)) return irrelevant;
  const configured = `NMA is to use the host engine at ${address} (DCGM_ADDRESS)`;
  if (isUnread(agent.inventory))
    return unknown(`${configured}; the engines of the node could not be listed: ${agent.inventory.unread}`);
  const { engines } = agent.inventory;
  const listened = engines.find((engine) => engine.nma.listening);
  if (listened !== undefined)
    return refuted(
      `NMA listens on the engine with pid ${listened.pid} of this node, whatever DCGM_ADDRESS says`,
    );
  const unseen = engines.length === 0 ? whyUnseen(agent.inventory) : undefined;
  if (unseen !== undefined) return unknown(`${configured}; ${unseen.because}`);
  const isForIt = drill === undefined || (isForEngine(drill) && drill.receipt === undefined);
  if (!isForIt && drill?.receipt?.surfaces.some(({ surface }) => surface === 'dcgm') !== true)
    return irrelevant;
  const service = serviceOf(address);
  const where = service === undefined ? address : `Service ${service.namespace}/${service.name}`;
  const shared = `An engine behind ${where} that several nodes share reports the GPUs of its own node only.`;
  const cause = {
    summary: `There is nothing on node ${node.name} to inject into: NMA’s host engine is at ${address}, and no host engine of this node has NMA as its client.`,
    evidence: [
      seen(facts, `${podSource(nma.pod)} env[DCGM_ADDRESS]`, address),
      seen(
        facts,
        `agent ${node.name} ListHostEngines`,
        engines.length === 0
          ? 'no host engine process'
          : engines.map(({ pid, nma }) => `pid ${pid}: ${nma.evidence}`).join('; '),
      ),
    ],
    ...(service === undefined
      ? advice`See which node has ${address}, and drill that one. ${shared}`
      : advice`See where its engine runs, and drill that node: ${run(`kubectl -n ${service.namespace} get endpointslices -l kubernetes.io/service-name=${service.name} -o wide`)}. ${shared}`),
  };
  // One that was not asked, or has another name for this node, may be NMA's all the same.
  const isOpen = engines.some(({ nma, problems }) => nma.answered !== true && problems.length > 0);
  if (isOpen || (service === undefined && engines.length > 0)) return likely(cause);
  return proven({ ...cause, blocks: drill !== undefined && isForIt });
}

/** `nvidia-dcgm.gpu-operator.svc:5555`, with or without the cluster's domain. */
function serviceOf(address: string): { readonly name: string; readonly namespace: string } | undefined {
  const [name, namespace, svc] = hostOf(address).split('.');
  return svc === 'svc' && name && namespace ? { name, namespace } : undefined;
}
