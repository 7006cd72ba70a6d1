import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { preflight } from '../diagnosis/explain.ts';
import {
  type AnsweredControl,
  explainBrokenWay,
  explainDeadWay,
  explainDoubt,
  explainMissingEvent,
  explainQuiet,
  explainViolation,
} from '../diagnosis/negative.ts';
import { nodeGone, receiptEvidence } from '../drill/gone.ts';
import type { TimelineEntry, Verdict } from '../store/expectation.ts';
import type { Control, ControlStatus } from '../store/experiment.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Injection } from '../store/store.ts';
import type { DrillFacts, Facts } from '../view/facts.ts';
import { bare, drillFacts, type Endings } from './ending.ts';
import type { Stopping } from './stopping.ts';
import type { Detection } from './witness.ts';

/** How a negative drill ends, and what may end it before anything is written. */
export type NegativeEndings = {
  /** Why no silence on this node would prove anything; undefined where the ways look alive. */
  brokenWay(injection: Injection, facts: Facts): Verdicted | undefined;
  /** A control had no answer, or its order was refused; `seen` is what came since it was ordered. */
  unproven(
    injection: Injection,
    unanswered: {
      readonly control: Control;
      readonly made: ControlStatus;
      readonly seen: readonly TimelineEntry[];
    },
    signal: AbortSignal,
  ): Promise<Injection>;
  /** What must not come came. */
  violated(injection: Injection, detection: Detection, signal: AbortSignal): Promise<Injection>;
  /** The fault stayed quiet, and every control was answered. */
  concluded(injection: Injection, signal: AbortSignal): Promise<Injection>;
};

type Verdicted = { readonly verdict: Verdict; readonly explanation: Explanation };

export function createNegativeEndings(deps: {
  readonly endings: Endings;
  readonly stopping: Stopping;
  readonly clock: Clock;
}): NegativeEndings {
  const { endings, stopping, clock } = deps;

  /** With the facts of now, or as a node that is gone. */
  async function judged(
    injection: Injection,
    signal: AbortSignal,
    judge: (facts: Facts) => Verdicted,
  ): Promise<Injection> {
    const facts = await endings.factsOf(injection, signal);
    const gone = (): Verdicted => ({
      verdict: 'inconclusive',
      explanation: nodeGone(injection, isoFromMillis(clock.now())),
    });
    const { verdict, explanation } = facts === undefined ? gone() : judge(facts);
    return endings.end(injection, verdict, explanation);
  }

  function brokenWay(injection: Injection, facts: Facts): Verdicted | undefined {
    const { controls = [] } = injection.spec;
    const drills = [
      ...controls
        .filter(({ when }) => when === 'before')
        .map((control) => controlFacts(injection, control, undefined)),
      conditionFacts(injection),
    ];
    for (const drill of drills) {
      const { blocking } = preflight({ ...facts, drill });
      if (blocking === undefined) continue;
      return blocking.verdict === 'fail'
        ? { verdict: 'inconclusive', explanation: explainBrokenWay(blocking.explanation, 'before') }
        : blocking;
    }
    return undefined;
  }

  function conclude(injection: Injection, facts: Facts): Verdicted {
    const drill = drillFacts(injection, injection.status?.baseline?.condition);
    // The fault's own event is no reaction here that would end the search for doubts.
    const doubt = explainDoubt({ ...facts, drill: { ...drill, timeline: unmatched(drill) } });
    if (doubt !== undefined) return { verdict: 'inconclusive', explanation: doubt };
    const { blocking } = preflight({ ...facts, drill: conditionFacts(injection) });
    if (blocking !== undefined && blocking.explanation.code !== 'already-false')
      return { verdict: 'inconclusive', explanation: explainBrokenWay(blocking.explanation, 'after') };
    const answered = answeredControls(injection);
    const event = drill.timeline.find(({ kind, match }) => match && kind === 'event');
    if (event === undefined && drill.expectation.event === 'required')
      return { verdict: 'fail', explanation: explainMissingEvent({ ...facts, drill }, answered) };
    return { verdict: 'pass', explanation: explainQuiet({ ...facts, drill }, answered, event) };
  }

  return {
    brokenWay,
    async unproven(start, { control, made, seen }, signal) {
      const settled = await stopping.settle(start, signal);
      const timeline = [...(settled.status?.timeline ?? []), ...seen];
      const injection = { ...settled, status: { ...bare(settled), timeline } };
      const drill = { ...controlFacts(injection, control, made), timeline: seen };
      return judged(injection, signal, (facts) => ({
        verdict: 'inconclusive',
        explanation: explainDeadWay({ ...facts, drill }, control),
      }));
    },
    async violated(start, { match }, signal) {
      const settled = await stopping.settle(start, signal);
      const timeline = [...(settled.status?.timeline ?? []), match.entry];
      const injection = { ...settled, status: { ...bare(settled), timeline } };
      const found = {
        source: match.source,
        text: `${match.entry.text}; ${match.how}`,
        kind: match.entry.kind,
      };
      return judged(injection, signal, (facts) => ({
        verdict: 'fail',
        explanation: explainViolation(facts, found, answeredControls(injection)),
      }));
    },
    concluded: (injection, signal) => judged(injection, signal, (facts) => conclude(injection, facts)),
  };
}

/** A control as a drill of its own: what explains its silence explains why the way is dead. */
function controlFacts(
  { spec }: Injection,
  { path, order, expectation }: Control,
  made: ControlStatus | undefined,
): DrillFacts {
  return {
    fault: path === 'dcgm' ? 'xid' : 'task-blocked',
    order,
    expectation,
    nodeUid: spec.nodeUid,
    receipt: made?.receipt,
    refusal: made?.refusal,
    conditionBefore: made?.baseline.condition,
    timeline: [],
    waitedUntil: made?.waitUntil,
  };
}

/** A drill that waits for the condition: what would keep it from coming makes its staying away worthless. */
function conditionFacts(injection: Injection): DrillFacts {
  const { expectation, order, nodeUid, fault } = injection.spec;
  const { event: _rule, ...expected } = expectation;
  return {
    fault,
    order,
    pathOnly: true,
    expectation: { ...expected, kind: 'condition' },
    nodeUid,
    receipt: undefined,
    refusal: undefined,
    conditionBefore: injection.status?.baseline?.condition,
    timeline: [],
    waitedUntil: undefined,
  };
}

function unmatched({ timeline }: Pick<DrillFacts, 'timeline'>): DrillFacts['timeline'] {
  return timeline.map((entry) => ({ ...entry, match: false }));
}

function answeredControls({ spec, status }: Injection): readonly AnsweredControl[] {
  return (spec.controls ?? []).flatMap((control) => {
    const made = status?.controls?.find(({ orderId }) => orderId === control.order.orderId);
    if (made?.receipt === undefined || made.seen === undefined) return [];
    const [proof] = receiptEvidence(spec.node, made.receipt);
    return [
      {
        control,
        orderedAt: made.orderedAt ?? made.baseline.at,
        written: proof?.observed ?? '',
        answer: made.seen.text,
        answeredAt: made.seen.at,
      },
    ];
  });
}
