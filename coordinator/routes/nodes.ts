import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import { exampleParameters, type Parameters } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { previewNode } from '../preview/preview.ts';
import { Explanation } from '../store/explanation.ts';
import type { Collector } from '../view/collect.ts';
import { conditionsOf, isReady, optInLabel, optInValue } from '../view/node.ts';
import type { View } from '../view/view.ts';
import { exampleOrder, knownFault, ParametersQuery, parametersFrom } from './faults.ts';
import { ObjectName } from './names.ts';

const Loose = Type.Record(Type.String(), Type.Unknown());

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
      config: { access: { verb: 'list', resource: 'nodes' } },
      schema: {
        summary: 'Nodes, whether they may be drilled, and their agents',
        response: { 200: Type.Object({ items: Type.Array(Loose), view: Type.Array(Loose) }) },
      },
    },
    async () => {
      await deps.ready();
      const items = await Promise.all(
        deps.view.all('nodes').map(async (node) => {
          const { name, labels = {} } = node.metadata;
          const condition = conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
          return {
            name,
            drillAllowed: labels[optInLabel] === optInValue,
            ready: isReady(node),
            architecture: labels['kubernetes.io/arch'] ?? null,
            instanceType: labels['node.kubernetes.io/instance-type'] ?? null,
            agent: (await deps.findAgent(name)) ?? null,
            acceleratedHardware: condition ?? null,
          };
        }),
      );
      return { items, view: deps.view.states().map((state) => ({ ...state })) };
    },
  );

  app.get<{ Params: { name: string }; Querystring: { fault?: string; parameters?: string } }>(
    '/api/v1/nodes/:name/preflight',
    {
      config: { access: { verb: 'get', resource: 'nodes', nameFrom: 'name' } },
      schema: {
        summary: 'Every link on this node, checked without injecting anything; what repair would do',
        params: Type.Object({ name: ObjectName(253) }),
        querystring: Type.Object(
          {
            fault: Type.Optional(
              Type.String({
                maxLength: 64,
                description: 'as before a drill of this fault: what blocks it here',
              }),
            ),
            parameters: Type.Optional(ParametersQuery),
          },
          { additionalProperties: false },
        ),
        response: {
          200: Type.Object({
            node: Type.String(),
            fault: Type.Union([Type.Object({ name: Type.String(), parameters: Loose }), Type.Null()], {
              description:
                'null: no fault was asked for, and what blocks only some faults says blocks: false',
            }),
            refusals: Type.Array(Loose, { description: 'why a drill of the fault would not come about' }),
            ok: Type.Boolean(),
            checks: Type.Array(Loose),
            blocking: Type.Union([Explanation, Type.Null()]),
            repair: Type.Array(Loose),
          }),
        },
      },
    },
    async (request) => {
      const { params, query } = request;
      const fault = faultFrom(query, deps.rows);
      const facts = await deps.collector.facts(params.name);
      const asked = fault && { spec: { fault }, ...exampleOrder, rows: deps.rows, orNone: true };
      const { checks, blocking, refusals, repair } = previewNode(facts, asked);
      return {
        node: params.name,
        fault: fault ?? null,
        ok: checks.every(({ result }) => result !== 'cause') && refusals.length === 0,
        refusals: refusals.map((refusal) => ({ ...refusal })),
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
