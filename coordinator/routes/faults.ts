import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import { notOffered } from '../catalogue/catalogue.ts';
import { describeFault } from '../catalogue/describe.ts';
import { exampleParameters, type Parameters, whyNoFault } from '../catalogue/parameters.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { previewTarget } from '../preview/preview.ts';
import type { Collector } from '../view/collect.ts';
import { faultDocs } from './fault-docs.ts';
import { ObjectName } from './names.ts';

/** The parameters of a fault in a query. */
export const ParametersQuery = Type.String({
  maxLength: 4096,
  contentMediaType: 'application/json',
  description: 'a JSON object, URL-encoded; what is required and missing is taken from the row’s example',
});

const FaultParams = Type.Object({
  name: Type.String({ maxLength: 64, description: 'a row of the catalogue' }),
});

const FaultQuery = Type.Object(
  {
    node: Type.Optional(ObjectName(253, 'plan the fault for this node as it is')),
    parameters: Type.Optional(ParametersQuery),
  },
  { additionalProperties: false },
);

/** Adds `/api/v1/faults` and `/api/v1/faults/NAME`. */
export function registerFaultRoutes(
  app: FastifyInstance,
  deps: {
    readonly rows: readonly FaultRow[];
    readonly collector: Collector;
    readonly ready: () => Promise<void>;
  },
): void {
  // The same for every request: versions and rows are data. Made when first asked for, which keeps the start short.
  const described = new Map<FaultRow, object>();
  const describe = (row: FaultRow): object => {
    const answer = described.get(row) ?? rowAnswer(row);
    described.set(row, answer);
    return answer;
  };

  app.get(
    '/api/v1/faults',
    {
      config: { access: { verb: 'list', resource: 'faults' }, doc: faultDocs.list },
    },
    async () => ({ items: deps.rows.map(describe), notOffered }),
  );

  app.get<{ Params: Static<typeof FaultParams>; Querystring: Static<typeof FaultQuery> }>(
    '/api/v1/faults/:name',
    {
      config: { access: { verb: 'get', resource: 'faults', nameFrom: 'name' }, doc: faultDocs.read },
      schema: { params: FaultParams, querystring: FaultQuery },
    },
    async (request) => {
      const { params, query } = request;
      const row = knownFault(params.name, deps.rows);
      const given = parametersFrom(query.parameters);
      if (query.node === undefined) {
        if (query.parameters === undefined) return describe(row);
        throw new Refusal('malformed_request', 'parameters: only goes with node, on which it is planned', {
          field: 'parameters',
          remedy: 'add node=NAME, or leave parameters out',
        });
      }
      // What a node has is not part of the catalogue.
      await request.admit({ verb: 'get', resource: 'nodes', name: query.node });
      await deps.ready();
      const facts = await deps.collector.facts(query.node);
      const fault = { name: row.name, parameters: { ...exampleParameters(row), ...given } };
      const plan = previewTarget(facts, {
        spec: { fault },
        ...exampleOrder,
        rows: [row],
        orNone: true,
      });
      return { ...describe(row), plan };
    },
  );
}

/** No order is given: these stand for the id and marker of one. */
export const exampleOrder = { orderId: 'example', marker: 'a1b2c3' } as const;

function rowAnswer(row: FaultRow): object {
  const { reactions, shownWith, ...shown } = describeFault(row);
  return { ...shown, example: shownWith, reacts: reactions };
}

/** Here the name is the address: an unknown one is not there. */
export function knownFault(name: string, rows: readonly FaultRow[]): FaultRow {
  const row = rows.find((candidate) => candidate.name === name);
  if (row !== undefined) return row;
  throw new Refusal('fault_missing', `name: ${whyNoFault(name, rows)}`, {
    field: 'name',
    value: name,
    allowed: rows.map((candidate) => candidate.name),
    remedy: 'GET /api/v1/faults lists them all',
  });
}

/** Parameters of a fault as a query has them: a JSON object. Refuses anything else with `malformed_request`. */
export function parametersFrom(text: string | undefined): Parameters {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Parameters;
  throw new Refusal('malformed_request', 'parameters: is no JSON object', {
    field: 'parameters',
    value: text,
    allowed: '{"name": value}, URL-encoded',
  });
}
