import type { FastifyInstance } from 'fastify';
import type { Test } from 'tap';
import { createHttpAgents } from '../../../../coordinator/agents/http.ts';
import { createCoordinator } from '../../../../coordinator/app.ts';
import type { Cluster } from '../../../../coordinator/cluster/port.ts';
import { createView } from '../../../../coordinator/view/view.ts';
import { createSilentLog } from '../../../../shared/log.ts';
import { startRig } from '../../../agent/rig.ts';
import { createManualClock } from '../../../manual-clock.ts';

/** An OpenAPI document, as far as tests look into it. */
export type Document = {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
};

/** One operation of it. */
export type Operation = {
  readonly operationId: string;
  readonly summary: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Content>> };
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Content>> }>>;
};

type Content = {
  readonly schema: object;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
};

/** Both programs; the cluster of the coordinator is never asked. */
export async function bothPrograms(t: Test): Promise<Readonly<Record<string, FastifyInstance>>> {
  const cluster = {} as Cluster;
  const clock = createManualClock();
  const log = createSilentLog();
  const { app } = await createCoordinator({
    cluster,
    view: createView({ cluster, namespace: 'drills', clock, random: () => 0.5, log }),
    agents: createHttpAgents({ directory: async () => undefined }),
    namespace: 'drills',
    identity: 'i',
    leaseSeconds: 15,
    clock,
    random: () => 0.5,
    newName: () => 'made',
    log,
  });
  t.teardown(() => app.close());
  await app.ready();
  return { coordinator: app, agent: (await startRig(t)).app };
}

/** What the program serves. */
export async function documentOf(app: FastifyInstance): Promise<Document> {
  return (await app.inject('/openapi.json')).json();
}
