import type { PluginName } from '../../catalogue/expectation.ts';
import {
  gpuConditionType,
  isNeuronInstance,
  monitors,
  onlyPluginOf,
} from '../../catalogue/nma/conditions.ts';
import { detectionOf } from '../../catalogue/nma/known-reasons.ts';
import { type Advice, advice, commandOf, run } from '../../store/advice.ts';
import type { Evidence } from '../../store/explanation.ts';
import { type Facts, isUnread } from '../../view/facts.ts';
import type { NodeCondition } from '../../view/node.ts';
import { restartAllNma, restartNma } from '../commands.ts';
import { expectedType, isForEngine } from '../drill.ts';
import { nmaNamespace, present, seen, seenCondition, seenHeartbeat, seenInLog } from '../evidence.ts';
import { conditionOf, isFresh, runningPod, writingOf } from '../liveness.ts';
import { irrelevant, type Judgement, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** Read once, at the start of NMA: a change of the ConfigMap does nothing until the pods restart (nma.md §4.4). */
export const monitorDisabled: Rule = {
  code: 'monitor-disabled',
  title: 'The monitor is switched off in NMA’s configuration',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeDisabled,
};

function judgeDisabled(facts: Facts): Judgement {
  const { type, plugin } = expectedMonitor(facts);
  if (plugin === undefined) return withoutPlugin(facts);
  const condition = conditionOf(facts, type);
  const kept = facts.nma.kept?.configuration;
  if (kept !== undefined) {
    return condition !== undefined && isFresh(facts, condition)
      ? refuted(`the running NMA writes ${type}`)
      : unknown(`NMA’s configuration could not be read: ${kept.unread}`);
  }
  if (!facts.nma.disabledPlugins.includes(plugin))
    return refuted(`NMA’s configuration does not disable ${plugin}`);
  if (condition !== undefined && isFresh(facts, condition)) {
    return refuted(
      `the configuration disables ${plugin}, but the running NMA writes ${type} (it was read at its start)`,
    );
  }
  const namespace = nmaNamespace(facts);
  const cause = {
    summary:
      `NMA’s configuration switches the ${plugin} monitor off: ${type} is ` +
      `${condition === undefined ? 'not managed and absent' : 'no longer written, what stands there is old'}, and no event of it comes.`,
    evidence: present<Evidence>(
      seen(facts, `configmaps/${namespace} config.yaml monitors.${plugin}.enabled`, 'false'),
      condition === undefined ? absent(facts, type) : seenHeartbeat(facts, condition),
      seenInLog(facts, /monitors disabled by configuration|all monitors are disabled/),
    ),
    remedy: `Set monitors.${plugin}.enabled to true (Helm value nodeAgent.monitors), then ${restartAllNma(facts)}.`,
    commands: present(commandOf(restartAllNma(facts))),
  };
  // With every condition old, NMA may as well have stopped as a whole, before it could read this configuration.
  if (writingOf(facts).state !== 'fresh' && condition !== undefined) return likely(cause);
  return proven({ ...cause, blocks: facts.drill !== undefined });
}

/** Hardware is looked for once, at NMA’s start, by the driver that is bound then (nma.md §4.2). */
export const monitorNotRegistered: Rule = {
  code: 'monitor-not-registered',
  title: 'NMA found no hardware for the monitor when it started',
  link: 'detection',
  verdict: 'fail',
  mayBlock: 'any',
  judge: judgeRegistration,
};

type Hardware = {
  readonly plugin: 'nvidia' | 'neuron';
  readonly name: string;
  readonly skipped: RegExp;
  readonly where: Advice;
};

const hardware: readonly Hardware[] = [
  {
    plugin: 'nvidia',
    name: 'NVIDIA',
    skipped: /skipping monitor registration: no nvidia hardware detected/,
    where: advice`Choose a node that has an NVIDIA GPU and a loaded driver (${run('kubectl get nodes -o custom-columns=N:.metadata.name,GPU:.status.allocatable.nvidia\\.com/gpu')}).`,
  },
  {
    plugin: 'neuron',
    name: 'Neuron',
    skipped: /skipping monitor registration: no neuron hardware detected/,
    where: advice`Choose a node of an instance type with AWS Neuron, inf* or trn* (${run('kubectl get nodes -L node.kubernetes.io/instance-type')}).`,
  },
];

function judgeRegistration(facts: Facts): Judgement {
  const { plugin } = expectedMonitor(facts);
  if (plugin === undefined) return withoutPlugin(facts);
  const wanted = hardware.find((row) => row.plugin === plugin);
  if (wanted === undefined) return irrelevant;
  const condition = conditionOf(facts, gpuConditionType);
  const isThere = condition !== undefined && isFresh(facts, condition);
  const isOther = isThere && writerOf(condition) !== wanted.plugin;
  if (isThere && !isOther) return refuted(`${gpuConditionType} is there and fresh`);
  if (facts.nma.disabledPlugins.includes(wanted.plugin)) return irrelevant;
  const line = seenInLog(facts, wanted.skipped);
  if (!isOther && writingOf(facts).state !== 'fresh' && line === undefined) {
    if (condition !== undefined || runningPod(facts.nma.pod) === undefined) return irrelevant;
    return unknown(`${gpuConditionType} is absent, but so is every sign that NMA writes conditions`);
  }
  const cause = registrationCause(facts, wanted, isOther, present(line));
  if (line === undefined && !isOther) return likely(cause);
  return proven({ ...cause, blocks: facts.drill !== undefined });
}

function registrationCause(facts: Facts, wanted: Hardware, isOther: boolean, lines: readonly Evidence[]) {
  const condition = conditionOf(facts, gpuConditionType);
  const has = hasHardware(facts, wanted);
  const what =
    condition === undefined
      ? `has no ${gpuConditionType}`
      : isOther
        ? `has the ${gpuConditionType} of another monitor (${condition.reason})`
        : `has only an old ${gpuConditionType}, from before NMA’s start`;
  return {
    summary: has
      ? `The node ${what}: NMA found no ${wanted.name} hardware when it started. It looks once, by the bound driver, so that a ` +
        'driver loaded later is never seen.'
      : `The node ${what}, and nothing shows ${wanted.plugin === 'nvidia' ? 'a GPU' : 'a Neuron device'} on it: NMA has nothing to watch.`,
    evidence: [
      condition === undefined
        ? absent(facts, gpuConditionType)
        : isOther
          ? seenCondition(facts, condition)
          : seenHeartbeat(facts, condition),
      ...hardwareEvidence(facts, wanted),
      ...lines,
    ],
    ...(has ? advice`Restart NMA now that the driver is loaded: ${run(restartNma(facts))}.` : wanted.where),
  };
}

function hasHardware({ node, agent }: Facts, { plugin }: Hardware): boolean {
  if (plugin === 'neuron') return isNeuronInstance(node.instanceType);
  return node.offeredGpus > 0 || (!isUnread(agent.inventory) && agent.inventory.gpus.length > 0);
}

function hardwareEvidence(facts: Facts, { plugin }: Hardware): Evidence[] {
  const { node, agent } = facts;
  if (plugin === 'neuron') {
    const source = `nodes/${node.name} metadata.labels[node.kubernetes.io/instance-type]`;
    return [seen(facts, source, node.instanceType ?? 'absent')];
  }
  return present(
    seen(facts, `nodes/${node.name} status.allocatable[nvidia.com/…]`, String(node.offeredGpus)),
    isUnread(agent.inventory)
      ? undefined
      : seen(facts, `agent ${node.name} GetInventory gpus`, String(agent.inventory.gpus.length)),
  );
}

function absent(facts: Facts, type: string): Evidence {
  const types = facts.node.conditions.map((condition) => condition.type).join(', ');
  return seen(
    facts,
    `nodes/${facts.node.name} status.conditions`,
    `no ${type}; there are ${types || 'none'}`,
  );
}

/** Two monitors write the condition of GPUs: which one shows what is expected is only known of known reasons. */
function withoutPlugin(facts: Facts): Judgement {
  const { drill } = facts;
  if (expectedType(facts) !== gpuConditionType) return irrelevant;
  return unknown(`which monitor of NMA would show ${drill?.expectation.reason ?? 'it'} is not known`);
}

/** The monitor that a condition of GPUs is from: both of them write the same type, and only one runs on a node. */
function writerOf({ type, reason }: NodeCondition): PluginName {
  const ready = monitors.find(({ readyReason }) => readyReason === reason)?.plugin;
  return ready ?? detectionOf({ type, reason })?.plugin ?? 'nvidia';
}

/** What the drill expects, or the GPU monitor where there is no drill; no plugin: not known which one reacts. */
function expectedMonitor(facts: Facts): {
  readonly type: string;
  readonly plugin: PluginName | undefined;
} {
  const { drill } = facts;
  const type = expectedType(facts);
  if (drill === undefined) return { type, plugin: 'nvidia' };
  // What goes to a host engine is seen by one monitor only, whatever it is called.
  const byOrder = type === gpuConditionType && isForEngine(drill) ? 'nvidia' : undefined;
  return { type, plugin: drill.expectation.plugin ?? byOrder ?? onlyPluginOf(type) };
}
