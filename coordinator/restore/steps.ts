import {
  firstTickJitter,
  healthTickMs,
  healthTickSurelyMs,
  policiesListenMaxMs,
  reconcileTickMs,
  reportTickMs,
} from '../../shared/nma-timing.ts';
import { restartWindow } from '../catalogue/nma/reactions.ts';
import type { Evidence } from '../store/explanation.ts';
import type { RestartedPod, Restore, RestoreCode, RestoreStep, RestoreStepName } from '../store/restore.ts';
import { isUnread } from '../view/facts.ts';
import type { NodeCondition } from '../view/node.ts';
import {
  foreignFault,
  isInService,
  latchedNow,
  listeningEngine,
  managedConditions,
  podsShown,
  type RestoreSeen,
  replacementOf,
  restartable,
} from './seen.ts';

/** How a step ended. `code`: of a failed one. */
export type StepFinding = {
  readonly state: 'done' | 'skipped' | 'failed';
  readonly because: string;
  readonly evidence: readonly Evidence[];
  readonly code?: RestoreCode;
  readonly replacement?: NonNullable<RestoreStep['replacement']>;
};

/** How a step begins: with the pod that it restarts, with nothing to do but wait, or at its end already. */
export type StepBegin = { readonly pod?: RestartedPod; readonly state?: never } | StepFinding;

/** One step of a restore as data and two pure functions, like a link of the chain. */
export type RestoreStepRow = {
  readonly step: RestoreStepName;
  /** What has to be seen, in words. */
  readonly expected: string;
  /** How long it may take, from its beginning. */
  readonly limitMs: number;
  /** `stop-orders`: ends what the drill sustains; `restart-pod`: deletes the pod that `begin` chose. Absent: it only looks. */
  readonly act?: 'stop-orders' | 'restart-pod';
  /** Whether the node's agent is asked for each look. */
  readonly asksAgent: boolean;
  /** What is left up to the True condition takes so long at least, milliseconds; absent: the condition is True by then. */
  readonly leastLeftMs?: number;
  readonly begin: (restore: Restore, seen: RestoreSeen) => StepBegin;
  /** undefined: it goes on; never once `isDue`. */
  readonly find: (
    step: RestoreStep,
    about: { readonly restore: Restore; readonly seen: RestoreSeen; readonly isDue: boolean },
  ) => StepFinding | undefined;
};

/** A pod of NMA that starts at once, and its first report. */
const leastReportMs = reportTickMs + 5_000;

/** A finding that goes until it is written takes as long as NMA's report tick; the rest is for a slow API server. */
const reactionMs = reportTickMs + 20_000;

/** Ends what is sustained, and lets come what is on its way: a condition is written up to 15 s after its cause was found. */
const stop: RestoreStepRow = {
  step: 'stop',
  expected: 'nothing of the drill is sustained, and its reaction has come',
  limitMs: 120_000,
  act: 'stop-orders',
  asksAgent: false,
  leastLeftMs: leastReportMs,
  begin: () => ({}),
  find(_step, { restore, seen, isDue }) {
    const latched = latchedNow(seen, restore);
    const last = Date.parse(restore.lastOrderAt);
    if (latched.length === 0 && !isDue && seen.now - last < reactionMs) return undefined;
    const shown = latched.length === 0 ? 'no condition of the drill is False' : shownAll(latched);
    return { state: 'done', because: shown, evidence: conditionEvidence(seen, latched) };
  },
};

/** A slow pull of the image, and a driver that takes its time. */
const podLimitMs = 300_000;

