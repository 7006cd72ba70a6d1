import type { FastifyInstance, FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { canonicalJson } from '../../shared/canonical-json.ts';
import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { Refusal, rowOf } from '../../shared/errors.ts';
import { untilRefused } from '../../shared/http/admission.ts';
import { Empty } from '../../shared/schemas/order.ts';
import { explainRequest } from '../drill/cut-short.ts';
import { isEnded } from '../drill/ended.ts';
import { isRestoreComing, isSettled, nextRequest } from '../drill/restoring.ts';
import type { ExperimentPreview } from '../preview/experiment.ts';
import { ExperimentRequest, type ExperimentSpec } from '../store/experiment.ts';
import { type Experiment, type Store, seedFromName, shortHash } from '../store/store.ts';
import { type ExperimentAnswer, experimentAnswer, injectionAnswer, sendTagged } from './answers.ts';
import { experimentDocs } from './experiment-docs.ts';
import type { ExperimentFeed } from './feed.ts';
import {
  CreationHeaders,
  CreationQuery,
  ReadHeaders,
  TagHeaders,
  WaitHeaders,
  waitPreference,
} from './headers.ts';
import { type ExperimentList, type Listed, ListQuery, pageOf } from './listing.ts';
import { ObjectName } from './names.ts';
import { awaitEnd, registerPassedRoute } from './passed.ts';

/** What the routes of experiments read and write through. */
export type ExperimentRouteDeps = {
  readonly store: Store;
  /** Refuses what no run could carry out on the cluster as it is now. */
  readonly check: (experiment: Asked) => Promise<unknown>;
  /** What a run would do, for `dryRun=All`; refuses as `check` does. */
  readonly preview: (experiment: Asked) => Promise<ExperimentPreview>;
  readonly feed: ExperimentFeed;
  readonly newName: () => string;
  /** Refuses with `restore_disabled` where nodes may not be restored. */
  readonly assertRestores: () => void;
  readonly ready: () => Promise<void>;
  readonly clock: Clock;
};

type Asked = Pick<Experiment, 'metadata' | 'spec'>;

const keyAnnotation = 'xidrill.dev/idempotency-key';
const bodyAnnotation = 'xidrill.dev/request';

const Name = Type.Object({ name: ObjectName(63) }, { additionalProperties: false });

/** Adds `/api/v1/experiments` and all below it. */
export function registerExperimentRoutes(app: FastifyInstance, deps: ExperimentRouteDeps): void {
  const respond = createResponder(deps);
  registerCreation(app, deps, respond);
  registerReads(app, deps, respond);
  registerPassedRoute(app, deps);
  registerEnding(app, deps, respond);
  registerRestore(app, deps, respond);
}

type Respond = (
  reply: FastifyReply,
  experiment: Experiment,
  waitSeconds: number | undefined,
  created: boolean,
) => Promise<FastifyReply>;

const accessTo = ({ namespace }: Store) => ({ resource: 'experiments', namespace });

const accessToOne = (store: Store) => ({ ...accessTo(store), nameFrom: 'name' });

function createResponder({ store, feed }: ExperimentRouteDeps): Respond {
  async function answer(experiment: Experiment): Promise<ExperimentAnswer> {
    return experimentAnswer(experiment, await store.listInjections(experiment.metadata.name));
  }

  /** Holds the answer until the experiment has ended, for as long as the caller prefers to wait. */
  return async function respond(
    reply: FastifyReply,
    experiment: Experiment,
    waitSeconds: number | undefined,
    created: boolean,
  ) {
    const { name } = experiment.metadata;
    let latest = experiment;
    if (waitSeconds !== undefined) latest = await awaitEnd({ store, feed }, reply, experiment, waitSeconds);
    void reply.header('location', `/api/v1/experiments/${name}`);
    const status = created && !isSettled(latest.spec, latest.status) ? 202 : 200;
    return sendTagged(reply.code(status), await answer(latest));
  };
}

/** POST: a dry run shows, everything else creates. */
function registerCreation(app: FastifyInstance, deps: ExperimentRouteDeps, respond: Respond): void {
  const { store } = deps;
  const rule = accessTo(store);

  app.post<{ Body: ExperimentRequest; Querystring: CreationQuery; Headers: CreationHeaders }>(
    '/api/v1/experiments',
    {
      config: { access: { ...rule, verb: 'create' }, doc: experimentDocs.create },
      schema: { body: ExperimentRequest, headers: CreationHeaders, querystring: CreationQuery },
    },
    async (request, reply) => {
      const waitSeconds = waitPreference(request.headers.prefer);
      const key = request.headers['idempotency-key'];
      await deps.ready();
      const { name: asked, ...given } = request.body;
      const spec = asked === undefined ? withSeed(given) : given;
      const name = asked ?? (key === undefined ? deps.newName() : `drill-${shortHash(key, 10)}`);
      const isDryRun = request.query.dryRun === 'All';
      const earlier = key === undefined ? undefined : await earlierWith(key, name);
      if (key !== undefined && earlier !== undefined) {
        assertSameRequest(earlier, key, request.body);
        if (!isDryRun) return respond(reply, earlier, waitSeconds, true);
      }
      const planned = { metadata: { name }, spec };
      if (isDryRun) {
        const plan = await explained(deps.clock, () => deps.preview(planned));
        if (earlier === undefined && (await store.readExperiment(name)) !== undefined) throw nameTaken(name);
        return reply.send({ kind: 'Plan', dryRun: 'All', ...plan });
      }
      await explained(deps.clock, () => deps.check(planned));
      return respond(reply, await createOnce(name, spec, key, request.body), waitSeconds, true);
    },
  );

  /** The experiment that was made with this key, whatever its name. */
  async function earlierWith(key: string, name: string): Promise<Experiment | undefined> {
    const named = await store.readExperiment(name);
    if (named !== undefined && isOfKey(named, key)) return named;
    return (await store.listExperiments()).find((experiment) => isOfKey(experiment, key));
  }

  /** Two requests with the same key at the same time: the second finds the object of the first. */
  async function createOnce(
    name: string,
    spec: ExperimentSpec,
    key: string | undefined,
    body: ExperimentRequest,
  ): Promise<Experiment> {
    const annotations =
      key === undefined ? {} : { [keyAnnotation]: shortHash(key, 32), [bodyAnnotation]: hashOf(body) };
    try {
      return await store.createExperiment(name, spec, annotations);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'object_exists') throw thrown;
      if (key === undefined) throw nameTaken(name);
      const winner = await store.requireExperiment(name);
      if (!isOfKey(winner, key)) throw nameTaken(name);
      assertSameRequest(winner, key, body);
      return winner;
    }
  }
}

