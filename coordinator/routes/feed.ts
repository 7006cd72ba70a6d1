import type { Readable } from 'node:stream';
import { Refusal } from '../../shared/errors.ts';
import { isSettled } from '../drill/restoring.ts';
import { experimentFrom, experimentLabel, injectionFrom } from '../store/store.ts';
import type { View } from '../view/view.ts';
import { experimentAnswer, injectionAnswer } from './answers.ts';
import { createEventStream, eventBytes } from './event-stream.ts';

/** Changes of experiments as they come; every coordinator has them, also one that does not hold the lease. */
export type ExperimentFeed = {
  /** Resolves when the experiment and its restores have ended, it is gone, or the signal is aborted. An earlier one of that name is another. */
  waitForEnd(experiment: { name: string; uid: string | undefined }, signal: AbortSignal): Promise<void>;
  /**
   * Server-sent events, ending with the experiment, or with the signal: a refusal as its reason is sent. `too_many_streams`
   * where {@link mostStreams} are open.
   */
  stream(name: string, signal: AbortSignal): Readable;
};

/** As the view reports it. */
type Change = Parameters<Parameters<View['onChange']>[1]>[0];

type News = { readonly kind: 'experiment' | 'injection'; readonly change: Change };

/** Open at once: each is a connection and what its reader has not taken yet, which is one event. */
const mostStreams = 2_000;

/** An experiment with all its targets is written once for all who follow it. */
type Written = { experiment?: Buffer | undefined; readonly injections: WeakMap<object, Buffer> };

/** Passes on the view's changes of experiments and injections, to those who follow one experiment. */
export function createExperimentFeed(view: View, most = mostStreams): ExperimentFeed {
  const listeners = new Map<string, Set<(news: News) => void>>();
  const written = new Map<string, Written>();
  let open = 0;

  const tell = (name: string, news: News) => {
    const known = written.get(name);
    if (known !== undefined) known.experiment = undefined;
    for (const listener of [...(listeners.get(name) ?? [])]) listener(news);
  };
  view.onChange('experiments', (change) => tell(change.object.metadata.name, { kind: 'experiment', change }));
  view.onChange('injections', (change) =>
    tell(change.object.metadata.labels?.[experimentLabel] ?? '', { kind: 'injection', change }),
  );

  function subscribe(name: string, listener: (news: News) => void): () => void {
    const own = listeners.get(name) ?? new Set();
    listeners.set(name, own.add(listener));
    return () => {
      own.delete(listener);
      if (own.size > 0) return;
      listeners.delete(name);
      written.delete(name);
    };
  }

  function hasEnded(name: string, uid?: string): boolean {
    const found = view.experiment(name);
    if (found === undefined || (uid !== undefined && found.metadata.uid !== uid)) return false;
    const { spec, status } = experimentFrom(found);
    return isSettled(spec, status);
  }

  function injectionsOf(name: string) {
    return view.injectionsOf(name);
  }

  function writtenOf(name: string): Written {
    const known = written.get(name) ?? { injections: new WeakMap() };
    written.set(name, known);
    return known;
  }

  function experimentEvent(name: string): Buffer | undefined {
    const found = view.experiment(name);
    if (found === undefined) return undefined;
    const known = writtenOf(name);
    known.experiment ??= eventBytes(
      'experiment',
      experimentAnswer(experimentFrom(found), injectionsOf(name).map(injectionFrom)),
    );
    return known.experiment;
  }

  function injectionEvent(name: string, object: Change['object']): Buffer {
    const { injections } = writtenOf(name);
    const event = injections.get(object) ?? eventBytes('injection', injectionAnswer(injectionFrom(object)));
    injections.set(object, event);
    return event;
  }

  return {
    waitForEnd: ({ name, uid }, signal) =>
      new Promise((resolve) => {
        const finish = () => {
          unsubscribe();
          signal.removeEventListener('abort', finish);
          resolve();
        };
        const unsubscribe = subscribe(name, ({ kind, change }) => {
          if (kind !== 'experiment' || (uid !== undefined && change.object.metadata.uid !== uid)) return;
          if (change.type === 'deleted' || hasEnded(name, uid)) finish();
        });
        signal.addEventListener('abort', finish, { once: true });
        if (signal.aborted || hasEnded(name, uid)) finish();
      }),
    stream(name, signal) {
      if (open >= most) throw tooManyStreams(open, most);
      open += 1;
      const { stream, put, end, cut } = createEventStream(() => {
        open -= 1;
        unsubscribe();
        signal.removeEventListener('abort', abort);
      });
      const abort = () => {
        const { reason } = signal;
        if (reason instanceof Refusal)
          cut(eventBytes('refused', { code: reason.reason, detail: reason.message }));
        else stream.destroy();
      };
      const putExperiment = () => put('experiment', () => experimentEvent(name));
      const putInjection = (object: Change['object']) =>
        put(`injection ${object.metadata.name}`, () => injectionEvent(name, object));
      const endOf = () => end(eventBytes('end', { name }));
      const unsubscribe = subscribe(name, ({ kind, change }) => {
        if (kind === 'injection') putInjection(change.object);
        else if (change.type === 'deleted') endOf();
        else {
          putExperiment();
          if (hasEnded(name)) endOf();
        }
      });
      signal.addEventListener('abort', abort, { once: true });
      putExperiment();
      for (const object of injectionsOf(name)) putInjection(object);
      if (hasEnded(name)) endOf();
      if (signal.aborted) abort();
      return stream;
    },
  };
}

function tooManyStreams(open: number, most: number): Refusal {
  return new Refusal('too_many_streams', `${open} streams of events are open, the most at once`, {
    allowed: { maximum: most },
    retryAfterSeconds: 10,
    remedy: 'end one of them, or ask with GET and Prefer: wait=SECONDS instead',
  });
}