const engine: RestoreStepRow = {
  step: 'engine',
  expected: 'another pod of the host engine’s DaemonSet is Ready on the node',
  limitMs: podLimitMs,
  act: 'restart-pod',
  asksAgent: true,
  leastLeftMs: leastReportMs + reconcileTickMs,
  begin(restore, seen) {
    const foreign = refusedFor(foreignFault(seen, restore), seen);
    if (foreign !== undefined) return foreign;
    const { inventory, enginePods } = seen;
    const known = listeningEngine(inventory);
    if (known !== undefined && known.podUid === null)
      return failed(
        'restore-host-process',
        `the host engine (pid ${known.pid}) is a process of the host, in no pod`,
        engineEvidence(known, seen),
      );
    // It is being restarted, and its process may live a moment longer than its pod: the next one remembers nothing.
    if (known?.podUid !== null && !enginePods.some(isInService)) return {};
    // Where the agent does not answer, the only pod of dcgm-server is that of the engine.
    const pod =
      known === undefined
        ? enginePods.length === 1
          ? enginePods[0]
          : undefined
        : enginePods.find(({ metadata }) => metadata.uid === known.podUid);
    const chosen = pod && restartable(pod);
    if (chosen !== undefined) return { pod: chosen };
    const where = known?.pod ?? known?.podUid;
    const because =
      where === undefined
        ? `it is not known which pod is that of the host engine: ${podsShown(enginePods)}`
        : `the host engine is in pod ${where}, which is none of a DaemonSet of dcgm-server`;
    return failed('restore-pod-unknown', because, []);
  },
  find: (step, about) => podIsBack(step, about.seen.enginePods, about),
};

const reconnect: RestoreStepRow = {
  step: 'reconnect',
  expected: 'NMA is connected to the new host engine',
  // NMA looks after its engine every 30 s, and registers then.
  limitMs: 2 * policiesListenMaxMs + 60_000,
  asksAgent: true,
  leastLeftMs: leastReportMs,
  begin: () => ({}),
  find(step, { restore, seen, isDue }) {
    const uid = restore.steps.find((other) => other.step === 'engine')?.replacement?.uid;
    const found = listeningEngine(seen.inventory);
    if (found !== undefined && found.podUid === uid)
      return { state: 'done', because: found.nma.evidence, evidence: engineEvidence(found, seen) };
    if (!isDue) return undefined;
    if (seen.inventory !== undefined && isUnread(seen.inventory))
      return failed('restore-agent-unreachable', seen.inventory.unread, []);
    return failed(
      'restore-no-listener',
      `NMA is not connected to the host engine that started at ${startOf(restore, 'engine') || step.since}`,
      found === undefined ? [] : engineEvidence(found, seen),
    );
  },
};

const monitor: RestoreStepRow = {
  step: 'monitor',
  expected: 'another pod of NMA is Ready on the node',
  limitMs: podLimitMs,
  act: 'restart-pod',
  asksAgent: false,
  leastLeftMs: leastReportMs,
  begin(restore, seen) {
    const foreign = refusedFor(foreignFault(seen, restore), seen);
    if (foreign !== undefined) return foreign;
    if (latchedNow(seen, restore).length === 0)
      return { state: 'skipped', because: 'no condition of the drill is False', evidence: [] };
    const { monitorPods } = seen;
    if (!monitorPods.some(isInService)) return {};
    const [pod, ...others] = monitorPods.flatMap((one) => restartable(one) ?? []);
    if (pod !== undefined && others.length === 0) return { pod };
    return failed('restore-pod-unknown', `NMA’s pod is not known: ${podsShown(monitorPods)}`, []);
  },
  find: (step, about) => podIsBack(step, about.seen.monitorPods, about),
};

const condition: RestoreStepRow = {
  step: 'condition',
  expected: 'the conditions of the drill are True since NMA started again',
  // NMA writes them at its first report; the kubelet reports a pod as Ready up to some seconds after.
  limitMs: restartWindow.worstMs + 60_000,
  asksAgent: false,
  leastLeftMs: 1_000,
  begin: (restore) => unlessSkipped(restore, 'monitor'),
  find(_step, { restore, seen, isDue }) {
    const startedMs = Date.parse(startOf(restore, 'monitor'));
    const own = managedConditions(seen).filter(({ type }) => restore.conditions.includes(type));
    const isFresh = ({ status, lastTransitionTime }: NodeCondition) =>
      status === 'True' && Date.parse(lastTransitionTime ?? '') >= startedMs - clockMs;
    if (own.length > 0 && own.every(isFresh))
      return { state: 'done', because: shownAll(own), evidence: conditionEvidence(seen, own) };
    if (!isDue) return undefined;
    return failed('restore-condition-false', shownAll(own), conditionEvidence(seen, own));
  },
};

/** The kubelet's and NMA's times of one start have whole seconds, and are not of one moment. */
const clockMs = 10_000;

