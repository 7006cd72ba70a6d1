import { engineNamed, surfacesOfOrder, xidsNamed } from '../../shared/orders/call.ts';
import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import type { KernelLogReadBack } from '../../shared/schemas/read-back.ts';
import type { Surface, SurfaceResult } from '../../shared/schemas/receipt.ts';
import { parseXidLine } from '../../shared/xid/line.ts';
import { engineVias } from '../catalogue/expectation.ts';
import { gpuConditionType } from '../catalogue/nma/conditions.ts';
import { matchKernelRules } from '../catalogue/nma/kernel-rules.ts';
import {
  type Reaction,
  type ReactionWindow,
  reactionWindow,
  xidReaction,
} from '../catalogue/nma/reactions.ts';
import { nmaVersions } from '../catalogue/nma/versions.ts';
import type { Evidence } from '../store/explanation.ts';
import type { TimelineEntry } from '../store/timeline.ts';
import { type DrillFacts, type Facts, isUnread } from '../view/facts.ts';
import { ageSeconds, millis } from './evidence.ts';
import { irrelevant, type Judgement, unknown } from './rule.ts';

/** A refusal or failure, of the whole order or of one surface. */
export type Problem = {
  readonly reason: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly surface: Surface | undefined;
  readonly source: string;
  readonly at: string;
  /** Nothing was written; otherwise it was tried and is not proven. */
  readonly refused: boolean;
};

/** Everything that kept the injection from being made or proven, the order's own refusal first. */
export function problemsOf(facts: Facts): readonly Problem[] {
  const { drill, node } = facts;
  const whole =
    drill?.refusal === undefined
      ? []
      : [{ ...drill.refusal, surface: undefined, source: `agent ${node.name}`, at: facts.at, refused: true }];
  const parts = (drill?.receipt?.surfaces ?? [])
    .filter((result) => result.outcome !== 'injected')
    .map((result) => problemOf(facts, drill?.receipt?.method ?? 'order', result));
  return [...whole, ...parts];
}

function problemOf(facts: Facts, method: string, result: SurfaceResult): Problem {
  return {
    reason: result.code ?? 'internal',
    message: result.message ?? `${result.surface}: ${result.outcome} without a reason`,
    details: result.details ?? {},
    surface: result.surface,
    source: `agent ${facts.node.name} ${method} surfaces[${result.surface}]`,
    at: result.at ?? facts.at,
    refused: result.outcome === 'refused',
  };
}

/** What was refused or failed, as evidence. */
export function seenProblem(problem: Problem): Evidence {
  const { source, reason, message, at } = problem;
  return { source, observed: `${reason}: ${message}`, at };
}

/** The surfaces on which something was written and read back. */
export function injectedOn(drill: DrillFacts | undefined): readonly SurfaceResult[] {
  return (drill?.receipt?.surfaces ?? []).filter((result) => result.outcome === 'injected');
}

/** What was written to, or before the injection what will be. */
export function surfacesOf({ order, receipt }: DrillFacts): readonly Surface[] {
  return receipt === undefined ? surfacesOfOrder(order) : receipt.surfaces.map((result) => result.surface);
}

/** Whether a host engine is written to, or is to be paused; once it stands still it cannot be judged any more. */
export function isForEngine(drill: DrillFacts): boolean {
  const surfaces = surfacesOf(drill);
  return surfaces.includes('dcgm') || (drill.receipt === undefined && surfaces.includes('host-engine'));
}

/** Node's clock: when the last surface was written. undefined: nothing was. */
export function injectedAt(drill: DrillFacts | undefined): string | undefined {
  const receipt = drill?.receipt;
  const injected = injectedOn(drill);
  if (receipt === undefined || injected.length === 0) return undefined;
  return injected
    .map((result) => result.at ?? receipt.acceptedAt)
    .toSorted()
    .at(-1);
}

/** What the receipt of one surface proves, as evidence. */
export function seenInjection(facts: Facts, result: SurfaceResult): Evidence {
  const { readBack, written = '(not said)' } = result;
  const at = result.at ?? facts.drill?.receipt?.acceptedAt ?? facts.at;
  const source = `agent ${facts.node.name} receipt ${facts.drill?.receipt?.orderId ?? ''} surfaces[${result.surface}].readBack`;
  if (readBack === undefined) return { source, observed: `${written}; not read back`, at };
  if (isKernelLog(readBack))
    return { source, observed: `sequence ${readBack.sequence}: ${readBack.record}`, at };
  if (!('after' in readBack)) return { source, observed: `${written}; ${JSON.stringify(readBack)}`, at };
  const { newest, samples, watchers } = readBack.after;
  const engine =
    result.engine === undefined ? '' : `; engine pid ${result.engine.pid} at ${result.engine.address}`;
  const observed = `${written}; newest sample ${newest ?? 'none'}, ${samples} samples, ${watchers} watchers${engine}`;
  return { source, observed, at };
}

/** The first record that was read back from the kernel log; undefined: none was. */
export function kernelReadBack(drill: DrillFacts | undefined): KernelLogReadBack | undefined {
  return injectedOn(drill)
    .map((result) => result.readBack)
    .find((readBack) => readBack !== undefined && isKernelLog(readBack));
}

function isKernelLog(readBack: NonNullable<SurfaceResult['readBack']>): readBack is KernelLogReadBack {
  return 'sequence' in readBack;
}

