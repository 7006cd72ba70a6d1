import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import type { RouteDoc } from '../../shared/http/openapi/route.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { KubeObject } from '../cluster/port.ts';
import type { Store } from '../store/store.ts';
import { Coverage, coverageOf, coverageStates } from './coverage.ts';

const Query = Type.Object(
  {
    fault: Type.Optional(Type.String({ maxLength: 64, description: 'only cells of this fault' })),
    state: Type.Optional(Type.Enum([...coverageStates], { description: 'only cells in this state' })),
  },
  { additionalProperties: false },
);

/** What the OpenAPI document says of the route. */
const coverageDoc: RouteDoc = {
  id: 'getCoverage',
  tag: 'experiments',
  summary: 'Each fault with each pool of nodes: when it was last proven there, how fast, or never',
  description:
    'From the experiments that are stored: what was removed by age or count (--keep-ended) counts no more. Pools come from the nodes that have a GPU or may be drilled.',
  answers: { 200: { description: 'The table', schema: Coverage } },
  reasons: ['cluster_unreachable'],
};

/** Adds `/api/v1/coverage`. */
export function registerCoverageRoute(
  app: FastifyInstance,
  deps: {
    readonly store: Store;
    readonly rows: readonly FaultRow[];
    readonly nodes: () => readonly KubeObject[];
    readonly ready: () => Promise<void>;
  },
): void {
  const { store } = deps;
  app.get<{ Querystring: Static<typeof Query> }>(
    '/api/v1/coverage',
    {
      config: {
        access: { resource: 'experiments', namespace: store.namespace, verb: 'list' },
        doc: coverageDoc,
      },
      schema: { querystring: Query },
    },
    async ({ query }) => {
      await deps.ready();
      const coverage = coverageOf({
        rows: deps.rows,
        nodes: deps.nodes(),
        injections: await store.listInjections(),
      });
      const cells = coverage.cells.filter(
        ({ fault, state }) => (query.fault ?? fault) === fault && (query.state ?? state) === state,
      );
      return { ...coverage, cells };
    },
  );
}
