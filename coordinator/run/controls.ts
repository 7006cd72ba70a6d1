import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { baselineOf } from '../drill/judge.ts';
import type { ControlStep } from '../drill/machine.ts';
import { type Attempt, orderEntries, receiptEntries, shortened, timelineEntry } from '../drill/timeline.ts';
import type { Control, ControlStatus, InjectionStatus } from '../store/experiment.ts';
import type { Injection, Store } from '../store/store.ts';
import type { Watcher } from '../view/watcher.ts';
import { bare } from './ending.ts';
import type { NegativeEndings } from './negative-ending.ts';
import { isToRepeat, type Ordering, slotWaitMs } from './ordering.ts';
import { soughtControl, unwatched, type Witness, type Witnesses } from './witness.ts';

type Work<S extends ControlStep['step']> = {
  readonly injection: Injection;
  readonly next: Extract<ControlStep, { step: S }>;
  readonly witness: Witness;
  readonly signal: AbortSignal;
};

/** One step of a control; each ends in a write, so that a coordinator that is killed repeats nothing. */
export type Controls = {
  observe(work: Work<'observe'>): Promise<Injection>;
  order(work: Work<'order'>): Promise<Injection>;
  await(work: Work<'await'>): Promise<Injection>;
};

export function createControls(deps: {
  readonly store: Store;
  readonly ordering: Ordering;
  readonly witnesses: Witnesses;
  readonly watcher: Watcher;
  readonly negative: NegativeEndings;
  readonly clock: Clock;
  /** Should the deadline pass meanwhile, this is what kept it. */
  readonly onWait: (injection: string, because: string) => void;
}): Controls {
  const { store, ordering, witnesses, watcher, negative, clock } = deps;

  async function order({ injection, next, witness, signal }: Work<'order'>): Promise<Injection> {
    const { control, made } = next;
    const { node } = injection.spec;
    const attempts: Attempt[] = [];
    witness.seek(soughtControl(control, made.baseline));
    let receipt: Receipt;
    try {
      receipt = await ordering.give({ node, order: control.order }, attempts, signal);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      const waitMs = slotWaitMs(thrown);
      if (waitMs !== undefined) return waitForSlot(injection, made, thrown, waitMs, signal);
      if (isToRepeat(thrown)) throw thrown;
      signal.throwIfAborted();
      const { receipt: inDetails, ...details } = thrown.details;
      const receipt = inDetails as Receipt | undefined;
      const refused: ControlStatus = {
        ...made,
        refusal: { reason: thrown.reason, message: thrown.message, details },
        ...(receipt === undefined ? {} : { receipt }),
      };
      const said = `control ${control.when}: ${thrown.reason}: ${thrown.message}`;
      const entry = timelineEntry(clock.now(), 'note', `agent of ${node}`, said);
      const unanswered = { ...injection, status: withControl(injection, refused) };
      return negative.unproven(unanswered, { control, made: refused, seen: [entry] }, signal);
    }
    const ordered: ControlStatus = {
      ...made,
      receipt,
      orderedAt: isoFromMillis(attempts.at(-1)?.at ?? clock.now()),
      waitUntil: isoFromMillis(clock.now() + control.expectation.withinSeconds * 1000),
    };
    const entries = [
      ...orderEntries({ node, order: control.order }, attempts),
      ...receiptEntries(receipt),
    ].map((entry) => ({ ...entry, text: `control ${control.when}: ${entry.text}` }));
    return store.writeInjectionStatus(injection, withControl(injection, ordered, entries));
  }

  /** Nothing was written: the control begins anew, with a baseline of then. */
  async function waitForSlot(
    injection: Injection,
    made: ControlStatus,
    refusal: Refusal,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<Injection> {
    const { spec, status } = injection;
    const said = `${refusal.reason}: ${refusal.message}; nothing was written, the control is made again`;
    const note = timelineEntry(clock.now(), 'note', `agent of ${spec.node}`, said);
    const again = await store.writeInjectionStatus(injection, {
      ...bare(injection),
      controls: (status?.controls ?? []).filter(({ orderId }) => orderId !== made.orderId),
      timeline: shortened([...(status?.timeline ?? []), note]),
    });
    deps.onWait(injection.metadata.name, refusal.message);
    await clock.sleep(waitMs, signal);
    return again;
  }

  return {
    async observe({ injection, next }) {
      const { control } = next;
      const seen = await witnesses.observeNow(injection.spec);
      const baseline = baselineOf(control.expectation, seen, isoFromMillis(clock.now()));
      const made = { orderId: control.order.orderId, baseline };
      return store.writeInjectionStatus(injection, withControl(injection, made));
    },
    order,
    async await({ injection, next, witness, signal }) {
      const { control, made } = next;
      const sought = soughtControl(control, made.baseline);
      witness.seek(sought);
      const until = Date.parse(made.waitUntil ?? made.baseline.at);
      const found =
        (await witnesses.waitForReaction(witness, until, signal)) ??
        (await witnesses.lookOnce(injection.spec, sought));
      if (found === undefined) {
        const since = Date.parse(made.orderedAt ?? made.baseline.at);
        const entries = [
          ...unwatched(since, witness),
          ...witness.entriesSince(since),
          ...watcher.gapsSince(since),
        ];
        return negative.unproven(injection, { control, made, seen: entries }, signal);
      }
      const seen = { ...found.match.entry, match: false };
      const entry = { ...seen, text: `control ${control.when}: ${seen.text}` };
      return store.writeInjectionStatus(injection, withControl(injection, { ...made, seen }, [entry]));
    },
  };
}

function withControl(
  injection: Injection,
  made: ControlStatus,
  entries: NonNullable<InjectionStatus['timeline']> = [],
): InjectionStatus {
  const { status } = injection;
  const others = (status?.controls ?? []).filter(({ orderId }) => orderId !== made.orderId);
  return {
    ...bare(injection),
    controls: [...others, made],
    timeline: [...(status?.timeline ?? []), ...entries],
  };
}

/** How long the controls of a drill may take together. */
export function controlsSeconds(controls: readonly Control[]): number {
  return controls.reduce((sum, { expectation }) => sum + expectation.withinSeconds, 0);
}
