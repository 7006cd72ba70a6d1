import { Readable } from 'node:stream';
import { Refusal } from '../../shared/errors.ts';
import { isSettled } from '../drill/restoring.ts';
import { experimentFrom, experimentLabel, injectionFrom } from '../store/store.ts';
import type { View } from '../view/view.ts';
import { experimentAnswer, injectionAnswer } from './answers.ts';

/** Changes of experiments as they come; every coordinator has them, also one that does not hold the lease. */
export type ExperimentFeed = {
  /** Resolves when the experiment and its restores have ended, it is gone, or the signal is aborted. An earlier one of that name is another. */
  waitForEnd(experiment: { name: string; uid: string | undefined }, signal: AbortSignal): Promise<void>;
  /** Server-sent events, ending with the experiment, or with the signal: a refusal as its reason is told. */
  stream(name: string, signal: AbortSignal): Readable;
};

/** As the view reports it. */
type Change = Parameters<Parameters<View['onChange']>[1]>[0];

type News = { readonly kind: 'experiment' | 'injection'; readonly change: Change };

/** Between two of them a proxy may take the stream for dead. */
const keepAliveMs = 15_000;

/** Passes on the view's changes of experiments and injections, to those who follow one experiment. */
export function createExperimentFeed(view: View): ExperimentFeed {
  const listeners = new Map<string, Set<(news: News) => void>>();

  const tell = (name: string, news: News) => {
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
      if (own.size === 0) listeners.delete(name);
    };
  }

  function hasEnded(name: string, uid?: string): boolean {
    const found = view.experiment(name);
    if (found === undefined || (uid !== undefined && found.metadata.uid !== uid)) return false;
    const { spec, status } = experimentFrom(found);
    return isSettled(spec, status);
  }

  function injectionsOf(name: string) {
    return view.injectionsOf(name).map(injectionFrom);
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
      const stream = new Readable({ read: () => undefined });
      const send = (event: string, data: object) =>
        stream.push(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      const alive = setInterval(() => stream.push(': still here\n\n'), keepAliveMs);
      const finish = () => {
        clearInterval(alive);
        unsubscribe();
        stream.push(null);
      };
      const abort = () => {
        const { reason } = signal;
        if (reason instanceof Refusal) send('refused', { code: reason.reason, detail: reason.message });
        finish();
      };
      const sendExperiment = () => {
        const found = view.experiment(name);
        if (found !== undefined)
          send('experiment', experimentAnswer(experimentFrom(found), injectionsOf(name)));
      };
      const sendEnd = () => {
        send('end', { name });
        finish();
      };
      const unsubscribe = subscribe(name, ({ kind, change }) => {
        if (kind === 'injection') send('injection', injectionAnswer(injectionFrom(change.object)));
        else if (change.type === 'deleted') sendEnd();
        else {
          sendExperiment();
          if (hasEnded(name)) sendEnd();
        }
      });
      signal.addEventListener('abort', abort, { once: true });
      sendExperiment();
      for (const injection of injectionsOf(name)) send('injection', injectionAnswer(injection));
      if (hasEnded(name)) sendEnd();
      return stream;
    },
  };
}
