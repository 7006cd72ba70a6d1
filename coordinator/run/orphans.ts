import { isoFromMillis } from '../../shared/clock.ts';
import { messageFromUnknown } from '../../shared/errors.ts';
import { endedBy } from '../drill/cut-short.ts';
import { isConcluded } from '../drill/ended.ts';
import { isRestoring } from '../drill/restoring.ts';
import { injectionFrom } from '../store/store.ts';
import type { InjectionDriver } from './driver.ts';
import type { RunnerDeps } from './runner.ts';

/** The garbage collector of Kubernetes takes seconds; what it does not take (`--cascade=orphan`) is found at the next look. */
const everyMs = 60_000;

/**
 * Ends injections whose experiment is gone, which would keep their nodes busy for good: what is sustained is stopped, and each
 * gets a verdict. Looks at once and every minute of the clock, in the view; only what looks orphaned costs a request. Resolves
 * when the signal is aborted.
 */
export async function endOrphans(
  deps: Pick<RunnerDeps, 'store' | 'view' | 'clock' | 'log' | 'undo' | 'restorer'> & {
    readonly driver: Pick<InjectionDriver, 'end'>;
    /** An experiment that is being driven sees its own deletion. */
    readonly isDriven: (experiment: string) => boolean;
  },
  signal: AbortSignal,
): Promise<void> {
  const { store, view, clock, log } = deps;

  async function endOne(name: string, experiment: string): Promise<void> {
    // The view may be behind in either of them.
    if ((await store.readExperiment(experiment)) !== undefined) return;
    const injection = await store.readInjection(name);
    if (injection === undefined) return;
    if (isRestoring(injection.status)) return deps.restorer.cut(name, { isOfDrill: true });
    if (isConcluded(injection.status)) return;
    const at = isoFromMillis(clock.now());
    await deps.driver.end(
      injection,
      'aborted',
      (settled) =>
        endedBy(
          'experiment-gone',
          { metadata: { name: experiment } },
          { injection: settled, at, undo: deps.undo },
        ),
      signal,
    );
    log.warn({ injection: name, experiment, node: injection.spec.node }, 'its experiment is gone: ended');
  }

  while (!signal.aborted) {
    const known = new Set(view.all('experiments').map(({ metadata }) => metadata.name));
    const open = view
      .all('injections')
      .map(injectionFrom)
      .filter(({ status }) => !isConcluded(status) || isRestoring(status));
    for (const { metadata, spec } of open) {
      if (known.has(spec.experiment) || deps.isDriven(spec.experiment)) continue;
      await endOne(metadata.name, spec.experiment).catch((thrown: unknown) => {
        if (!signal.aborted)
          log.warn({ injection: metadata.name, because: messageFromUnknown(thrown) }, 'orphan not ended yet');
      });
    }
    await clock.sleep(everyMs, signal).catch(() => undefined);
  }
}
