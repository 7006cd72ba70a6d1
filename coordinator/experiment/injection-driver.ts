import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { eventNamespace } from '../../shared/nma/conditions.ts';
import type { TimelineEntry, Verdict } from '../../shared/schemas/expectation.ts';
import type { Baseline, InjectionSpec, InjectionStatus } from '../../shared/schemas/experiment.ts';
import type { Evidence, Explanation } from '../../shared/schemas/explanation.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import { conditionsOf, nodeEventFrom } from '../cluster/node-view.ts';
import type { Cluster } from '../cluster/port.ts';
import type { Collector } from '../diagnosis/collect.ts';
import { explain, explainPass, preflight } from '../diagnosis/explain.ts';
import type { DrillFacts, Facts } from '../diagnosis/facts.ts';
import { baselineOf, findReaction, type Match, type Observation } from '../reaction/judge.ts';
import type { Seen, Watcher } from '../reaction/watcher.ts';
import { nextInjectionStep } from './machine.ts';
import type { Injection, Store } from './store.ts';
import { verdictAfterWait, verdictOfBlocking, verdictOfRefusal } from './verdicts.ts';

export type DriverDeps = {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly watcher: Watcher;
  readonly agents: Agents;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly log: Log;
  readonly onDetection: (fault: string, seconds: number) => void;
};

/** How long an agent that does not answer is asked again; the same order id makes that safe. */
const agentPatienceMs = 30_000;
const agentPauseMs = 2_000;
/** An order that is on its way when the experiment is aborted may still tell what it did. */
const orderGraceMs = 5_000;
const retryPauseMs = 1_000;

/** A timeline is cut in the middle: what was ordered and injected stands at its beginning. */
const keptFirst = 20;
const keptLast = 180;

export type InjectionDriver = {
  /** Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. */
  drive(injection: Injection, signal: AbortSignal): Promise<void>;
  /** Ends an injection that will not be driven on. */
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
  /** Ends an injection whose time is over; a reaction that is there by now counts all the same. */
  expire(injection: Injection, explanation: Explanation): Promise<Injection>;
  /** What kept an injection from going on, if anything did. */
  troubleWith(injection: string): string | undefined;
};

