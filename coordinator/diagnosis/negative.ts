import { renderDuration } from '../../shared/duration.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import { type Evidence, type Explanation, furtherFrom } from '../store/explanation.ts';
import type { Facts } from '../view/facts.ts';
import { injectedOn, problemsOf, seenInjection, seenProblem, windowOf } from './drill.ts';
import { seen, seenCondition, seenHeartbeat } from './evidence.ts';
import { explain } from './explain.ts';
import { conditionOf, writingOf } from './liveness.ts';
import { injectionNotProven, injectionRefused } from './rules/injection.ts';
import { injectionInterrupted } from './rules/interrupted.ts';
import { nodeReplaced, observationGap } from './rules/observation.ts';

type Seen = { readonly source: string; readonly text: string };

/** A harmless fault of a negative drill, and the event that it leads to where the detection path works. */
export type Control = {
  readonly when: 'before' | 'after';
  readonly path: 'dcgm' | 'kernel-log';
  readonly expectation: Expectation;
};

/** A control that was answered, as evidence. */
export type AnsweredControl = {
  readonly control: Control;
  readonly orderedAt: string;
  readonly written: string;
  readonly answer: string;
  readonly answeredAt: string;
};

/** The detection path is broken by what stands in the cluster: silence would prove nothing, so nothing is written. */
export function explainBrokenPath(blocking: Explanation, when: 'before' | 'after'): Explanation {
  const said =
    when === 'before'
      ? 'Nothing was written: the detection path from the fault to the condition is broken, and silence would prove nothing.'
      : 'The controls’ events came, but the detection path to the condition is broken: that it did not change proves nothing.';
  return notProven(`${said} ${blocking.summary}`, blocking.evidence, blocking);
}

/** A control had no answer. `facts` has the control as its drill: what explains its silence is why the path is broken. */
export function explainUnverifiedPath(facts: Facts, { when, path, expectation }: Control): Explanation {
  const { drill } = facts;
  const injected = injectedOn(drill);
  const usual = explain(facts);
  const what =
    injected.length > 0
      ? `its control was written and had no answer (${drill?.expectation.reason ?? ''})`
      : 'its control could not be written';
  const awaited: Evidence = seen(
    facts,
    `events of node ${facts.node.name}, reason ${expectation.type}`,
    `none with "${expectation.reason}: ${expectation.message ?? ''}"${drill?.waitedUntil === undefined ? '' : `, awaited until ${drill.waitedUntil}`}`,
  );
  const summary =
    `The detection path by ${path} was not verified ${when} the fault: ${what}. The drill is inconclusive. ` +
    `Why it is broken: ${usual.summary}`;
  const written = injected.map((result) => seenInjection(facts, result));
  const refused = problemsOf(facts).map(seenProblem);
  return notProven(summary, [...written, ...refused, awaited, ...usual.evidence], usual);
}

function notProven(summary: string, evidence: readonly Evidence[], cause: Explanation): Explanation {
  const isTold = (other: Evidence, index: number) =>
    evidence.findIndex(({ source, observed }) => source === other.source && observed === other.observed) ===
    index;
  return {
    code: 'path-not-proven',
    ...(cause.link === undefined ? {} : { link: cause.link }),
    summary,
    evidence: evidence.filter(isTold),
    remedy: cause.remedy,
    refuted: cause.refuted,
    alsoFound: [furtherFrom(cause), ...cause.alsoFound.filter(({ code }) => code !== cause.code)],
  };
}

/** What came although it must not. */
export function explainViolation(
  facts: Facts,
  found: Seen & { readonly kind: string },
  before: readonly AnsweredControl[],
): Explanation {
  const { drill, node } = facts;
  const what =
    found.kind === 'event'
      ? 'the event that must not come came'
      : `${drill?.expectation.type ?? 'the condition'} changed`;
  return {
    code: 'unexpected-reaction',
    summary: `NMA reacted on node ${node.name}, where nothing was to follow: ${what}. ${found.text}`,
    evidence: [...written(facts), seen(facts, found.source, found.text), ...before.flatMap(controlEvidence)],
    remedy:
      found.kind === 'event'
        ? 'Expect the event ({"none": true, "event": "allowed"}), or see whether this version of NMA should send it.'
        : `Expect the condition (leave \`none\` out) if this fault is to set it; else report it. It stays False until NMA restarts.${afterEarlier(facts)}`,
    refuted: [],
    alsoFound: [],
  };
}

