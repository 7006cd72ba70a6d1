import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { open } from '../access.ts';
import { type ApiInfo, createDocument, type DocumentedRoute } from './document.ts';

/** What `/` answers to somebody who has nothing but the address. */
const Index = Type.Object(
  {
    program: Type.String(),
    version: Type.String(),
    routes: Type.Record(Type.String(), Type.String(), {
      description: 'by method and path, each with its summary; `/openapi.json` has the rest',
    }),
  },
  { $id: 'Index', additionalProperties: false },
);

/**
 * Serves `/openapi.json` and `/`, made of the routes that are registered after this and have a `doc`. Made when it is first asked for:
 * a program that nobody asks pays nothing. Who accepts HTML, as browsers do, is sent from `/` to the program’s page, where it has one.
 */
export function registerDocument(app: FastifyInstance, info: ApiInfo): void {
  const routes: DocumentedRoute[] = [];
  app.addHook('onRoute', ({ method, url, schema = {}, config }) => {
    // HEAD comes with each GET, and answers like it without a body.
    const [first] = [method].flat();
    if (config?.doc === undefined || first === undefined || first === 'HEAD') return;
    routes.push({ method: first, url, access: config.access, doc: config.doc, schema });
  });
  let document: string | undefined;
  const doc = {
    id: 'getOpenApi',
    tag: 'program',
    summary: 'This document',
    answers: { 200: { description: 'OpenAPI 3.1', schema: Type.Object({ openapi: Type.String() }) } },
  };
  app.get('/openapi.json', { config: { ...open, doc } }, async (_request, reply) => {
    document ??= JSON.stringify(createDocument(info, routes));
    return reply.type('application/json').send(document);
  });
  const index = {
    id: 'getIndex',
    tag: 'program',
    summary: 'What this is, and every route with a sentence',
    answers: { 200: { description: 'The program and its routes', schema: Index } },
  };
  app.get('/', { config: { ...open, doc: index } }, async ({ headers }, reply) => {
    void reply.header('vary', 'accept');
    if (info.page !== undefined && headers.accept?.includes('text/html') === true)
      return reply.redirect(info.page, 303);
    const summaries = routes.map(({ method, url, doc: { summary } }) => [`${method} ${url}`, summary]);
    const answer = { program: info.title, version: info.version, routes: Object.fromEntries(summaries) };
    return reply.type('application/json').send(`${JSON.stringify(answer, null, 2)}\n`);
  });
}