export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, cluster, watcher, agents, collector, clock, log } = deps;
  const troubles = new Map<string, string>();

  async function drive(start: Injection, signal: AbortSignal): Promise<void> {
    const { name } = start.metadata;
    const witness = createWitness(start);
    let injection: Injection | undefined = start;
    let isStale = false;
    try {
      while (injection !== undefined) {
        signal.throwIfAborted();
        try {
          if (isStale) injection = await store.readInjection(name);
          isStale = false;
          const step = nextInjectionStep(injection?.status);
          if (injection === undefined || step === 'rest') return;
          log.debug({ injection: name, step }, 'step');
          injection = await steps[step](injection, witness, signal);
          troubles.delete(name);
        } catch (thrown) {
          signal.throwIfAborted();
          isStale = true;
          const refusal = refusalFromUnknown(thrown);
          if (refusal.reason === 'object_conflict') continue;
          troubles.set(name, messageFromUnknown(thrown));
          log.warn({ injection: name, err: thrown }, 'step failed, trying again');
          await clock.sleep(retryPauseMs, signal);
        }
      }
    } finally {
      witness.close();
    }
  }

  const steps = { prepare, inject, verify };

  /** Sees the node from before the order on, so that nothing is missed while the receipt is on its way. */
  function createWitness({ spec, status }: Injection): Witness {
    const seen: Seen[] = [];
    let baseline = status?.baseline;
    let found: Detection | undefined;
    let wake: () => void = () => undefined;
    const isGone = () => watcher.node(spec.node)?.metadata.uid !== spec.nodeUid;
    const look = (at: number, to: string) => {
      if (baseline === undefined || found !== undefined) return;
      const match = reactionIn({ ...watcher.observe(spec.node), isGone: isGone() }, spec, baseline);
      if (match !== undefined) found = { match, at, to };
    };
    const unsubscribe = watcher.subscribe(spec.node, (news) => {
      seen.push(news);
      look(news.at, 'reaction seen in a watch');
      wake();
    });
    return {
      since: clock.now(),
      entriesSince: (from) => seen.filter(({ at }) => at >= from).map(({ entry }) => entry),
      compareWith: (taken) => {
        baseline = taken;
      },
      look,
      found: () => found,
      isGone,
      onNews: (listener) => {
        wake = listener;
      },
      close: unsubscribe,
    };
  }

  /** Baseline, then preflight: what blocks the reaction for sure is a verdict before anything is written. */
  async function prepare(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec } = injection;
    const seen = await observeNow(spec);
    if (seen.isGone) return end(injection, 'error', nodeGone(injection));
    const baseline = baselineOf(spec.expectation, seen, isoFromMillis(clock.now()));
    const facts = await collector.facts(spec.node, drillFacts(injection, baseline.condition), signal);
    signal.throwIfAborted();
    const { blocking } = preflight(facts);
    if (blocking !== undefined) {
      const timeline = [entry(clock.now(), 'note', 'preflight', `nothing was ordered: ${blocking.summary}`)];
      const told = { ...injection, status: { phase: 'Selected', baseline, timeline } as const };
      return end(told, verdictOfBlocking(blocking), blocking);
    }
    witness.compareWith(baseline);
    return store.writeInjectionStatus(injection, { phase: 'Injecting', baseline });
  }

  async function inject(injection: Injection, _witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const attempts: Attempt[] = [];
    try {
      const receipt = await orderPatiently(injection, attempts, signal);
      const orderedAt = isoFromMillis(attempts.at(-1)?.at ?? clock.now());
      return await store.writeInjectionStatus(injection, {
        ...bare(injection),
        phase: 'Verifying',
        receipt,
        // An order that had been carried out when it was asked again: the baseline is the last time known before it.
        injectedAt: receipt.replayed ? (status?.baseline?.at ?? orderedAt) : orderedAt,
        waitUntil: isoFromMillis(clock.now() + spec.expectation.withinSeconds * 1000),
        timeline: [...orderEntries(injection, attempts), ...receiptEntries(receipt)],
      });
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || isAboutCluster(thrown)) throw thrown;
      signal.throwIfAborted();
      return endRefused(injection, thrown, attempts, signal);
    }
  }

  async function orderPatiently(
    { spec }: Injection,
    attempts: Attempt[],
    signal: AbortSignal,
  ): Promise<Receipt> {
    const { node, order } = spec;
    const patience = clock.now() + agentPatienceMs;
    for (;;) {
      signal.throwIfAborted();
      const at = clock.now();
      const patient = withGrace(signal);
      try {
        const receipt = await agents.order(node, order, patient.signal);
        attempts.push({ at });
        return receipt;
      } catch (thrown) {
        const refusal = refusalFromUnknown(thrown);
        attempts.push({ at, failed: refusal.message });
        if (refusal.reason !== 'agent_unreachable' || clock.now() >= patience) throw thrown;
        log.warn({ node, message: refusal.message }, 'order not answered, asking again');
      } finally {
        patient.release();
      }
      await clock.sleep(agentPauseMs, signal);
    }
  }

  /** Aborts with `signal`, a moment later where only the experiment ends: what was injected has to be told. */
  function withGrace(signal: AbortSignal): { readonly signal: AbortSignal; release(): void } {
    const patient = new AbortController();
    const released = new AbortController();
    const onAbort = () => {
      const { reason } = signal;
      const isEnding = reason instanceof Refusal && reason.reason === 'experiment_ended';
      if (!isEnding) patient.abort(reason);
      else
        clock.sleep(orderGraceMs, released.signal).then(
          () => patient.abort(reason),
          () => undefined,
        );
    };
    signal.addEventListener('abort', onAbort, { once: true });
    return {
      signal: patient.signal,
      release: () => {
        signal.removeEventListener('abort', onAbort);
        released.abort();
      },
    };
  }

  async function endRefused(
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
        ...orderEntries(injection, attempts),
        entry(clock.now(), 'note', `agent of ${spec.node}`, said),
      ],
    };
    const refused = { ...injection, status };
    const facts = await factsOf(refused, signal);
    const explanation = facts === undefined ? nodeGone(refused) : explain(facts);
    return end(refused, verdictOfRefusal(refusal.reason), explanation);
  }

  async function verify(injection: Injection, witness: Witness, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const baseline = status?.baseline;
    if (status?.waitUntil === undefined || baseline === undefined) {
      throw new Refusal(
        'internal',
        `injection ${injection.metadata.name} is being verified without a baseline`,
      );
    }
    const since = Date.parse(status.injectedAt ?? baseline.at);
    witness.compareWith(baseline);
    const found =
      (await waitForReaction(witness, Date.parse(status.waitUntil), signal)) ??
      (await lookOnce(spec, baseline));
    const timeline = [
      ...(status.timeline ?? []),
      ...unwatched(since, witness),
      ...witness.entriesSince(since),
      ...watcher.gapsSince(since),
    ];
    const told = { ...injection, status: { ...status, timeline } };
    return found === undefined ? endUnanswered(told, signal) : endPassed(told, found, since, signal);
  }

  /** Looks at once, then after each change on the node, until the reaction is there, the node is gone or the time is up. */
  async function waitForReaction(
    witness: Witness,
    until: number,
    signal: AbortSignal,
  ): Promise<Detection | undefined> {
    witness.look(clock.now(), 'reaction found when the coordinator looked');
    const over = new AbortController();
    const isOver = () => {
      if (witness.found() !== undefined || witness.isGone()) over.abort();
    };
    witness.onNews(isOver);
    isOver();
    try {
      await clock.sleep(until - clock.now(), AbortSignal.any([signal, over.signal]));
    } catch (thrown) {
      if (!over.signal.aborted) throw thrown;
    } finally {
      witness.onNews(() => undefined);
    }
    return witness.found();
  }

  /** A watch may be silent or behind without knowing it, so that the last word is the API server's own. */
  async function lookOnce(spec: InjectionSpec, baseline: Baseline): Promise<Detection | undefined> {
    const match = reactionIn(await observeNow(spec), spec, baseline);
    return match && { match, at: clock.now(), to: 'reaction found by reading the API server at the end' };
  }

  /** From the order until this coordinator began to watch, when another one gave the order. */
  function unwatched(since: number, witness: Witness): readonly TimelineEntry[] {
    if (witness.since <= since) return [];
    const until = isoFromMillis(witness.since);
    const text = `not watching until ${until}: the coordinator was started again; what came and went in between is lost`;
    return [entry(since, 'gap', 'coordinator', text)];
  }

  async function endPassed(
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

  async function endUnanswered(injection: Injection, signal: AbortSignal): Promise<Injection> {
    const facts = await factsOf(injection, signal);
    const explanation = facts === undefined ? nodeGone(injection) : explain(facts);
    return end(injection, verdictAfterWait(explanation, injection.status?.timeline ?? []), explanation);
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
    const ended = await store.writeInjectionStatus(injection, status);
    troubles.delete(injection.metadata.name);
    return ended;
  }

  async function expire(injection: Injection, explanation: Explanation): Promise<Injection> {
    const { spec, status } = injection;
    if (status?.phase === 'Verifying' && status.baseline !== undefined) {
      const found = await lookOnce(spec, status.baseline);
      const since = Date.parse(status.injectedAt ?? status.baseline.at);
      if (found !== undefined) return endPassed(injection, found, since, new AbortController().signal);
    }
    return end(injection, 'error', explanation);
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

  /** Fresh from the API server, not from a watch that may lag: what is missed here would count as a reaction later. */
  async function observeNow({ node: name, nodeUid }: InjectionSpec): Promise<SeenNode> {
    const [node, events] = await Promise.all([
      cluster.read('nodes', { name }),
      cluster.list('events', {
        namespace: eventNamespace,
        fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
      }),
    ]);
    return {
      isGone: node?.metadata.uid !== nodeUid,
      conditions: node === undefined ? [] : conditionsOf(node),
      events: events.items.map(nodeEventFrom),
    };
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

  return { drive, end, expire, troubleWith: (name) => troubles.get(name) };
}

type Detection = { readonly match: Match; readonly at: number; readonly to: string };
type Attempt = { readonly at: number; readonly failed?: string };
/** `isGone`: there is no such node, or another one of the same name. */
type SeenNode = Observation & { readonly isGone: boolean };

type Witness = {
  /** When it began to watch. */
  readonly since: number;
  entriesSince(from: number): readonly TimelineEntry[];
  compareWith(baseline: Baseline): void;
  /** Keeps the first reaction; `to` says how it was found. */
  look(at: number, to: string): void;
  found(): Detection | undefined;
  isGone(): boolean;
  onNews(listener: () => void): void;
  close(): void;
};

/** What stands on another node of the same name is no reaction; the events are still those of the one that went. */
function reactionIn(seen: SeenNode, spec: InjectionSpec, baseline: Baseline): Match | undefined {
  const ours = seen.isGone ? { ...seen, conditions: [] } : seen;
  return findReaction(spec.expectation, baseline, ours);
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

function shortened(timeline: readonly TimelineEntry[]): TimelineEntry[] {
  if (timeline.length <= keptFirst + keptLast) return [...timeline];
  return [...timeline.slice(0, keptFirst), ...timeline.slice(-keptLast)];
}

function bare({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

function drillFacts({ spec, status }: Injection, conditionBefore: DrillFacts['conditionBefore']): DrillFacts {
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

function orderEntries({ spec }: Injection, attempts: readonly Attempt[]): readonly TimelineEntry[] {
  const source = `agent of ${spec.node}`;
  const what = `${spec.order.method} ${spec.order.orderId}`;
  const failed = attempts.filter((attempt) => attempt.failed !== undefined);
  const [first] = failed;
  const last = attempts.at(-1);
  return [
    ...(first === undefined || first === last
      ? []
      : [
          entry(first.at, 'note', source, `${what} was not answered ${failed.length} times: ${first.failed}`),
        ]),
    ...(last === undefined ? [] : [entry(last.at, 'ordered', source, what)]),
  ];
}

/** The API server's own troubles pass: the step is made again. */
function isAboutCluster(refusal: Refusal): boolean {
  return refusal.reason.startsWith('cluster_') || refusal.reason.startsWith('object_');
}

function receiptEntries(receipt: Receipt): readonly TimelineEntry[] {
  return receipt.surfaces.map((surface) => ({
    at: surface.at ?? receipt.acceptedAt,
    clock: 'node',
    kind: surface.outcome === 'injected' ? 'injected' : 'note',
    source: surface.surface,
    text:
      surface.outcome === 'injected'
        ? proofOf(surface)
        : `${surface.outcome}: ${surface.code ?? ''} ${surface.message ?? ''}`,
    match: false,
  }));
}

function proofOf(surface: Receipt['surfaces'][number]): string {
  const proof = surface.readBack;
  if (proof === undefined) return surface.written ?? '';
  if ('sequence' in proof) return `record ${proof.sequence}: ${proof.record}`;
  return `${surface.written ?? ''}; newest sample ${proof.after.newest ?? 'none'}, ${proof.after.watchers} watchers`;
}

function entry(at: number, kind: TimelineEntry['kind'], source: string, text: string): TimelineEntry {
  return { at: isoFromMillis(at), clock: 'coordinator', kind, source, text, match: false };
}