function registerReads(app: FastifyInstance, { store, feed }: ExperimentRouteDeps, respond: Respond): void {
  const rule = accessTo(store);
  const ofOne = accessToOne(store);

  app.get<{ Querystring: ListQuery }>(
    '/api/v1/experiments',
    {
      config: { access: { ...rule, verb: 'list' }, doc: experimentDocs.list },
      schema: { querystring: ListQuery, headers: TagHeaders },
    },
    async ({ query }, reply) => {
      const [experiments, injections] = await Promise.all([store.listExperiments(), store.listInjections()]);
      const ofExperiment = Map.groupBy(injections, ({ spec }) => spec.experiment);
      const { page, next, remaining } = pageOf(experiments.map(listed), query);
      const items = page.map(({ experiment }) => {
        const answer = experimentAnswer(experiment, ofExperiment.get(experiment.metadata.name) ?? []);
        if (query.form !== 'short') return answer;
        const { injections: _injections, causes: _causes, skipped: _skipped, ...short } = answer;
        return { ...short, kind: 'ShortExperiment' as const };
      });
      return sendTagged(reply, { items, continue: next, remaining } satisfies ExperimentList);
    },
  );

  app.get<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name',
    {
      config: { access: { ...ofOne, verb: 'get' }, doc: experimentDocs.read },
      schema: { params: Name, headers: ReadHeaders },
    },
    async (request, reply) => {
      const waitSeconds = waitPreference(request.headers.prefer);
      return respond(reply, await store.requireExperiment(request.params.name), waitSeconds, false);
    },
  );

  app.get<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name/injections',
    {
      config: { access: { ...ofOne, verb: 'get' }, doc: experimentDocs.injections },
      schema: { params: Name },
    },
    async (request) => {
      const experiment = await store.requireExperiment(request.params.name);
      const injections = await store.listInjections(experiment.metadata.name);
      return { items: injections.map(injectionAnswer) };
    },
  );

  app.get<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name/events',
    {
      config: { access: { ...ofOne, verb: 'get' }, doc: experimentDocs.follow },
      schema: { params: Name },
    },
    async (request, reply) => {
      const experiment = await store.requireExperiment(request.params.name);
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      untilRefused(request, gone.signal, (refusal) => gone.abort(refusal));
      return reply
        .type('text/event-stream')
        .header('cache-control', 'no-cache')
        .send(feed.stream(experiment.metadata.name, gone.signal));
    },
  );
}

