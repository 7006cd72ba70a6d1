import type { FastifyRequest, RouteOptions } from 'fastify';

type QuerySchema = { readonly properties?: Readonly<Record<string, { readonly type?: unknown }>> };

/** A route without query parameters of its own takes none: a misspelt one must not be ignored. */
export function refuseUnknownQuery(route: RouteOptions): void {
  if (route.schema?.querystring !== undefined) return;
  route.schema = { ...route.schema, querystring: { type: 'object', additionalProperties: false } };
}

/**
 * A query is text: what the route's schema calls an integer becomes one where it is written as one, and stays as it is
 * otherwise, for the schema to refuse.
 */
export async function readNumbers(request: FastifyRequest): Promise<void> {
  const { properties = {} } = (request.routeOptions.schema?.querystring ?? {}) as QuerySchema;
  const query = request.query as Record<string, unknown>;
  for (const [name, { type }] of Object.entries(properties)) {
    const value = query[name];
    if (type === 'integer' && typeof value === 'string' && /^-?(0|[1-9][0-9]{0,14})$/.test(value))
      query[name] = Number(value);
  }
}
