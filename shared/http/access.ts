import type { Access } from './gate.ts';

/** Who may call a route: anybody, or who may do this. `nameFrom` is the path parameter with the object's name. */
export type RouteAccess = 'open' | (Access & { readonly nameFrom?: string });

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: RouteAccess;
  }
}

/** For routes that tell nothing about the cluster. */
export const open = { access: 'open' } as const;

/** A route without an access rule is a defect of ours, and ends the program before it listens. */
export function assertHasAccess(route: {
  readonly method: string | readonly string[];
  readonly url: string;
  readonly config?: { readonly access?: RouteAccess };
}): void {
  if (route.config?.access !== undefined) return;
  throw new Error(`${[route.method].flat().join(', ')} ${route.url} has no access rule`);
}

/** What one request to the route does. */
export function accessOf(rule: Exclude<RouteAccess, 'open'>, params: unknown): Access {
  const { nameFrom, ...access } = rule;
  if (nameFrom === undefined) return access;
  return { ...access, name: String((params as Readonly<Record<string, unknown>>)[nameFrom]) };
}