function registerEnding(app: FastifyInstance, { store }: ExperimentRouteDeps, respond: Respond): void {
  const ofOne = accessToOne(store);

  app.delete<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name',
    {
      config: { access: { ...ofOne, verb: 'delete' }, doc: experimentDocs.remove },
      schema: { params: Name },
    },
    async ({ params: { name } }, reply) => {
      const experiment = await store.requireExperiment(name);
      if (!isSettled(experiment.spec, experiment.status)) {
        const what = isEnded(experiment.status) ? 'is being restored' : 'has not ended';
        throw new Refusal('experiment_running', `experiment ${name} ${what}`, {
          field: 'name',
          value: name,
          remedy: `POST /api/v1/experiments/${name}/abort, then delete it`,
        });
      }
      await store.deleteExperiment(name);
      return reply.code(204).send();
    },
  );

  app.post<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name/abort',
    {
      config: { access: { ...ofOne, verb: 'update' }, doc: experimentDocs.abort },
      schema: { params: Name, headers: WaitHeaders, body: Empty },
    },
    async (request, reply) => {
      const experiment = await store.requireExperiment(request.params.name);
      if (isEnded(experiment.status)) {
        if (experiment.spec.abort === true) return respond(reply, experiment, undefined, false);
        throw new Refusal(
          'experiment_ended',
          `experiment ${request.params.name} has ended with verdict ${experiment.status?.verdict ?? 'unknown'}`,
          {
            field: 'name',
            value: request.params.name,
          },
        );
      }
      return respond(
        reply,
        await store.abortExperiment(request.params.name),
        waitPreference(request.headers.prefer),
        true,
      );
    },
  );
}

function registerRestore(
  app: FastifyInstance,
  { store, assertRestores }: ExperimentRouteDeps,
  respond: Respond,
): void {
  app.post<{ Params: Static<typeof Name> }>(
    '/api/v1/experiments/:name/restore',
    {
      config: { access: { ...accessToOne(store), verb: 'update' }, doc: experimentDocs.restore },
      schema: { params: Name, headers: WaitHeaders, body: Empty },
    },
    async (request, reply) => {
      const { name } = request.params;
      const waitSeconds = waitPreference(request.headers.prefer);
      const { metadata, spec, status } = await store.requireExperiment(name);
      assertRestores();
      if (isRestoreComing(spec, status)) return respond(reply, { metadata, spec, status }, waitSeconds, true);
      const requested = await store.requestRestore(name, nextRequest(spec, status));
      return respond(reply, requested, waitSeconds, true);
    },
  );
}

/**
 * Without a name there is nothing that the seed could follow from but the request: its dry run picks the nodes that the drill
 * picks then.
 */
function withSeed(spec: ExperimentSpec): ExperimentSpec {
  if (spec.target?.seed !== undefined) return spec;
  return { ...spec, target: { ...spec.target, seed: seedFromName(canonicalJson(spec)) } };
}

/** What the list is filtered and ordered by. */
function listed(experiment: Experiment): Listed & { readonly experiment: Experiment } {
  const { metadata, spec, status } = experiment;
  return {
    experiment,
    name: metadata.name,
    createdAt: metadata.creationTimestamp ?? '',
    fault: spec.fault.name,
    phase: status?.phase ?? 'Pending',
    verdict: status?.verdict,
    nodes: status?.selected ?? [],
  };
}

/** A refused request is told as an ended drill would be: cause, evidence, next step. */
async function explained<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || rowOf(thrown.reason).mayPass) throw thrown;
    const explanation = explainRequest(thrown, { source: 'request body', at: isoFromMillis(clock.now()) });
    throw new Refusal(thrown.reason, thrown.message, { ...thrown.details, explanation }, thrown);
  }
}

function isOfKey({ metadata }: Experiment, key: string): boolean {
  return metadata.annotations?.[keyAnnotation] === shortHash(key, 32);
}

function nameTaken(name: string): Refusal {
  return new Refusal('object_exists', `name: an experiment "${name}" exists`, {
    field: 'name',
    value: name,
    remedy: 'choose another name, or leave it out',
  });
}

function assertSameRequest(earlier: Experiment, key: string, body: ExperimentRequest): void {
  if (isOfKey(earlier, key) && earlier.metadata.annotations?.[bodyAnnotation] === hashOf(body)) return;
  throw new Refusal(
    'idempotency_key_reused',
    `header idempotency-key: used before with another body (experiment ${earlier.metadata.name})`,
    {
      field: 'idempotency-key',
      remedy: 'a new experiment needs a new key',
    },
  );
}

/** Key order does not make another request. */
function hashOf(body: unknown): string {
  return shortHash(canonicalJson(body), 32);
}
