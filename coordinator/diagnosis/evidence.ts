import { renderDuration } from '../../shared/duration.ts';
import { isTrusted } from '../../shared/engines/choose.ts';
import type { HostEngineFacts, Inventory } from '../../shared/schemas/inventory.ts';
import { eventSource } from '../catalogue/nma/conditions.ts';
import type { Evidence } from '../store/explanation.ts';
import { type Facts, isUnread, type PodFacts, type Unread } from '../view/facts.ts';
import type { NodeCondition } from '../view/node.ts';
import { type Judgement, unknown } from './rule.ts';

/** What stood there when the facts were read. */
export function seen(facts: Facts, source: string, observed: string): Evidence {
  return { source, observed, at: facts.at };
}

/** A remedy as others give it, at the head of a sentence of ours. */
export function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** The whole condition as it stands on the node; `field` points at the member that matters. */
export function seenCondition(facts: Facts, condition: NodeCondition, field?: keyof NodeCondition): Evidence {
  const path = `nodes/${facts.node.name} status.conditions[${condition.type}]`;
  if (field !== undefined) return seen(facts, `${path}.${field}`, String(condition[field]));
  const { status, reason, message, lastTransitionTime } = condition;
  return seen(facts, path, `${status}, ${reason}: ${message}; since ${lastTransitionTime ?? 'not given'}`);
}

/** A condition's heartbeat with its age, as evidence. */
export function seenHeartbeat(facts: Facts, condition: NodeCondition): Evidence {
  const { observed, ...rest } = seenCondition(facts, condition, 'lastHeartbeatTime');
  const age = ageSeconds(facts.at, condition.lastHeartbeatTime);
  return {
    ...rest,
    observed:
      age === undefined
        ? observed
        : `${observed}, ${renderDuration(Math.abs(age))} ${age < 0 ? 'after' : 'before'} ${facts.at}`,
  };
}

/** Where evidence about a pod comes from. */
export function podSource(pod: PodFacts): string {
  return `pods/${pod.namespace}/${pod.name}`;
}

/** Phase, readiness, restarts and start in one line. */
export function renderPod(pod: PodFacts): string {
  const why = pod.reason === undefined ? '' : `, ${pod.reason}`;
  const ready = pod.ready ? 'Ready' : 'not Ready';
  return `${pod.phase}${why}, ${ready}, ${pod.restarts} restarts, started ${pod.startedAt ?? 'never'}`;
}

/** The newest line of NMA's log that matches, as evidence of the time that it bears, if it bears one. */
export function seenInLog(facts: Facts, pattern: RegExp): Evidence | undefined {
  const line = logLine(facts, pattern);
  if (line === undefined) return undefined;
  return { source: logSource(facts), observed: line.slice(0, 400), at: logTime(line) ?? facts.at };
}

/** When NMA wrote a line (zap's member `ts`, nma.md §5), RFC 3339; undefined: a line of another writer, without a time. */
export function logTime(line: string): string | undefined {
  const found = /"ts":"([^"]+)"/.exec(line)?.[1];
  return millis(found) === undefined ? undefined : found;
}

/** Whether something seen at a time is older than another; false where one of them bears no time. */
export function isOlder(then: string | null | undefined, than: string | null | undefined): boolean {
  const [left, right] = [millis(then), millis(than)];
  return left !== undefined && right !== undefined && left < right;
}

/** The last line of NMA's log that matches; undefined: none does, or the log was not read. */
export function logLine(facts: Facts, pattern: RegExp): string | undefined {
  const { log } = facts.nma;
  return isUnread(log) ? undefined : log.findLast((line) => pattern.test(line));
}

/** Where evidence from NMA's log comes from. */
export function logSource({ nma }: Facts): string {
  return nma.pod === undefined ? 'log of NMA' : `log ${nma.pod.namespace}/${nma.pod.name}`;
}

/** undefined where a time is not given or not readable. */
export function millis(time: string | null | undefined): number | undefined {
  if (time === null || time === undefined) return undefined;
  const value = Date.parse(time);
  return Number.isNaN(value) ? undefined : value;
}

/** Whole seconds between two times of RFC 3339; undefined where one is missing or no time. */
export function ageSeconds(now: string | undefined, then: string | null | undefined): number | undefined {
  const [from, to] = [millis(then), millis(now)];
  return from === undefined || to === undefined ? undefined : Math.round((to - from) / 1000);
}

/** What is there, in order. */
export function present<T>(...items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined);
}

/** `NMA v1.4.3-eksbuild.1`, as people know it, not the image with its registry. */
export function nmaName(facts: Facts): string {
  const tag = nmaTag(facts);
  return tag === undefined ? 'NMA' : `NMA ${tag}`;
}

/** The image tag, `v1.6.4-eksbuild.1`; undefined: the image is named by its digest only. */
export function nmaTag({ nma }: Facts): string | undefined {
  const [image = ''] = nma.version?.text.split('@', 1) ?? [];
  const start = Math.max(image.lastIndexOf(':'), image.lastIndexOf('/')) + 1;
  // The OCI distribution specification gives a tag 128 characters.
  const tag = image.slice(start, start + 128);
  return tag === '' ? undefined : tag;
}

/** Where NMA runs, as far as anything of it was found; otherwise where EKS installs it. */
export function nmaNamespace({ nma }: Facts): string {
  return nma.pod?.namespace ?? nma.daemonSet?.namespace ?? nma.serviceAccount?.namespace ?? 'kube-system';
}

/** The name of NMA's DaemonSet. */
export function nmaDaemonSet({ nma }: Facts): string {
  return nma.daemonSet?.name ?? eventSource;
}

/** What a rule says that cannot decide without the inventory. */
export function withoutInventory({ unread }: Unread): Judgement {
  return unknown(`the agent’s inventory could not be read: ${unread}`, 'agent');
}

/** The host engine that the monitoring agent uses, or the first one that counts where it listens on none. */
export function engineOfNma({ engines }: Inventory): HostEngineFacts | undefined {
  const counted = engines.filter(isTrusted);
  return counted.find(({ nma }) => nma.listening) ?? counted[0];
}

/** Which GPUs the engine cannot read, and DCGM's own answer for each. */
export function unreadText({ pid, unreadableGpus = [] }: HostEngineFacts): string {
  const list = unreadableGpus.map(({ id, because }) => `GPU ${id}: ${because}`).join('; ');
  return `The host engine with pid ${pid} cannot read ${list}.`;
}

/** The engine that NMA is connected to, if it answers and has no trouble; undefined: none was seen. */
export function connectedEngine({ agent }: Facts): HostEngineFacts | undefined {
  if (isUnread(agent.inventory)) return undefined;
  return agent.inventory.engines.find(
    ({ listening, nma, problems }) => listening && nma.listening && problems.length === 0,
  );
}
