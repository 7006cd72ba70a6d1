import { renderDuration } from '../../shared/duration.ts';
import type { AgentOrder } from '../../shared/schemas/order.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { expectationOf } from '../catalogue/channels.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import type {
  Baseline,
  ChainLink,
  ExpectationInput,
  InjectionStatus,
  LinkCause,
  LinkStatus,
} from '../store/experiment.ts';
import type { Observation, SeenNode } from '../view/node.ts';
import { drain } from './drain-link.ts';
import { findReaction, type Match } from './judge.ts';
import { judgeNone } from './none.ts';
import { reboot } from './reboot-link.ts';
import { replacement, taint, termination } from './repair-links.ts';

/** What a link's row may look at when the chain of one node is planned. */
export type LinkPlanInput = {
  readonly order: AgentOrder;
  /** What the caller expects, completed by the catalogue. */
  readonly expectation: Expectation;
  /** What the caller said of it. */
  readonly asked: ExpectationInput;
  /** Everything that a healthy monitoring agent shows for this order, the expected reaction first. */
  readonly reacting: readonly ChannelReaction[];
};

/** What a link is judged by, beside what is seen now. */
export type LinkPast = {
  /** What stood on the node before the order that the link belongs to. */
  readonly baseline: Baseline;
  /** When the agent accepted the order, RFC 3339, the node's clock; undefined: its answer is not here yet. */
  readonly orderedAt?: string | undefined;
  /** The time to wait is over: what is not there now is missed. */
  readonly isDue: boolean;
  /** When it is looked for, RFC 3339, coordinator's clock. */
  readonly at: string;
  /** Names of the drill's links, in the order of the chain. */
  readonly chain: readonly string[];
  /** What became of the links before it. */
  readonly earlier: readonly LinkStatus[];
  /** uids of new Nodes that stand for other drilled nodes already. */
  readonly claimed: ReadonlySet<string>;
  /** What the other orders of this drill lead to: none of it is the fault's. */
  readonly others: readonly Expectation[];
};

/** What became of a link. */
export type Finding = {
  /** `unknown`: it can no longer be seen whether it was reached; links behind it are looked for all the same. */
  readonly state: 'reached' | 'missed' | 'skipped' | 'unknown';
  /** What shows it, where anything does. */
  readonly match?: Match;
  /** What stood in its place when the wait ended, or why it was not looked for. */
  readonly because?: string;
  /** Why it was missed, where that shows; the diagnosis has a rule for each. */
  readonly cause?: LinkCause;
  /** uid of the new Node that it was reached by: it counts for no other drilled node. */
  readonly claims?: string;
};

/**
 * A link of the chain: data and two pure functions. A new capability after detection is a row here; planning, waiting,
 * restarts, judging, explaining and answers read the rows.
 */
export type LinkRow = {
  /** Stable: requests, stored objects, rules and metrics name it. */
  readonly name: string;
  /** What has to happen, in a few words. */
  readonly title: string;
  /** What the injection's phase says while the link is open and is no control's. */
  readonly phase: NonNullable<InjectionStatus['phase']>;
  /** `send`: the coordinator sends the link's order to the agent; `watch`: it only looks. */
  readonly by: 'send' | 'watch';
  /** Whether a request may ask for it with `expectation.then`. */
  readonly onRequest: boolean;
  /** Seconds to wait where the request does not say; absent: 30 min. Of links on request only. */
  readonly usualSeconds?: number;
  /** What it looks at beside the node, its events and its owner: the pods that have to leave the node. Absent: nothing. */
  readonly needs?: 'pods';
  /** true: what the order sustains is sustained for this link, and ended when the link has come to its end. */
  readonly endsSustained?: true;
  /** true: when the node is gone, there is nothing to wait for any more. false: `find` decides. */
  readonly endsWithNode: boolean;
  /** The links of this name in the chain of one node; empty: the drill has none. */
  readonly plan: (input: LinkPlanInput) => readonly Omit<ChainLink, 'link' | 'role'>[];
  /** What has become of the link; undefined while it is open. Once `isDue` it must decide. Never throws. */
  readonly find: (link: ChainLink, seen: SeenNode, past: LinkPast) => Finding | undefined;
};

