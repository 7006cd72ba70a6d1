import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { TimelineEntry, Verdict } from '../../shared/schemas/expectation.ts';
import type { InjectionStatus } from '../../shared/schemas/experiment.ts';
import type { Explanation } from '../../shared/schemas/explanation.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import type { Agents } from '../agents/port.ts';
import { conditionsOf, nodeEventFrom } from '../cluster/node-view.ts';
import type { Cluster } from '../cluster/port.ts';
import type { Collector } from '../diagnosis/collect.ts';
import { explain, explainPass, preflight } from '../diagnosis/explain.ts';
import type { DrillFacts } from '../diagnosis/facts.ts';
import { baselineOf, findReaction, type Match, type Observation } from '../reaction/judge.ts';
import type { Watcher } from '../reaction/watcher.ts';
import { nextInjectionStep } from './machine.ts';
import type { Injection, Store } from './store.ts';
import { verdictAfterWait, verdictOfRefusal } from './verdicts.ts';

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

const longestTimeline = 200;

export type InjectionDriver = {
  /** Takes one injection from where it stands to its verdict. Throws what the signal was aborted with. */
  drive(injection: Injection, signal: AbortSignal): Promise<void>;
  /** Ends an injection that will not be driven on. */
  end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection>;
};

export function createInjectionDriver(deps: DriverDeps): InjectionDriver {
  const { store, cluster, watcher, agents, collector, clock, log } = deps;

  async function drive(start: Injection, signal: AbortSignal): Promise<void> {
    let injection = start;
    for (;;) {
      signal.throwIfAborted();
      const step = nextInjectionStep(injection.status);
      log.debug({ injection: injection.metadata.name, step }, 'step');
      if (step === 'rest') return;
      injection = await steps[step](injection, signal);
    }
  }

  const steps = { prepare, inject, verify };

  /** Baseline, then preflight: what blocks the reaction for sure is a verdict before anything is written. */
  async function prepare(injection: Injection): Promise<Injection> {
    const { spec } = injection;
    const seen = await observeNow(spec.node, spec.nodeUid);
    if (seen === undefined) return end(injection, 'error', nodeGone(injection));
    const at = isoFromMillis(clock.now());
    const baseline = baselineOf(spec.expectation, seen, at);
    const facts = await collector.facts(spec.node, drillFacts(injection, baseline.condition));
    const { blocking } = preflight(facts);
    if (blocking !== undefined)
      return end({ ...injection, status: { phase: 'Selected', baseline } }, 'fail', blocking);
    return store.writeInjectionStatus(injection, { phase: 'Injecting', baseline });
  }

  async function inject(injection: Injection, signal: AbortSignal): Promise<Injection> {
    const { spec } = injection;
    const orderedAt = clock.now();
    const ordered = entry(
      orderedAt,
      'ordered',
      `agent of ${spec.node}`,
      `${spec.order.method} ${spec.order.orderId}`,
    );
    try {
      const receipt = await orderPatiently(injection, signal);
      const until = clock.now() + spec.expectation.withinSeconds * 1000;
      return await store.writeInjectionStatus(injection, {
        ...bare(injection),
        phase: 'Verifying',
        receipt,
        injectedAt: isoFromMillis(orderedAt),
        waitUntil: isoFromMillis(until),
        timeline: [ordered, ...receiptEntries(receipt)],
      });
    } catch (thrown) {
      signal.throwIfAborted();
      if (!(thrown instanceof Refusal) || thrown.reason === 'object_conflict' || isAboutCluster(thrown))
        throw thrown;
      return endRefused(injection, thrown, ordered);
    }
  }

  async function orderPatiently(injection: Injection, signal: AbortSignal): Promise<Receipt> {
    const { node, order } = injection.spec;
    const patience = clock.now() + agentPatienceMs;
    for (;;) {
      try {
        return await agents.order(node, order, signal);
      } catch (thrown) {
        const refusal = refusalFromUnknown(thrown);
        if (refusal.reason !== 'agent_unreachable' || clock.now() >= patience) throw thrown;
        log.warn(
          { node, reason: refusal.reason, message: refusal.message },
          'order not answered, asking again',
        );
        await clock.sleep(agentPauseMs, signal);
      }
    }
  }

  async function endRefused(
    injection: Injection,
    refusal: Refusal,
    ordered: TimelineEntry,
  ): Promise<Injection> {
    const told = { reason: refusal.reason, message: refusal.message, details: { ...refusal.details } };
    const receipt = refusal.details['receipt'] as Receipt | undefined;
    const status: InjectionStatus = {
      ...bare(injection),
      refusal: told,
      ...(receipt === undefined ? {} : { receipt }),
      timeline: [
        ordered,
        entry(
          clock.now(),
          'note',
          `agent of ${injection.spec.node}`,
          `${refusal.reason}: ${refusal.message}`,
        ),
      ],
    };
    const refused = { ...injection, status };
    const facts = await collector.facts(injection.spec.node, drillFacts(refused, status.baseline?.condition));
    return end(refused, verdictOfRefusal(refusal.reason), explain(facts));
  }

  async function verify(injection: Injection, signal: AbortSignal): Promise<Injection> {
    const { spec, status } = injection;
    const baseline = status?.baseline;
    if (status?.waitUntil === undefined || baseline === undefined) {
      throw new Refusal(
        'internal',
        `injection ${injection.metadata.name} is being verified without a baseline`,
      );
    }
    const since = Date.parse(status.injectedAt ?? baseline.at);
    const timeline = [...(status.timeline ?? [])];
    const found = await waitForReaction(injection, timeline, signal);
    timeline.push(...watcher.gapsSince(since));
    const told = { ...injection, status: { ...status, timeline: timeline.slice(-longestTimeline) } };
    return found === undefined ? endUnanswered(told) : endPassed(told, found, since);
  }

  /** Looks at once, then after each change on the node, until the reaction is there or the time is up. */
  async function waitForReaction(injection: Injection, timeline: TimelineEntry[], signal: AbortSignal) {
    const { spec, status } = injection;
    const baseline = status?.baseline;
    if (baseline === undefined) return undefined;
    const left = Date.parse(status?.waitUntil ?? '') - clock.now();
    const over = new AbortController();
    return new Promise<Detection | undefined>((resolve, reject) => {
      const unsubscribe = watcher.subscribe(spec.node, ({ at, entry: news }) => {
        timeline.push(news);
        look(at);
      });
      const stop = () => {
        over.abort();
        unsubscribe();
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = () => {
        stop();
        reject(signal.reason);
      };
      function look(at: number): void {
        const match = findReaction(
          spec.expectation,
          baseline ?? { at: '', events: {} },
          watcher.observe(spec.node),
        );
        if (match === undefined) return;
        stop();
        resolve({ match, at });
      }
      signal.addEventListener('abort', onAbort, { once: true });
      clock.sleep(left, over.signal).then(
        () => {
          stop();
          resolve(undefined);
        },
        () => undefined,
      );
      look(clock.now());
    });
  }

  async function endPassed(
    injection: Injection,
    { match, at }: Detection,
    since: number,
  ): Promise<Injection> {
    const { spec, status } = injection;
    const seconds = Math.max(0, at - since) / 1000;
    deps.onDetection(spec.fault, seconds);
    const facts = await collector.facts(spec.node, drillFacts(injection, status?.baseline?.condition));
    const explanation = explainPass(facts, {
      text: `${match.entry.text}; ${match.how}`,
      latencySeconds: seconds,
      source: match.source,
    });
    const latency = {
      seconds,
      clock: 'coordinator',
      from: 'order given to the agent',
      to: 'reaction seen in a watch',
    } as const;
    const timeline = [
      ...(status?.timeline ?? []).filter(({ text }) => text !== match.entry.text),
      match.entry,
    ];
    return end({ ...injection, status: { ...bare(injection), timeline, latency } }, 'pass', explanation);
  }

  async function endUnanswered(injection: Injection): Promise<Injection> {
    const { spec, status } = injection;
    const facts = await collector.facts(spec.node, drillFacts(injection, status?.baseline?.condition));
    const explanation = explain(facts);
    return end(injection, verdictAfterWait(explanation, status?.timeline ?? []), explanation);
  }

  async function end(injection: Injection, verdict: Verdict, explanation: Explanation): Promise<Injection> {
    const status: InjectionStatus = {
      ...bare(injection),
      phase: 'Completed',
      verdict,
      explanation,
      endedAt: isoFromMillis(clock.now()),
    };
    return store.writeInjectionStatus(injection, status);
  }

  /** Fresh from the API server, not from a watch that may lag: what is missed here would count as a reaction later. */
  async function observeNow(name: string, uid: string): Promise<Observation | undefined> {
    const node = await cluster.read('nodes', { name });
    if (node === undefined || node.metadata.uid !== uid) return undefined;
    const events = await cluster.list('events', {
      namespace: 'default',
      fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
    });
    return { conditions: conditionsOf(node), events: events.items.map(nodeEventFrom) };
  }

  function nodeGone({ spec }: Injection): Explanation {
    return {
      code: 'node-replaced',
      summary: `Node ${spec.node} is gone or was replaced before anything was injected.`,
      evidence: [
        {
          source: `nodes/${spec.node} metadata.uid`,
          observed: `not ${spec.nodeUid} any more`,
          at: isoFromMillis(clock.now()),
        },
      ],
      remedy: 'run the experiment again: it selects among the nodes of now',
      refuted: [],
      alsoFound: [],
    };
  }

  return { drive, end };
}

type Detection = { readonly match: Match; readonly at: number };

function bare({ status }: Injection): InjectionStatus {
  return { ...status, phase: status?.phase ?? 'Selected' };
}

function drillFacts({ spec, status }: Injection, conditionBefore: DrillFacts['conditionBefore']): DrillFacts {
  return {
    nodeUid: spec.nodeUid,
    fault: spec.fault,
    parameters: spec.parameters,
    expectation: spec.expectation,
    receipt: status?.receipt,
    refusal: status?.refusal,
    conditionBefore,
    timeline: status?.timeline ?? [],
    waitedUntil: status?.phase === 'Verifying' ? status.waitUntil : undefined,
  };
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