/** The text that was or will be written to the kernel log, where it is known and asked about. */
export function kernelText(drill: DrillFacts): string | undefined {
  const result = drill.receipt?.surfaces.find(({ surface }) => surface === 'kernel-log');
  const record = kernelReadBack(drill)?.record;
  if (record !== undefined) return record.slice(record.indexOf(';') + 1);
  const { order, pathOnly } = drill;
  const asked = order.method === 'WriteKernelMessage' && !pathOnly ? order.body.text : undefined;
  return result?.written ?? asked;
}

/** The one Xid of the drill: by number, as a value of field 230, or as a line of the kernel log. */
export function xidOf(drill: DrillFacts): number | undefined {
  const [named, ...others] = drill.pathOnly ? [] : xidsNamed(drill.order);
  if (named !== undefined) return others.length === 0 ? named : undefined;
  return parseXidLine(kernelText(drill) ?? '')?.xid;
}

/** What this version of NMA makes of the drill's Xid; undefined: no Xid, or no version known. */
export function usualReaction(facts: Facts): Reaction | undefined {
  const xid = facts.drill && xidOf(facts.drill);
  const row = facts.nma.version?.row;
  return xid === undefined || row === undefined ? undefined : xidReaction(row, xid);
}

/** Whether every known version of NMA (or the one that runs here) has a rule for the record. */
export function mustReactTo(facts: Facts, record: string): boolean {
  const rows = facts.nma.version?.exact === true ? [facts.nma.version.row] : nmaVersions;
  return rows.every((row) => matchKernelRules(row, record).length > 0);
}

/** The reaction was seen: what is left to explain is the repair. */
export function hasReacted(facts: Facts): boolean {
  return reactionEntry(facts) !== undefined;
}

/** The timeline entry that is the expected reaction; undefined: it was not seen. */
export function reactionEntry({ drill }: Facts): TimelineEntry | undefined {
  return drill?.timeline.find(({ kind, match }) => match && (kind === 'event' || kind === 'condition'));
}

/** The wait is over and nothing that was expected came. */
export function isSilent(facts: Facts): boolean {
  const { drill } = facts;
  if (drill?.waitedUntil === undefined) return false;
  return !hasReacted(facts);
}

/** How long the expected reaction may take (nma.md §2.3); undefined: how NMA gets to know of it is not known. */
export function windowOf({ expectation }: DrillFacts): ReactionWindow | undefined {
  const { via, kind } = expectation;
  return via === undefined || kind === 'ignored' ? undefined : reactionWindow(via, kind);
}

/** The host engine that the drill is about: the one that its order names, else the one that NMA listens on. */
export function judgedEngine({ agent, drill }: Facts): HostEngineFacts | undefined {
  if (isUnread(agent.inventory)) return undefined;
  const named = drill === undefined ? undefined : engineNamed(drill.order);
  return agent.inventory.engines.find((engine) =>
    named === undefined ? engine.nma.listening : engine.pid === named.pid || engine.address === named.address,
  );
}

/** Seconds between injection and end of the wait. The ends are on two clocks, a second or two apart. */
export function waitedSeconds({ drill }: Facts): number | undefined {
  return drill === undefined ? undefined : ageSeconds(drill.waitedUntil, injectedAt(drill));
}

/** false also where it is not known how long the reaction may take. */
export function hasWaitedLongEnough(facts: Facts): boolean {
  const waited = waitedSeconds(facts);
  const window = facts.drill === undefined ? undefined : windowOf(facts.drill);
  if (window === undefined || waited === undefined) return false;
  return waited * 1000 >= window.worstMs;
}

/**
 * Whether NMA gives the expected reaction only with the help of its host engine; undefined: not known, because the
 * reason that is expected is none of a known version. Without a drill, whatever is about GPUs counts.
 */
export function needsHostEngine(facts: Facts): boolean | undefined {
  const { drill } = facts;
  if (drill === undefined) return true;
  if (!isAboutGpus(facts)) return false;
  const { via, kind, plugin } = drill.expectation;
  if (via !== undefined) return engineVias.includes(via);
  if (isForEngine(drill)) return true;
  // A condition that is to stay as it is could be turned by any of its monitor's ways.
  return kind === 'none' || drill.pathOnly ? plugin === 'nvidia' : undefined;
}

/** Why a rule on the host engine has nothing to say of the drill; undefined: it has. */
export function incidentalToEngine(facts: Facts): Judgement | undefined {
  if (!isAboutGpus(facts)) return irrelevant;
  const needs = needsHostEngine(facts);
  if (needs === undefined)
    return unknown(`how NMA would get to know of ${facts.drill?.expectation.reason ?? ''} is not known`);
  return needs ? undefined : irrelevant;
}

/** The condition that is drilled, or that of GPUs where there is no drill. */
export function expectedType({ drill }: Facts): string {
  return drill?.expectation.type ?? gpuConditionType;
}

/** No drill at all counts as one of everything: a preflight without fault reports whatever is broken. */
export function isAboutGpus(facts: Facts): boolean {
  return expectedType(facts) === gpuConditionType;
}

/** Times in which something came and went unseen. What only came late is a note in the timeline: nothing of it is lost. */
export function gapsOf({ drill }: Facts): readonly TimelineEntry[] {
  return drill?.timeline.filter(({ kind }) => kind === 'gap') ?? [];
}

/** Whether a time of the node's clock lies after the injection; a heartbeat has whole seconds. */
export function isAfterInjection(facts: Facts, time: string | null | undefined): boolean {
  const [then, injected] = [millis(time), millis(injectedAt(facts.drill))];
  return then !== undefined && injected !== undefined && then + 999 >= injected;
}
