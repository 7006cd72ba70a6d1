type Document = { paths?: object };

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

/** The generated document with what the generator cannot know: the shell's routes, and how errors look. */
export function completed<T extends Document>(document: T): T {
  const paths = { ...document.paths } as Record<string, Record<string, { responses?: object }>>;
  const described = Object.entries(paths).map(([path, operations]) => [
    path,
    Object.fromEntries(
      Object.entries(operations).map(([method, operation]) => [
        method,
        { ...operation, responses: { ...operation.responses, default: problem } },
      ]),
    ),
  ]);
  const own = Object.entries(shell).map(([path, [summary, type]]) => [
    path,
    { get: { summary, responses: { 200: { description: 'OK', content: { [type]: {} } } } } },
  ]);
  return { ...document, paths: Object.fromEntries([...described, ...own]) };
}
