import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Verdict } from '../../shared/schemas/expectation.ts';
import type { InjectionStatus } from '../../shared/schemas/experiment.ts';
import type { Evidence, Explanation } from '../../shared/schemas/explanation.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { explain, explainPass } from '../diagnosis/explain.ts';
import type { Collector } from '../facts/collect.ts';
import type { DrillFacts, Facts } from '../facts/facts.ts';
import type { Injection, Store } from './store.ts';
import { type Attempt, orderEntries, proofOf, shortened, timelineEntry } from './timeline.ts';
import { verdictAfterWait, verdictOfRefusal } from './verdicts.ts';
import type { Detection } from './witness.ts';

/** How an injection ends; each of these is its last write. */
export type Endings = {
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
  passed(injection: Injection, detection: Detection, since: number, signal: AbortSignal): Promise<Injection>;
  /** The wait is over, and nothing came. */
  unanswered(injection: Injection, signal: AbortSignal): Promise<Injection>;
  refused(
    injection: Injection,
    refusal: Refusal,
    attempts: readonly Attempt[],
    signal: AbortSignal,
  ): Promise<Injection>;
  /** The node is gone before anything was ordered. */
  gone(injection: Injection): Promise<Injection>;
};

export function createEndings(deps: {
  readonly store: Store;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly onDetection: (fault: string, seconds: number) => void;
}): Endings {
  const { store, collector, clock } = deps;

  async function passed(
    injection: Injection,
    { match, at, to }: Detection,
    since: number,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec, status } = injection;
    const seconds = Math.max(0, at - since) / 1000;
    const from = status?.receipt?.replayed
      ? 'before the order, which had been carried out when it was given again'
      : 'order given to the agent';
    // The watch's own entry for it may say how many times as well.
    const others = (status?.timeline ?? []).filter(
      ({ kind, text }) => kind !== match.entry.kind || !text.startsWith(match.entry.text),
    );
    const timeline = [...others, match.entry];
    const told = {
      ...injection,
      status: { ...bare(injection), timeline, latency: { seconds, clock: 'coordinator', from, to } as const },
    };
    const facts = await factsOf(told, signal);
    const what = { text: `${match.entry.text}; ${match.how}`, latencySeconds: seconds, source: match.source };
    const ended = await end(
      told,
      'pass',
      facts === undefined ? passOnGoneNode(told, what) : explainPass(facts, what),
    );
    deps.onDetection(spec.fault, seconds);
    return ended;
  }

  async function unanswered(injection: Injection, signal: AbortSignal): Promise<Injection> {
    const facts = await factsOf(injection, signal);
    const explanation = facts === undefined ? nodeGone(injection) : explain(facts);
    return end(injection, verdictAfterWait(explanation, bare(injection)), explanation);
  }

  async function end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection> {
    const { timeline } = injection.status ?? {};
    const status: InjectionStatus = {
      ...bare(injection),
      phase: 'Completed',
      verdict,
      explanation,
      endedAt: isoFromMillis(clock.now()),
      ...(timeline === undefined ? {} : { timeline: shortened(timeline) }),
    };
    return store.writeInjectionStatus(injection, status);
  }

  /** undefined: the node is gone, and there is nothing left to ask. */
  async function factsOf(injection: Injection, signal: AbortSignal): Promise<Facts | undefined> {
    const { spec, status } = injection;
    try {
      return await collector.facts(spec.node, drillFacts(injection, status?.baseline?.condition), signal);
    } catch (thrown) {
      if (thrown instanceof Refusal && thrown.reason === 'node_unknown') return undefined;
      throw thrown;
    }
  }

  async function refused(
    injection: Injection,
    refusal: Refusal,
    attempts: readonly Attempt[],
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec } = injection;
    // The receipt has a place of its own.
    const { receipt: inDetails, ...details } = refusal.details;
    const receipt = inDetails as Receipt | undefined;
    const said = `${refusal.reason}: ${refusal.message}`;
    const status: InjectionStatus = {
      ...bare(injection),
      refusal: { reason: refusal.reason, message: refusal.message, details },
      ...(receipt === undefined ? {} : { receipt }),
      timeline: [
        ...(injection.status?.timeline ?? []),
        ...orderEntries(spec, attempts),
        timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, said),
      ],
    };
    const told = { ...injection, status };
    const facts = await factsOf(told, signal);
    const explanation = facts === undefined ? nodeGone(told) : explain(facts);
    return end(told, verdictOfRefusal(refusal.reason, explanation), explanation);
  }

  function nodeGone(injection: Injection): Explanation {
    const { spec, status } = injection;
    const isInjected = injectionEvidence(injection).length > 0;
    const nodeEntries = (status?.timeline ?? []).filter(({ kind }) => kind === 'node');
    return {
      code: 'node-replaced',
      summary: isInjected
        ? `Node ${spec.node} went away or was replaced after the injection, before a reaction was seen.`
        : `Node ${spec.node} is gone or was replaced before anything was injected.`,
      evidence: [
        ...injectionEvidence(injection),
        {
          source: `nodes/${spec.node} metadata.uid`,
          observed: `not ${spec.nodeUid || 'that of a node'} any more`,
          at: isoFromMillis(clock.now()),
        },
        ...nodeEntries.map(({ source, text, at }) => ({ source, observed: text, at })),
      ],
      remedy: isInjected
        ? `See who removed it: kubectl get events -A --field-selector involvedObject.name=${spec.node}; then run the experiment again.`
        : 'Run the experiment again: it selects among the nodes of now.',
      refuted: [],
      alsoFound: [],
    };
  }

  return {
    end,
    passed,
    unanswered,
    refused,
    gone: (injection) => end(injection, 'error', nodeGone(injection)),
  };
}

/** A reaction that was seen on a node that could not be asked any more. */
function passOnGoneNode(
  injection: Injection,
  what: { readonly text: string; readonly latencySeconds: number; readonly source: string },
): Explanation {
  const { spec, status } = injection;
  const at = status?.timeline?.at(-1)?.at ?? status?.injectedAt ?? '';
  return {
    code: 'reacted',
    summary: `NMA reacted on node ${spec.node} after ${what.latencySeconds.toFixed(1)} s: ${spec.expectation.reason}. The node is gone since.`,
    evidence: [...injectionEvidence(injection), { source: what.source, observed: what.text, at }],
    remedy: 'Nothing to do: the node is gone.',
    refuted: [],
    alsoFound: [],
  };
}

/** What was written, by the receipt's own read-back. */
export function injectionEvidence({ spec, status }: Injection): readonly Evidence[] {
  const { receipt } = status ?? {};
  return (receipt?.surfaces ?? [])
    .filter(({ outcome }) => outcome === 'injected')
    .map((surface) => ({
      source: `agent ${spec.node} receipt ${spec.order.orderId} surfaces[${surface.surface}].readBack`,
      observed: proofOf(surface),
      at: surface.at ?? receipt?.acceptedAt ?? '',
    }));
}

/** The status as it stands, to be written with changes. */
export function bare({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

/** What a diagnosis has to know of the injection. */
export function drillFacts(
  { spec, status }: Injection,
  conditionBefore: DrillFacts['conditionBefore'],
): DrillFacts {
  return {
    fault: spec.fault,
    parameters: spec.parameters,
    expectation: spec.expectation,
    nodeUid: spec.nodeUid,
    receipt: status?.receipt,
    refusal: status?.refusal,
    conditionBefore,
    timeline: status?.timeline ?? [],
    waitedUntil: status?.phase === 'Verifying' ? status.waitUntil : undefined,
  };
}
