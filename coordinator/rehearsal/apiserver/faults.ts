import type { ServedKind } from './kinds.ts';
import type { Verb } from './requests.ts';
import { type StatusError, statusError } from './status-error.ts';
import type { Store } from './store.ts';
import type { Watches } from './watches.ts';

type Aim = {
  /** How many matching requests are hit; default 1. */
  readonly count?: number;
  readonly verb?: Verb;
  /** Plural name of a kind. */
  readonly resource?: string;
};

/** Requests that are answered with an error, as many as `count`. */
export type FailFault = Aim & {
  readonly code: number;
  readonly reason?: string;
  readonly message?: string;
  readonly retryAfterSeconds?: number;
};

/** Ways in which an API server disappoints, for tests and for rehearsals. */
export type Faults = {
  /** The next requests answer with this code and a Status. */
  failNext(fault: FailFault): void;
  /** The next requests lose their connection without an answer. */
  resetNext(aim?: Aim): void;
  /** Open watches lose their connection in the middle; returns how many. */
  cutWatches(resource?: string): number;
  /** Open watches end as if their time was over. */
  endWatches(resource?: string): number;
  /** Open watches stay connected and send nothing more; new ones work. */
  silenceWatches(resource?: string): number;
  /** The same, and so do new ones, until `clear`. */
  muteWatches(resource: string): number;
  /** Raw text into open watches: garbage, half lines, ERROR events. */
  sendToWatches(text: string, resource?: string): number;
  /** History up to this version (default: all of it) is forgotten: older watches and continued lists get 410. */
  compact(version?: string): void;
  /** Faults that were not used up are dropped. */
  clear(): void;
};

/** The faults that were ordered, and the ones that a request meets. */
export type FaultTaker = {
  readonly faults: Faults;
  /** What befalls this request, if anything. */
  take(verb: Verb, kind: ServedKind): 'reset' | StatusError | undefined;
};

type Pending = { left: number; readonly aim: Aim; readonly outcome: 'reset' | StatusError };

/** `forgetPages` expires the continue tokens of all lists. */
export function createFaults(deps: {
  readonly store: Store;
  readonly watches: Watches;
  readonly forgetPages: () => void;
}): FaultTaker {
  const { store, watches, forgetPages } = deps;
  let pending: readonly Pending[] = [];
  const add = (aim: Aim, outcome: Pending['outcome']) => {
    pending = [...pending, { left: aim.count ?? 1, aim, outcome }];
  };
  const each = (resource: string | undefined, act: (watch: ReturnType<Watches['open']>[number]) => void) => {
    const hit = watches.open().filter(({ plural }) => resource === undefined || plural === resource);
    for (const watch of hit) act(watch);
    return hit.length;
  };

  return {
    faults: {
      failNext: ({ code, reason = reasonOf(code), message, retryAfterSeconds, ...aim }) => {
        const details = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
        add(aim, statusError(code, reason, message ?? `the rehearsal answers ${code}`, details));
      },
      resetNext: (aim = {}) => add(aim, 'reset'),
      cutWatches: (resource) => each(resource, (watch) => watch.cut()),
      endWatches: (resource) => each(resource, (watch) => watch.end()),
      silenceWatches: (resource) => each(resource, (watch) => watch.silence()),
      muteWatches: (resource) => {
        watches.muted.add(resource);
        return each(resource, (watch) => watch.silence());
      },
      sendToWatches: (text, resource) => each(resource, (watch) => watch.send(text)),
      compact: (version) => {
        forgetPages();
        store.compact(version === undefined ? store.version() : Number(version));
      },
      clear: () => {
        pending = [];
        watches.muted.clear();
      },
    },
    take: (verb, kind) => {
      const hit = pending.find(
        ({ aim }) =>
          (aim.verb === undefined || aim.verb === verb) &&
          (aim.resource === undefined || aim.resource === kind.plural),
      );
      if (hit === undefined) return undefined;
      hit.left -= 1;
      pending = pending.filter(({ left }) => left > 0);
      return hit.outcome;
    },
  };
}

function reasonOf(code: number): string {
  const reasons: Readonly<Record<number, string>> = {
    401: 'Unauthorized',
    403: 'Forbidden',
    404: 'NotFound',
    409: 'Conflict',
    410: 'Expired',
    429: 'TooManyRequests',
    500: 'InternalError',
    503: 'ServiceUnavailable',
    504: 'Timeout',
  };
  return reasons[code] ?? 'Unknown';
}
