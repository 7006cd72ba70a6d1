import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import { exampleParameters, type Parameters } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { previewNode } from '../preview/preview.ts';
import type { Collector } from '../view/collect.ts';
import { overviewOf } from '../view/node.ts';
import type { View } from '../view/view.ts';
import { exampleOrder, knownFault, ParametersQuery, parametersFrom } from './faults.ts';
import { ObjectName } from './names.ts';
import { nodeDocs } from './node-docs.ts';

const NodeParams = Type.Object({ name: ObjectName(253) });

const PreflightQuery = Type.Object(
  {
    fault: Type.Optional(
      Type.String({ maxLength: 64, description: 'as before a drill of this fault: what blocks it here' }),
    ),
    parameters: Type.Optional(ParametersQuery),
  },
  { additionalProperties: false },
);

/** Adds `/api/v1/nodes` and the preflight of one node. */
export function registerNodeRoutes(
  app: FastifyInstance,
  deps: {
    readonly view: Pick<View, 'all' | 'states'>;
    readonly collector: Collector;
    /** The catalogue. */
    readonly rows: readonly FaultRow[];
    /** Where the agent of a node is; undefined: no agent is known for it. */
    readonly findAgent: (node: string) => Promise<string | undefined>;
    readonly ready: () => Promise<void>;
  },
): void {
  app.get(
    '/api/v1/nodes',
    {
      config: { access: { verb: 'list', resource: 'nodes' }, doc: nodeDocs.list },
    },
    async () => {
      await deps.ready();
      const items = await Promise.all(
        deps.view.all('nodes').map(async (node) => {
          const { name, drillAllowed, ready, instanceType, acceleratedHardware } = overviewOf(node);
          return {
            name,
            drillAllowed,
            ready,
            architecture: node.metadata.labels?.['kubernetes.io/arch'] ?? null,
            instanceType: instanceType ?? null,
            agent: (await deps.findAgent(name)) ?? null,
            acceleratedHardware: acceleratedHardware ?? null,
          };
        }),
      );
      return { items, view: deps.view.states().map((state) => ({ ...state })) };
    },
  );

  app.get<{ Params: Static<typeof NodeParams>; Querystring: Static<typeof PreflightQuery> }>(
    '/api/v1/nodes/:name/preflight',
    {
      config: { access: { verb: 'get', resource: 'nodes', nameFrom: 'name' }, doc: nodeDocs.preflight },
      schema: { params: NodeParams, querystring: PreflightQuery },
    },
    async (request) => {
      const { params, query } = request;
      const fault = faultFrom(query, deps.rows);
      const facts = await deps.collector.facts(params.name);
      const asked = fault && { spec: { fault }, ...exampleOrder, rows: deps.rows, orNone: true };
      const { checks, blocking, refusals, repair, confidence } = previewNode(facts, asked);
      return {
        node: params.name,
        fault: fault ?? null,
        ok: checks.every(({ result }) => result !== 'cause') && refusals.length === 0,
        refusals: refusals.map((refusal) => ({ ...refusal })),
        confidence: confidence ?? null,
        checks: checks.map((check) => ({ ...check })),
        blocking: blocking?.explanation ?? null,
        repair: repair.map((forecast) => ({ ...forecast })),
      };
    },
  );
}

/** The fault of a preflight, with the parameters of its example where they are required and missing. */
function faultFrom(
  { fault, parameters }: { readonly fault?: string; readonly parameters?: string },
  rows: readonly FaultRow[],
): { readonly name: string; readonly parameters: Parameters } | undefined {
  const given = parametersFrom(parameters);
  if (fault !== undefined) {
    const row = knownFault(fault, rows);
    return { name: row.name, parameters: { ...exampleParameters(row), ...given } };
  }
  if (parameters === undefined) return undefined;
  throw new Refusal('malformed_request', 'parameters: only goes with fault', {
    field: 'parameters',
    remedy: 'add fault=NAME, or leave parameters out',
  });
}
