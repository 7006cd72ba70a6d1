import { STATUS_CODES } from 'node:http';
import type { TSchema } from 'typebox';
import { type Reason, rowOf, statusOf } from '../../errors.ts';
import type { RouteAccess } from '../access.ts';
import { changes } from '../browsers.ts';
import type { AnswerDoc, RouteDoc } from './route.ts';
import { createSchemaBook, type SchemaBook } from './schemas.ts';

/** What a program says about itself in its document. */
export type ApiInfo = {
  readonly title: string;
  readonly version: string;
  /** Markdown. */
  readonly description: string;
  /** The groups of its operations, each with a sentence, in their order. */
  readonly tags: Readonly<Record<string, string>>;
  /** False: there is no gate, and nobody needs a token. */
  readonly hasGate: boolean;
  /** Path of the program’s own page, where `/` sends a browser; absent: there is none. */
  readonly page?: string;
  /** How every refusal is answered: media type and named schema. */
  readonly error: { readonly type: string; readonly schema: TSchema };
};

/** A route as it was registered, with what it is checked by. */
export type DocumentedRoute = {
  /** In capitals. */
  readonly method: string;
  /** As Fastify writes it: `/api/v1/nodes/:name`. */
  readonly url: string;
  readonly access: RouteAccess | undefined;
  readonly doc: RouteDoc;
  readonly schema: {
    readonly body?: unknown;
    readonly querystring?: unknown;
    readonly headers?: unknown;
    readonly params?: unknown;
  };
};

type Json = { readonly [member: string]: unknown };

/** What the shell itself may answer on any route. */
const always: readonly Reason[] = [
  'malformed_request',
  'host_unknown',
  'origin_refused',
  'method_not_allowed',
  'request_timeout',
  'headers_too_large',
  'internal',
];

/** Where something may be changed, and a body is read. */
const ofBodies: readonly Reason[] = ['body_too_large', 'media_type_unsupported'];

/** Where a gate asks who calls. */
const ofCallers: readonly Reason[] = [
  'unauthenticated',
  'permission_denied',
  'too_many_reviews',
  'cluster_unreachable',
];

const bearer = {
  type: 'http',
  scheme: 'bearer',
  description:
    'A token of the API server that is bound to the audience of this program, or that of `--token-file`; not asked for where neither is configured.',
};

const text = { type: 'string' };

/** The OpenAPI 3.1 document of a program, made of its routes and the very schemas that check its requests. Pure. */
export function createDocument(info: ApiInfo, routes: readonly DocumentedRoute[]): Json {
  const book = createSchemaBook();
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    const path = route.url.replaceAll(/:(\w+)/g, '{$1}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, info, book) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: info.title,
      version: info.version,
      description: info.description,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'Where this document came from' }],
    security: info.hasGate ? [{ bearer: [] }] : [{}, { bearer: [] }],
    tags: Object.entries(info.tags).map(([name, description]) => ({ name, description })),
    paths,
    components: { schemas: book.components(), securitySchemes: { bearer } },
  };
}

function operationOf(route: DocumentedRoute, info: ApiInfo, book: SchemaBook): Json {
  const { doc, schema, access } = route;
  const { body } = schema;
  const parameters = [
    ...parametersIn('path', schema.params, book),
    ...parametersIn('query', schema.querystring, book),
    ...parametersIn('header', schema.headers, book),
  ];
  const required = (body as { required?: readonly string[] } | undefined)?.required ?? [];
  const reasons = [
    ...always,
    ...(access === 'open' ? [] : ofCallers),
    ...(route.method === 'GET' ? [] : ofBodies),
    ...(doc.reasons ?? []),
  ];
  return {
    operationId: doc.id,
    tags: [doc.tag],
    summary: doc.summary,
    ...(doc.description === undefined ? {} : { description: doc.description }),
    ...(access === 'open' ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            // Nothing is changed without a content type, and so without a body (browsers.ts).
            required: required.length > 0 || changes(route.method, access),
            content: {
              'application/json': {
                schema: book.shown(body as object),
                ...(doc.examples === undefined ? {} : { examples: doc.examples }),
              },
            },
          },
        }),
    responses: {
      ...Object.fromEntries(
        Object.entries(doc.answers).map(([status, answer]) => [status, answerOf(answer, book)]),
      ),
      ...refusalsOf(reasons, info, book, doc.answers),
    },
  };
}

function parametersIn(
  place: 'path' | 'query' | 'header',
  schema: unknown,
  book: SchemaBook,
): readonly Json[] {
  const { properties = {}, required = [] } = (schema ?? {}) as {
    readonly properties?: Readonly<Record<string, object>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...shown } = book.shown(property);
    return {
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(description === undefined ? {} : { description }),
      schema: shown,
    };
  });
}

const everyAnswer = { 'x-request-id': 'the id of the request, that of its own header where it has one' };

function answerOf(
  { description, schema, type = 'application/json', others = {}, headers }: AnswerDoc,
  book: SchemaBook,
): Json {
  const bodies = Object.entries({ ...(schema === undefined ? {} : { [type]: schema }), ...others });
  return {
    description,
    headers: headersOf({ ...everyAnswer, ...headers }),
    ...(bodies.length === 0
      ? {}
      : {
          content: Object.fromEntries(bodies.map(([media, body]) => [media, { schema: book.shown(body) }])),
        }),
  };
}

function headersOf(headers: Readonly<Record<string, string>>): Json {
  return Object.fromEntries(
    Object.entries(headers).map(([name, description]) => [name, { description, schema: text }]),
  );
}

/** What headers a refusal may bring, by status. */
const refusalHeaders: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'www-authenticate': 'Bearer' },
  405: { allow: 'the methods of this path' },
  429: { 'retry-after': 'seconds, where it is known when there is room again' },
};

/** One answer for each status, which names the reasons behind it. */
function refusalsOf(
  reasons: readonly Reason[],
  info: ApiInfo,
  book: SchemaBook,
  answers: RouteDoc['answers'],
): Json {
  const byStatus = Map.groupBy([...new Set(reasons)], statusOf);
  return Object.fromEntries(
    [...byStatus]
      .filter(([status]) => !Object.hasOwn(answers, status))
      .map(([status, of]) => [
        status,
        answerOf(
          {
            description: `${STATUS_CODES[status]}. ${of.map((reason) => `\`${reason}\`: ${rowOf(reason).title}.`).join(' ')}`,
            schema: info.error.schema,
            type: info.error.type,
            headers: refusalHeaders[status] ?? {},
          },
          book,
        ),
      ]),
  );
}
