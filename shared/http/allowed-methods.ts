import type { FastifyInstance } from 'fastify';

/**
 * Remembers the routes of a server as they are registered. The function that it returns names the methods that a path takes:
 * none where no route has that path.
 */
export function collectMethods(app: FastifyInstance): (path: string) => readonly string[] {
  const routes: { readonly segments: readonly string[]; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    routes.push({ segments: url.split('/'), methods: [method].flat() });
  });
  return (path) => {
    const given = segmentsOf(path);
    const methods = routes
      .filter(({ segments }) => segments.length === given.length && segments.every(fits))
      .flatMap((route) => route.methods);
    return [...new Set(methods)].toSorted();

    function fits(segment: string, index: number): boolean {
      return segment.startsWith(':') || segment === given[index];
    }
  };
}

/** As the router reads it: the query cut off, each segment decoded by itself. */
function segmentsOf(path: string): readonly string[] {
  const [bare = ''] = path.split(/[?#]/);
  return bare.split('/').map((segment) => {
    try {
      return decodeURIComponent(segment);
    } catch {
      return segment;
    }
  });
}
