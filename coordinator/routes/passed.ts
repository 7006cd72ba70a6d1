import type { FastifyInstance, FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import { isSettled } from '../drill/restoring.ts';
import type { Experiment, Store } from '../store/store.ts';
import { experimentAnswer } from './answers.ts';
import { experimentDocs } from './experiment-docs.ts';
import type { ExperimentFeed } from './feed.ts';
import { WaitHeaders, waitPreference } from './headers.ts';
import { ObjectName } from './names.ts';

/** What is needed to wait for the end of an experiment. */
type Waiting = { readonly store: Store; readonly feed: ExperimentFeed };

/** Holds an answer until the experiment has ended, for as long as the caller prefers to wait; the experiment as it is then. */
export async function awaitEnd(
  { store, feed }: Waiting,
  reply: FastifyReply,
  experiment: Experiment,
  waitSeconds: number,
): Promise<Experiment> {
  const { name, uid } = experiment.metadata;
  void reply.header('preference-applied', `wait=${waitSeconds}`);
  const gone = new AbortController();
  reply.raw.on('close', () => gone.abort());
  const limits = AbortSignal.any([AbortSignal.timeout(waitSeconds * 1000), gone.signal]);
  await feed.waitForEnd({ name, uid }, limits);
  // An hour may have gone by.
  await reply.request.admit();
  return store.requireExperiment(name);
}

const Name = Type.Object({ name: ObjectName(63) }, { additionalProperties: false });

/**
 * Adds `…/experiments/{name}/passed`: 200 where the drill has passed, else an error, for tools that judge by the status alone, such as
 * a StatusCheck of Chaos Mesh.
 */
export function registerPassedRoute(app: FastifyInstance, deps: Waiting): void {
  const { store } = deps;
  app.get<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name/passed',
    {
      config: {
        access: { resource: 'experiments', namespace: store.namespace, nameFrom: 'name', verb: 'get' },
        doc: experimentDocs.passed,
      },
      schema: { params: Name, headers: WaitHeaders },
    },
    async (request, reply) => {
      const { name } = request.params;
      const stored = await store.requireExperiment(name);
      const wait = waitPreference(request.headers.prefer);
      const experiment = wait === undefined ? stored : await awaitEnd(deps, reply, stored, wait);
      const { spec, status } = experiment;
      if (!isSettled(spec, status))
        throw new Refusal('experiment_running', `experiment ${name} has not ended`, {
          field: 'name',
          value: name,
          remedy: 'ask again, or with the header prefer: wait=300',
        });
      const { verdict = 'unknown', explanation } = status ?? {};
      if (verdict !== 'pass')
        throw new Refusal(
          'experiment_not_passed',
          `experiment ${name}: ${verdict}${explanation === undefined ? '' : `: ${explanation.summary}`}`,
          {
            field: 'name',
            value: name,
            remedy: `GET /api/v1/experiments/${name} has the explanation`,
          },
        );
      return experimentAnswer(experiment, await store.listInjections(name));
    },
  );
}
