import type { FastifyInstance } from 'fastify';

/** `printRoutes` draws a tree: one line a segment, with the methods behind it where a route ends. */
export function registeredRoutes(app: FastifyInstance): readonly (readonly [method: string, path: string])[] {
  const tree = app.printRoutes({ commonPrefix: false, includeHooks: false });
  const path: string[] = [];
  return tree.split('\n').flatMap((line) => {
    const match = /^((?:[│ ] {3})*)[├└]── ([^ ]*)(?: \(([A-Z, ]+)\))?/.exec(line);
    if (match === null) return [];
    const [, indent = '', segment = '', methods = ''] = match;
    path.length = indent.length / 4;
    path.push(segment);
    const whole = path.join('').replaceAll(/:(\w+)/g, '{$1}');
    return methods
      .split(', ')
      .filter((method) => method !== '' && method !== 'HEAD')
      .map((method) => [method.toLowerCase(), whole] as const);
  });
}