/** Beyond the first health check of an NMA that started last, and its report. */
const stableMs = healthTickSurelyMs + reportTickMs + 15_000;

const stable: RestoreStepRow = {
  step: 'stable',
  expected: `they stay True beyond the next health check, ${Math.ceil((healthTickMs * (1 + firstTickJitter)) / 60_000)} min later`,
  limitMs: stableMs,
  asksAgent: false,
  begin: (restore) =>
    restore.steps.some(({ step, state }) => (step === 'engine' || step === 'monitor') && state === 'done')
      ? {}
      : { state: 'skipped', because: 'nothing was restarted', evidence: [] },
  find(_step, { restore, seen, isDue }) {
    const own = managedConditions(seen).filter(({ type }) => restore.conditions.includes(type));
    const turned = own.filter(({ status }) => status !== 'True');
    if (turned.length > 0)
      return failed('restore-condition-returned', shownAll(turned), conditionEvidence(seen, turned));
    if (!isDue) return undefined;
    const because = own.length === 0 ? 'no condition of the drill is False' : shownAll(own);
    return { state: 'done', because, evidence: conditionEvidence(seen, own) };
  },
};

/** Every step, in the order of a restore. */
export const restoreSteps: readonly RestoreStepRow[] = [stop, engine, reconnect, monitor, condition, stable];

function podIsBack(
  { pod }: RestoreStep,
  pods: RestoreSeen['enginePods'],
  { seen, isDue }: { readonly seen: RestoreSeen; readonly isDue: boolean },
): StepFinding | undefined {
  const replacement = replacementOf(pods, pod);
  const at = new Date(seen.now).toISOString();
  if (replacement !== undefined) {
    const { name, uid, startedAt } = replacement;
    const observed = `uid ${uid}, Ready, started at ${startedAt}`;
    return {
      state: 'done',
      because: `pod ${name} came in place of ${pod?.name ?? 'one that was gone'}`,
      evidence: [{ source: `pod ${name}`, observed, at }],
      replacement,
    };
  }
  if (!isDue) return undefined;
  return failed(pod === undefined ? 'restore-pod-unknown' : 'restore-pod-not-back', podsShown(pods), [
    { source: 'pods of the add-on on the node', observed: podsShown(pods), at },
  ]);
}

function unlessSkipped(restore: Restore, name: RestoreStepName): StepBegin {
  const before = restore.steps.find(({ step }) => step === name);
  return before?.state === 'done' ? {} : { state: 'skipped', because: 'NMA was not restarted', evidence: [] };
}

function startOf({ steps }: Restore, name: RestoreStepName): string {
  return steps.find(({ step }) => step === name)?.replacement?.startedAt ?? '';
}

function refusedFor(fault: NodeCondition | undefined, seen: RestoreSeen): StepFinding | undefined {
  if (fault === undefined) return undefined;
  const shown = `${shownAll([fault])}, and that is not of the drill`;
  return failed('restore-foreign-fault', shown, conditionEvidence(seen, [fault]));
}

function failed(code: RestoreCode, because: string, evidence: readonly Evidence[]): StepFinding {
  return { state: 'failed', code, because, evidence };
}

function shownAll(conditions: readonly NodeCondition[]): string {
  return conditions
    .map(
      ({ type, status, reason, lastTransitionTime }) =>
        `${type} is ${status} (${reason}) since ${lastTransitionTime ?? 'an unknown time'}`,
    )
    .join('; ');
}

function conditionEvidence(
  { node, now }: RestoreSeen,
  conditions: readonly NodeCondition[],
): readonly Evidence[] {
  const name = node.node?.metadata.name ?? '';
  return conditions.map(({ type, status, reason, lastTransitionTime }) => ({
    source: `nodes/${name} status.conditions[${type}]`,
    observed: `${status}, ${reason}, lastTransitionTime ${lastTransitionTime ?? 'none'}`,
    at: new Date(now).toISOString(),
  }));
}

function engineEvidence(
  { pid, nma }: NonNullable<ReturnType<typeof listeningEngine>>,
  { now }: RestoreSeen,
): readonly Evidence[] {
  const source = `agent inventory engines[pid ${pid}].nma`;
  return [{ source, observed: nma.evidence, at: new Date(now).toISOString() }];
}
