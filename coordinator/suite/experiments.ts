import { canonicalJson } from '../../shared/canonical-json.ts';
import { Refusal } from '../../shared/errors.ts';
import type { ExperimentSpec } from '../store/experiment.ts';
import { type Experiment, type Store, shortHash } from '../store/store.ts';
import type { PlannedDrill, Suite } from './file.ts';

/** On each Experiment that a suite created. */
export const suiteAnnotations = {
  suite: 'xidrill.dev/suite',
  run: 'xidrill.dev/suite-run',
  drill: 'xidrill.dev/suite-drill',
} as const;

/** Of an experiment's name (`ExperimentName`). */
const longestName = 52;
const hashLength = 8;

/** A run: `xidrill run FILE --run ID` goes on with it. */
export const runPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/**
 * The name of a drill's Experiment: the same for the same suite, drill and run, so that whoever was killed finds what he had created;
 * the hash keeps `a` of `b-c` from `a-b` of `c`, and long names unique.
 */
export function experimentName(suite: string, drill: string, run: string): string {
  const hash = shortHash(JSON.stringify([suite, drill, run]), hashLength);
  const words = `${suite}-${drill}`.slice(0, longestName - hashLength - 1).replace(/-+$/, '');
  return `${words}-${hash}`;
}

/** The annotations of a drill's Experiment. */
export function annotationsOf(
  suite: Suite,
  drill: PlannedDrill,
  run: string,
): Readonly<Record<string, string>> {
  return {
    [suiteAnnotations.suite]: suite.name,
    [suiteAnnotations.run]: run,
    [suiteAnnotations.drill]: drill.name,
  };
}

/**
 * Creates a drill's Experiment, or takes the one of this run that is there: created once, injected once. Refuses with
 * `object_exists` where that name is of another run or has another spec.
 */
export async function createOnce(
  store: Store,
  suite: Suite,
  drill: PlannedDrill,
  run: string,
): Promise<Experiment> {
  const name = experimentName(suite.name, drill.name, run);
  try {
    return await store.createExperiment(name, drill.spec, annotationsOf(suite, drill, run));
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason !== 'object_exists') throw thrown;
    const found = await store.requireExperiment(name);
    assertOurs(found, suite, drill, run);
    return found;
  }
}

/** Refuses with `object_exists` an Experiment that this run of the suite did not create as the file has it now. */
export function assertOurs(found: Experiment, suite: Suite, drill: PlannedDrill, run: string): void {
  const { name, annotations = {} } = found.metadata;
  const isOfRun = Object.entries(annotationsOf(suite, drill, run)).every(
    ([key, value]) => annotations[key] === value,
  );
  const isSame = digestOf(found.spec) === digestOf(drill.spec);
  if (isOfRun && isSame) return;
  throw new Refusal(
    'object_exists',
    isOfRun
      ? `experiment ${name} of run ${run} exists with another spec: the drill ${drill.name} was changed in the file since`
      : `experiment ${name} exists and is not of run ${run} of the suite ${suite.name}`,
    { field: 'name', value: name, remedy: 'choose another run with --run, or undo the change in the file' },
  );
}

/** What may be asked of one that runs makes no other drill of it. */
function digestOf({ abort: _abort, restoreRequest: _request, ...spec }: ExperimentSpec): string {
  return canonicalJson(spec);
}

/** The newest run of a suite among these experiments; undefined: there is none. */
export function newestRun(experiments: readonly Experiment[], suite: string): string | undefined {
  const ours = experiments
    .filter(({ metadata }) => metadata.annotations?.[suiteAnnotations.suite] === suite)
    .toSorted((left, right) => (createdAt(left) < createdAt(right) ? 1 : -1));
  return ours[0]?.metadata.annotations?.[suiteAnnotations.run];
}

function createdAt({ metadata }: Experiment): string {
  return metadata.creationTimestamp ?? '';
}
