import { renderDuration } from '../../shared/duration.ts';
import { heartbeatStaleMs } from '../../shared/nma-timing.ts';
import { eventSource, monitors } from '../catalogue/nma/conditions.ts';
import { restartWindow } from '../catalogue/nma/reactions.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import type { Facts, PodFacts } from '../view/facts.ts';
import type { NodeCondition } from '../view/node.ts';
import { injectedAt, isAfterInjection } from './drill.ts';
import { ageSeconds, millis } from './evidence.ts';

const managedTypes: ReadonlySet<string> = new Set(monitors.map((monitor) => monitor.conditionType));
const kubeletTypes: ReadonlySet<string> = new Set(['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']);

/** Heartbeats have whole seconds. */
const staleSeconds = heartbeatStaleMs / 1000 + 1;

/** Whether NMA writes conditions, by the newest heartbeat of all that it manages: it writes them all in one patch. */
export type Writing =
  | { readonly state: 'fresh'; readonly condition: NodeCondition; readonly age: number }
  | {
      readonly state: 'stale';
      readonly condition: NodeCondition;
      readonly age: number;
      /** Not yet 5 min 15 s old, but from before the pod's start, which writes every condition anew within 15 s. */
      readonly sinceStart: boolean;
      /** The kubelet's own heartbeat is as old: the node or its clock is off, and nothing follows about NMA. */
      readonly nodeSilent: boolean;
    }
  /** It lies in the future: the node's clock is ahead by at least that, and how old it is cannot be told. */
  | { readonly state: 'ahead'; readonly condition: NodeCondition; readonly aheadSeconds: number }
  | { readonly state: 'absent' };

/** Clocks that somebody keeps in step are never this far apart; a heartbeat that NMA still writes may be five times as old. */
const clockSlackSeconds = 60;

/** Whether NMA writes conditions on this node now. */
export function writingOf(facts: Facts): Writing {
  const newest = newestOf(facts, managedTypes);
  if (newest === undefined) return { state: 'absent' };
  const kubelet = newestOf(facts, kubeletTypes);
  const nodeSilent = kubelet !== undefined && kubelet.age > staleSeconds;
  const { condition, age } = newest;
  // The kubelet's heartbeat is by the same clock: this far behind it NMA's is old, whatever the time is.
  const ahead = Math.max(-age, -(kubelet?.age ?? 0));
  if (ahead > clockSlackSeconds) {
    return age + ahead > staleSeconds
      ? { state: 'stale', condition, age: age + ahead, sinceStart: false, nodeSilent: false }
      : { state: 'ahead', condition, aheadSeconds: ahead };
  }
  if (newest.age > staleSeconds) return { state: 'stale', ...newest, sinceStart: false, nodeSilent };
  if (isFromBeforeStart(facts, newest.condition)) {
    return { state: 'stale', ...newest, sinceStart: true, nodeSilent };
  }
  return { state: 'fresh', ...newest };
}

/** Conditions that NMA manages and that are on the node. */
export function managedConditions({ node }: Facts): readonly NodeCondition[] {
  return node.conditions.filter(({ type }) => managedTypes.has(type));
}

/** The node's condition of that type; undefined: it has none. */
export function conditionOf({ node }: Facts, type: string): NodeCondition | undefined {
  return node.conditions.find((condition) => condition.type === type);
}

/** Its heartbeat is not older than NMA's slowest renewal. */
export function isFresh(facts: Facts, condition: NodeCondition): boolean {
  const age = ageSeconds(facts.at, condition.lastHeartbeatTime);
  return age !== undefined && age <= staleSeconds;
}

/** A sentence that shows that NMA lived when it mattered: since the injection, or now where nothing was injected. */
export function signOfLife(facts: Facts): string | undefined {
  const { drill } = facts;
  const isOld = ({ at, clock }: TimelineEntry) =>
    clock === 'node' && injectedAt(drill) !== undefined && !isAfterInjection(facts, at);
  const entry = drill?.timeline.find((one) => one.event !== undefined && isFromNma(one.event) && !isOld(one));
  if (entry !== undefined) return `${entry.source} at ${entry.at}: ${entry.text}`;
  const writing = writingOf(facts);
  if (writing.state !== 'fresh') return undefined;
  const { condition, age } = writing;
  const heartbeat = `${condition.type} has a heartbeat of ${condition.lastHeartbeatTime}`;
  if (injectedAt(drill) === undefined) return `${heartbeat}, ${renderDuration(age)} old`;
  return isAfterInjection(facts, condition.lastHeartbeatTime)
    ? `${heartbeat}, after the injection`
    : undefined;
}

/** `pod is` would narrow the other branch to undefined, where it is often a pod that does not run. */
export function runningPod(pod: PodFacts | undefined): PodFacts | undefined {
  return pod?.phase === 'Running' && pod.ready ? pod : undefined;
}

/** `reason` of NMA's events is the type of the condition (nma.md §1.0). */
export function isFromNma({
  component,
  reason,
}: {
  readonly component?: string;
  readonly reason: string;
}): boolean {
  return component === eventSource || managedTypes.has(reason);
}

function newestOf(
  facts: Facts,
  types: ReadonlySet<string>,
): { condition: NodeCondition; age: number } | undefined {
  return facts.node.conditions
    .filter(({ type }) => types.has(type))
    .flatMap((condition) => {
      const age = ageSeconds(facts.at, condition.lastHeartbeatTime);
      return age === undefined ? [] : [{ condition, age }];
    })
    .toSorted((a, b) => a.age - b.age)
    .at(0);
}

function isFromBeforeStart(facts: Facts, condition: NodeCondition): boolean {
  const { pod } = facts.nma;
  const [started, heartbeat] = [millis(pod?.startedAt), millis(condition.lastHeartbeatTime)];
  const running = ageSeconds(facts.at, pod?.startedAt);
  if (started === undefined || heartbeat === undefined || running === undefined) return false;
  return running * 1000 > restartWindow.worstMs && heartbeat + 1000 < started;
}
