import { causeOf } from '../../../shared/errors.ts';
import { surfacesOfOrder } from '../../../shared/orders/call.ts';
import type { AgentLack, Inventory } from '../../../shared/schemas/inventory.ts';
import { surfaceRow } from '../../../shared/surfaces/table.ts';
import { type DrillFacts, type Facts, isUnread } from '../../view/facts.ts';
import { isForEngine, judgedEngine, problemsOf, seenProblem } from '../drill.ts';
import { capital, seen, withoutInventory } from '../evidence.ts';
import { type Cause, irrelevant, type Judgement, proven, type Rule, refuted } from '../rule.ts';

/**
 * What the agent itself lacks on its node is no finding about NMA, its engine or the node: an agent without nsenter can
 * ask no engine in a pod, and the engine is none the worse for it (R8 of field-cases.md).
 */
export const agentIncapable: Rule = {
  code: 'agent-incapable',
  title: 'The agent lacks what the injection takes',
  link: 'order',
  verdict: 'error',
  mayBlock: 'any',
  judge: judgeAgent,
};

const usualRemedy =
  'Run the agent as its chart does (root, privileged, hostPID: true) from its own image, which has nsenter; where the host engine has no dcgmi of its own, set agent.dcgm.sidecar.enabled=true.';

function judgeAgent(facts: Facts): Judgement {
  const { agent, drill } = facts;
  const problem = problemsOf(facts).find(({ reason }) => causeOf(reason) === agentIncapable.code);
  if (problem !== undefined) {
    const { remedy } = problem.details;
    return proven({
      summary: `The agent on node ${facts.node.name} cannot carry the order out: ${problem.message}. That says nothing about NMA or its engine.`,
      evidence: [seenProblem(problem)],
      remedy: typeof remedy === 'string' ? `${capital(remedy)}.` : usualRemedy,
    });
  }
  if (drill?.receipt !== undefined || problemsOf(facts).length > 0) return irrelevant;
  if (isUnread(agent.inventory)) return withoutInventory(agent.inventory);
  const { agentLacks: lacks = [], engines } = agent.inventory;
  if (drill === undefined && lacks.length > 0) return lacking(facts, lacks);
  const needed = drill === undefined ? [] : neededLacks(drill, agent.inventory);
  if (needed.length > 0) return { ...lacking(facts, needed), blocks: true };
  if (drill !== undefined && !isForEngine(drill)) return irrelevant;
  const engine = judgedEngine(facts);
  const unasked = engines.filter(({ agentLacks }) => agentLacks !== undefined);
  if (engine?.nma.listening === true || unasked.length === 0)
    return engines.length === 0 ? irrelevant : refuted('the agent can ask the host engines of its node');
  const remedies = lacks.filter(({ means }) => means !== 'nvml' && means !== 'kernel-log');
  return proven({
    summary: `The agent on node ${facts.node.name} cannot ask ${unasked.map(({ pid }) => `host engine ${pid}`).join(', ')}: ${unasked[0]?.agentLacks}. That says nothing about NMA or its engine.`,
    evidence: unasked.map(({ pid, agentLacks }) =>
      seen(facts, `agent ${facts.node.name} GetInventory engines[pid ${pid}].agentLacks`, agentLacks ?? ''),
    ),
    remedy: remedies.length === 0 ? usualRemedy : remedyOf(remedies),
    blocks: drill !== undefined,
  });
}

/** What keeps this drill from being carried out, whatever the node has. */
function neededLacks(
  drill: DrillFacts,
  { agentLacks: lacks = [], engines }: Inventory,
): readonly AgentLack[] {
  const surfaces = surfacesOfOrder(drill.order);
  return lacks.filter(({ means }) => {
    if (means === 'kernel-log') return surfaces.some((name) => surfaceRow(name).through === 'kernel-log');
    return means === 'host-pid' && engines.length === 0 && isForEngine(drill);
  });
}

function lacking(facts: Facts, lacks: readonly AgentLack[]): Cause {
  const { name } = facts.node;
  return proven({
    summary: `The agent on node ${name} lacks ${lacks.map(({ means }) => names[means]).join(', ')}: ${lacks.map(({ because }) => because).join('; ')}. That says nothing about NMA or its engine.`,
    evidence: lacks.map(({ means, because }) =>
      seen(facts, `agent ${name} GetInventory agentLacks[${means}]`, because),
    ),
    remedy: remedyOf(lacks),
  });
}

function remedyOf(lacks: readonly AgentLack[]): string {
  return [...new Set(lacks.map(({ remedy }) => `${capital(remedy)}.`))].join(' ');
}

/** As people call what is missing. */
const names: Readonly<Record<AgentLack['means'], string>> = {
  nsenter: 'nsenter',
  dcgmi: 'dcgmi',
  nvml: 'the NVML library',
  journal: 'a way to read the journal',
  'host-pid': 'the processes of the host (hostPID)',
  'host-root': 'the files of the host',
  'kernel-log': 'the kernel log',
  rights: 'rights',
};