/** The health check reports what the engine keeps of an earlier fault within 6 min, in the same condition (nma.md §0.8). */
function afterEarlier({ drill }: Facts): string {
  return drill?.conditionBefore?.status === 'False'
    ? ' It was False before: what NMA adds for the earlier fault looks the same, so drill a node that is True.'
    : '';
}

/** The detection path is verified, and the event that had to come did not. */
export function explainMissingEvent(facts: Facts, answered: readonly AnsweredControl[]): Explanation {
  const { expectation } = facts.drill ?? {};
  return {
    code: 'required-event-missing',
    summary:
      `The condition did not change, and the event that had to come did not come: ${expectation?.reason ?? ''}, within ` +
      `${renderDuration(expectation?.withinSeconds ?? 0)}. The controls before and after it were answered.`,
    evidence: [
      ...written(facts),
      ...answered.flatMap(controlEvidence),
      seen(
        facts,
        `events of node ${facts.node.name}, reason ${expectation?.type ?? ''}`,
        `none with "${expectation?.reason ?? ''}: ${expectation?.message ?? ''}"`,
      ),
    ],
    remedy:
      'See whether this version of NMA sends it at all (plan with dryRun=All), and whether `for` is long enough for it.',
    refuted: [],
    alsoFound: [],
  };
}

/** Nothing followed, and the detection path was verified before and after. */
export function explainQuiet(
  facts: Facts,
  answered: readonly AnsweredControl[],
  event: Seen | undefined,
): Explanation {
  const { drill, node } = facts;
  const { type = '', withinSeconds = 0, event: rule } = (drill?.expectation ?? {}) as Partial<Expectation>;
  const condition = conditionOf(facts, type);
  const writing = writingOf(facts);
  const events = event === undefined ? 'no event of the fault' : 'the fault’s event, as it may';
  return {
    code: 'no-reaction-as-expected',
    summary:
      `No unexpected reaction on node ${node.name} within ${renderDuration(withinSeconds)}: ${type} did not change, ` +
      `there was ${rule === 'required' && event !== undefined ? 'the fault’s event, as it must' : events}. The detection path was verified before and after.`,
    evidence: [
      ...written(facts),
      ...answered.flatMap(controlEvidence),
      ...(event === undefined ? [] : [seen(facts, event.source, event.text)]),
      condition === undefined
        ? seen(facts, `nodes/${node.name} status.conditions`, `no ${type}, before and after`)
        : seenCondition(facts, condition),
      ...(writing.state === 'fresh' ? [seenHeartbeat(facts, writing.condition)] : []),
    ],
    remedy: 'Nothing to do.',
    refuted: [],
    alsoFound: shortWatch(facts),
  };
}

/** It passes all the same: the caller said for how long. */
function shortWatch({ drill }: Facts): Explanation['alsoFound'] {
  if (drill === undefined) return [];
  const window = windowOf(drill);
  // Nothing is known that NMA would show for the fault, in whatever time.
  if (window === undefined) return [];
  const { worstMs } = window;
  const { withinSeconds } = drill.expectation;
  if (withinSeconds * 1000 >= worstMs) return [];
  const longest = renderDuration(worstMs / 1000);
  return [
    {
      code: 'wait-too-short',
      summary: `The node was watched for ${renderDuration(withinSeconds)} after the fault; a condition of this kind may take ${longest}.`,
      remedy: `Watch for longer: expectation {"none": true, "for": "${Math.ceil(worstMs / 1000) + 30}s"}.`,
    },
  ];
}

/** What makes a quiet drill no proof: the fault was not written in full or did not last, or nobody watched all the time. */
export function explainDoubt(facts: Facts): Explanation | undefined {
  const isWhole = (facts.drill?.receipt?.surfaces ?? []).every(({ outcome }) => outcome === 'injected');
  const told = isWhole ? explain(facts, doubts) : explain(facts);
  return isWhole && told.code === 'unexplained' ? undefined : told;
}

const doubts = [injectionNotProven, injectionRefused, injectionInterrupted, nodeReplaced, observationGap];

function written(facts: Facts): readonly Evidence[] {
  return injectedOn(facts.drill).map((result) => seenInjection(facts, result));
}

function controlEvidence(answered: AnsweredControl): readonly Evidence[] {
  const { control, orderedAt, answeredAt } = answered;
  const source = `control ${control.when} the fault, by ${control.path}`;
  return [
    { source: `${source}, written`, observed: answered.written, at: orderedAt },
    { source: `${source}, its event`, observed: answered.answer, at: answeredAt },
  ];
}
