import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Test } from 'tap';
import type { Cluster, KubeObject } from '../../coordinator/cluster/port.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import {
  ExperimentSpec,
  ExperimentStatus,
  InjectionSpec,
  InjectionStatus,
} from '../../coordinator/store/experiment.ts';
import { Refusal } from '../../shared/errors.ts';
import { established, removeDefinition } from './cluster.ts';
import { type Deviation, deviationsOf, type StoredSchema, valuesOf } from './stored-values.ts';

/** What a server made of a written value: what it stores, or the first field that it refuses it for. */
type Answer = { readonly stored: unknown } | { readonly refusedAt: string };

type Write = (value: unknown) => Promise<Answer>;

const parts = [
  { kind: 'Experiment', plural: 'experiments', part: 'spec', schema: ExperimentSpec },
  { kind: 'Experiment', plural: 'experiments', part: 'status', schema: ExperimentStatus },
  { kind: 'Injection', plural: 'injections', part: 'spec', schema: InjectionSpec },
  { kind: 'Injection', plural: 'injections', part: 'status', schema: InjectionStatus },
] as const;

/**
 * Whatever our own schemas allow is stored as it is, and what lies beyond them is refused, by every API server alike.
 * Values are made from the seed: the same one gives the same values. `runs` are for each of the four parts.
 */
export async function storedObjectsContract(
  t: Test,
  cluster: Cluster,
  { seed, runs }: { readonly seed: number; readonly runs: number },
): Promise<void> {
  for (const definition of customResourceDefinitions()) {
    await cluster.create('customresourcedefinitions', definition);
    await established(cluster, definition.metadata.name);
  }
  for (const row of parts) {
    await t.test(`${row.kind} ${row.part}, seed ${seed}`, async (t) => {
      const write = await writerOf(cluster, row, seed);
      const schema = row.schema as StoredSchema;
      await fc.assert(
        fc.asyncProperty(valuesOf(schema), async (value) =>
          assertAnswer('valid', value, { stored: value }, write),
        ),
        { seed, numRuns: runs, endOnFailure: true },
      );
      // Every deviation of a whole value, then of values made by chance.
      const whole = fc.sample(valuesOf(schema, 'all'), { seed, numRuns: 1 });
      const some = fc.sample(valuesOf(schema), { seed: seed + 1, numRuns: runs });
      const deviations = [
        ...whole.flatMap((value) => deviationsOf(schema, value, row.part)),
        ...some.flatMap((value, at) => {
          const all = deviationsOf(schema, value, row.part);
          const one = all[(seed + at * 31) % all.length];
          return one === undefined ? [] : [one];
        }),
      ];
      for (const { what, value, answer } of deviations) await assertAnswer(what, value, answer, write);
      t.ok(deviations.length > runs, `${deviations.length} deviations`);
    });
  }
  for (const { metadata } of customResourceDefinitions()) await removeDefinition(cluster, metadata.name);
}

async function assertAnswer(what: string, value: unknown, wanted: Deviation['answer'], write: Write) {
  const given = await write(value);
  if (isDeepStrictEqual(given, wanted)) return;
  const shown = (one: unknown) => JSON.stringify(one)?.slice(0, 1000);
  throw new Error(`${what}\nwritten ${shown(value)}\nwanted  ${shown(wanted)}\ngot     ${shown(given)}`);
}

async function writerOf(cluster: Cluster, row: (typeof parts)[number], seed: number): Promise<Write> {
  const { kind, plural, part } = row;
  const object = (name: string, spec: unknown): KubeObject => ({
    apiVersion: 'xidrill.dev/v1alpha1',
    kind,
    metadata: { name, namespace: 'default' },
    spec: spec as Record<string, unknown>,
  });
  if (part === 'spec') {
    let count = 0;
    return (value) => {
      count += 1;
      return answered(cluster.create(plural, object(`spec-${seed}-${count}`, value)), part);
    };
  }
  const specSchema = (kind === 'Experiment' ? ExperimentSpec : InjectionSpec) as unknown as StoredSchema;
  const [spec] = fc.sample(valuesOf(specSchema), { seed, numRuns: 1 });
  let current = await cluster.create(plural, object(`status-${seed}`, spec));
  return async (value) => {
    const written = cluster.replace(
      plural,
      { ...current, status: value as Record<string, unknown> },
      'status',
    );
    const answer = await answered(written, part);
    if ('stored' in answer) current = await written;
    return answer;
  };
}

async function answered(written: Promise<KubeObject>, part: 'spec' | 'status'): Promise<Answer> {
  try {
    return { stored: (await written)[part] };
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason !== 'object_invalid') throw thrown;
    return { refusedAt: String(thrown.details.field) };
  }
}