/** The agent carried the order out and read it back: its receipt decides, nothing that is seen on the node. */
export const order: LinkRow = {
  name: 'order',
  title: 'the agent carries the order out and reads it back',
  phase: 'Injecting',
  by: 'send',
  onRequest: false,
  endsWithNode: true,
  plan: ({ order }) => [{ id: 'order', order, expected: `${order.method} ${order.orderId} is carried out` }],
  find: (_link, _seen, { isDue }) => (isDue ? { state: 'missed' } : undefined),
};

const notJudged = 'not judged: expectation.detection is ignore';

/** NMA's event or condition; of a negative drill, that none comes. */
export const detection: LinkRow = {
  name: 'detection',
  title: 'the node monitoring agent reacts',
  phase: 'Verifying',
  by: 'watch',
  onRequest: false,
  endsWithNode: true,
  plan: ({ order, expectation, asked, reacting }) =>
    [expectation, ...furtherSteps(order, expectation, asked, reacting)].map((expected, index) => ({
      id: index === 0 ? 'detection' : `detection-${index + 1}`,
      expectation: expected,
      expected: renderExpectation(expected),
    })),
  find({ expectation, role }, seen, { baseline, orderedAt, isDue, others }) {
    if (expectation === undefined) return { state: 'missed' };
    // An inject-only drill waits as long as the injection lasts, and looks at nothing.
    if (expectation.kind === 'ignored') return isDue ? { state: 'skipped', because: notJudged } : undefined;
    const node = withoutForeign(seen);
    if (expectation.kind !== 'none' || role === 'control') {
      const match = findReaction(expectation, baseline, node, orderedAt);
      if (match !== undefined) return { state: 'reached', match };
      return isDue ? { state: 'missed' } : undefined;
    }
    const judged = judgeNone(expectation, baseline, node, others);
    if (judged.is === 'violated') return { state: 'missed', match: judged.match };
    if (!isDue) return undefined;
    if (judged.event === undefined && expectation.event === 'required') return { state: 'missed' };
    return { state: 'reached', ...(judged.event === undefined ? {} : { match: judged.event }) };
  },
};

/** Every link, in the order of the chain. */
export const links: readonly LinkRow[] = [order, detection, taint, drain, reboot, termination, replacement];

/** What stands on another node of the same name is no reaction; the events are still those of the one that went. */
function withoutForeign(seen: SeenNode): Observation {
  return seen.isGone ? { ...seen, conditions: [] } : seen;
}

/**
 * A cascade is judged by each of its steps: one reaction that came says nothing about the steps behind it. What the
 * health check adds minutes later is planned and shown, and not awaited. An expectation of the caller's own is the only one.
 */
function furtherSteps(
  { method }: AgentOrder,
  expectation: Expectation,
  asked: ExpectationInput,
  reacting: readonly ChannelReaction[],
): readonly Expectation[] {
  const isOwn = asked.kind !== undefined || asked.type !== undefined || asked.reason !== undefined;
  const isAwaited = expectation.kind === 'event' || expectation.kind === 'condition';
  if (method !== 'InjectCascade' || !isAwaited || isOwn || asked.message !== undefined) return [];
  const steps = reacting
    .filter(({ via }) => via.startsWith('policy'))
    .map(expectationOf)
    .filter(({ reason }) => reason !== expectation.reason);
  return steps.filter(
    (step, index) =>
      steps.findIndex(({ reason, kind }) => reason === step.reason && kind === step.kind) === index,
  );
}

/** As a sentence part: `condition AcceleratedHardwareReady=False, reason NvidiaXID79Error, within 50 s`. */
export function renderExpectation({ kind, type, reason, withinSeconds, event }: Expectation): string {
  if (kind === 'none') {
    const own =
      event === 'required' ? `the event ${reason} and ` : event === 'forbidden' ? 'no event and ' : '';
    return `${own}no change of ${type} for ${renderDuration(withinSeconds)}`;
  }
  if (kind === 'ignored') return notJudged;
  const what =
    kind === 'event' ? `event ${type} "${reason}: …"` : `condition ${type}=False, reason ${reason},`;
  return `${what} within ${renderDuration(withinSeconds)}`;
}
