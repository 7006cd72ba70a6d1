type Document = { paths?: object; components?: object };

/** What the server's shell serves before any route of ours is known. */
const shell: Readonly<Record<string, readonly [summary: string, type: string]>> = {
  '/healthz': ['The process lives', 'text/plain'],
  '/readyz': ['It has seen the cluster; 503 with the reason while it has not', 'text/plain'],
  '/metrics': ['Prometheus metrics', 'text/plain'],
  '/openapi.json': ['This document', 'application/json'],
};

const problem = {
  description: 'What was wrong, as an RFC 9457 problem document',
  content: {
    'application/problem+json': {
      schema: {
        type: 'object',
        required: ['type', 'title', 'status', 'detail', 'code'],
        properties: {
          type: { type: 'string' },
          title: { type: 'string' },
          status: { type: 'integer' },
          detail: { type: 'string' },
          instance: { type: 'string' },
          code: { type: 'string', description: 'stable name of what was wrong' },
          requestId: { type: 'string' },
          remedy: { type: 'string' },
          errors: {
            type: 'array',
            description: 'one entry for each field that is wrong',
            items: {
              type: 'object',
              required: ['field', 'message'],
              properties: { field: { type: 'string' }, message: { type: 'string' } },
            },
          },
        },
      },
    },
  },
};

/** Errors of every operation: the status is in the document as well. */
const problems = {
  '4XX': { $ref: '#/components/responses/Problem' },
  default: { $ref: '#/components/responses/Problem' },
};

/** Outside a cluster, without a gate, no token is asked for; `/openapi.json` is the same then. */
const bearer = {
  type: 'http',
  scheme: 'bearer',
  description:
    'a token of the API server that is bound to the audience of this program, or that of --token-file',
};

type Operation = { readonly responses?: object };

/**
 * The generated document with what the generator cannot know: the shell's routes, a stable id of each operation, how errors
 * look, and who is let in.
 */
export function completed<T extends Document>(document: T): T {
  const paths = (document.paths ?? {}) as Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  const described = Object.entries(paths).map(([path, operations]) => [
    path,
    Object.fromEntries(
      Object.entries(operations).map(([method, operation]) => [
        method,
        {
          operationId: operationIdOf(method, path),
          ...operation,
          responses: { ...operation.responses, ...problems },
        },
      ]),
    ),
  ]);
  const own = Object.entries(shell).map(([path, [summary, type]]) => [
    path,
    {
      get: {
        operationId: operationIdOf('get', path),
        summary,
        security: [],
        responses: { 200: { description: 'OK', content: { [type]: {} } }, ...problems },
      },
    },
  ]);
  return {
    ...document,
    servers: [{ url: '/', description: 'where this document came from' }],
    security: [{ bearer: [] }],
    paths: Object.fromEntries([...described, ...own]),
    components: {
      ...document.components,
      responses: { Problem: problem },
      securitySchemes: { bearer },
    },
  };
}

/** `get /api/v1/nodes/{name}/preflight` is `getNodesByNamePreflight`. */
function operationIdOf(method: string, path: string): string {
  const words = path
    .replace('/api/v1/', '/')
    .split(/[/.]/)
    .filter((word) => word !== '')
    .map((word) => {
      const bare = word.replace(/^\{(.*)\}$/, '$1');
      const capital = `${bare.charAt(0).toUpperCase()}${bare.slice(1)}`;
      return bare === word ? capital : `By${capital}`;
    });
  return `${method}${words.join('')}`;
}
