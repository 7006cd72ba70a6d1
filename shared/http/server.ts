import { randomUUID } from 'node:crypto';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import Type from 'typebox';
import {
  messageFromUnknown,
  type Reason,
  Refusal,
  type RpcCode,
  reasons,
  rpcCodes,
  statusOf,
} from '../errors.ts';
import type { Log } from '../log.ts';
import { assertHasAccess, open } from './access.ts';
import { registerAdmission } from './admission.ts';
import { collectMethods } from './allowed-methods.ts';
import { registerBrowserRules } from './browsers.ts';
import type { Gate } from './gate.ts';
import type { ApiInfo } from './openapi/document.ts';
import { registerDocument } from './openapi/register.ts';
import { answerParserErrors } from './parser-errors.ts';
import { readNumbers, refuseUnknownQuery } from './queries.ts';
import { refusalFromFastify } from './request-faults.ts';
import { type ServerTls, tlsServerOptions } from './tls.ts';

/** How an error leaves: Connect's JSON on the agent, RFC 9457 problem documents on the coordinator. */
export type ErrorFormat = (
  refusal: Refusal,
  /** `url` is undefined where the request could not even be parsed; `accept` is the header, absent where it has none. */
  request: { readonly id: string; readonly url: string | undefined; readonly accept?: string | undefined },
) => {
  readonly type: string;
  /** A text is sent as it is, an object as JSON. */
  readonly body: object | string;
};

/** How a server logs, answers errors, and whom it lets in. */
export type ServerOptions = {
  readonly log: Log;
  readonly formatError: ErrorFormat;
  /** For `/openapi.json` and `/`; absent: there is neither. */
  readonly api?: Omit<ApiInfo, 'hasGate'>;
  /** Who is let in, by the rule of the route; absent: everybody. */
  readonly gate?: Gate;
  /** Names by which it may be called beside loopback and its own address; counts with a gate only. */
  readonly hosts?: readonly string[];
  /** Absent: plain HTTP. */
  readonly tls?: ServerTls;
  /** Larger bodies are refused with 413; absent: 64 KiB. */
  readonly bodyLimitBytes?: number;
  /** What `/readyz` says beside, in a line of its own, ready or not; undefined: nothing. */
  readonly notice?: () => string | undefined;
  /** Not ready, because …; undefined: ready. */
  readonly notReady?: () => string | undefined;
};

/** A Fastify app with health, metrics and OpenAPI routes, not yet listening; `metrics` takes further ones. */
export type Server = {
  readonly app: FastifyInstance;
  readonly metrics: Registry;
};

const defaultBodyLimit = 64 * 1024;

/** For a request to arrive in full; a stream that is answered may last as long as it likes. */
const requestTimeoutMs = 30_000;

/** Node's own limit for all headers together: no path parameter can be longer. */
const longestHeaders = 16 * 1024;

/**
 * The shell of both programs: strict validation (nothing is coerced, removed or filled in), one error format, request
 * ids, limits, `/healthz`, `/readyz`, `/metrics`. Routes come from the caller, and each says who may call it.
 */
export function createServer(options: ServerOptions): Server {
  const { log, formatError } = options;
  const app = Fastify({
    ...(options.tls === undefined ? {} : tlsServerOptions(options.tls, log)),
    bodyLimit: options.bodyLimitBytes ?? defaultBodyLimit,
    genReqId: (request) => shortText(request.headers['x-request-id']) ?? randomUUID(),
    // Node would answer HTTP/1.1 without `Host` by itself, without a body.
    http: { requireHostHeader: false },
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
    // The router's own limit of 100 answers a node's name of 253 characters with 404.
    routerOptions: { maxParamLength: longestHeaders },
    clientErrorHandler: answerParserErrors(formatError, randomUUID),
    // What the router cannot even read comes past the hooks and the error handler.
    frameworkErrors: (thrown, request, reply) => {
      void reply.header('x-request-id', request.id);
      void send(request, reply, refusalFromFastify(thrown));
    },
    ajv: {
      customOptions: {
        removeAdditional: false,
        coerceTypes: false,
        useDefaults: false,
        allErrors: true,
        // Each fault brings its schema along, so that the answer can use the words of its description.
        verbose: true,
      },
    },
  });
  // Node would take the larger of the two, 60 s, for both.
  app.server.headersTimeout = requestTimeoutMs;
  // An `Expect` that we do not know is ignored, as RFC 9110 (10.1.1) allows, where Node would answer without a body.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRoute', assertHasAccess);
  app.addHook('onRoute', refuseUnknownQuery);
  const methodsOf = collectMethods(app);
  if (options.api !== undefined)
    registerDocument(app, { ...options.api, hasGate: options.gate !== undefined });
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });

  function send(
    request: Pick<FastifyRequest, 'id' | 'url' | 'headers'>,
    reply: Pick<FastifyReply, 'code' | 'header'>,
    refusal: Refusal,
  ): FastifyReply {
    if (refusal.code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer');
    const { retryAfterSeconds } = refusal.details;
    if (typeof retryAfterSeconds === 'number') void reply.header('retry-after', String(retryAfterSeconds));
    const { accept } = request.headers;
    const { type, body } = formatError(refusal, { id: request.id, url: request.url, accept });
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return reply.code(statusOf(refusal.reason)).type(type).send(text);
  }

  const requests = new Counter({
    name: 'xidrill_http_requests_total',
    help: 'Requests by route and status',
    labelNames: ['route', 'status'],
    registers: [metrics],
  });

  app.setErrorHandler((thrown: FastifyError | Refusal, request, reply) => {
    const refusal = refusalFromFastify(thrown);
    if (refusal.reason === 'internal')
      log.error({ err: thrown, requestId: request.id, path: pathOf(request.url) }, 'request failed');
    return send(request, reply, refusal);
  });
  function sendNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const asked = `${request.method} ${request.url}`;
    const allowed = methodsOf(request.url);
    if (allowed.length === 0 || allowed.includes(request.method)) {
      return send(
        request,
        reply,
        new Refusal('method_unknown', `${asked}: no such method or route`, { field: 'path', value: asked }),
      );
    }
    void reply.header('allow', allowed.join(', '));
    return send(
      request,
      reply,
      new Refusal('method_not_allowed', `${asked}: this path takes ${allowed.join(', ')} only`, {
        field: 'method',
        value: request.method,
        allowed,
      }),
    );
  }
  app.setNotFoundHandler(sendNotFound);
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
  });
  registerBrowserRules(app, { hasGate: options.gate !== undefined, names: options.hosts ?? [] });
  // Before a body is read: an unknown method may have one that nobody can.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return sendNotFound(request, reply);
  });
  registerAdmission(app, options.gate);
  app.addHook('onResponse', async (request, reply) => {
    requests.inc({ route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) });
    log.debug(
      {
        requestId: request.id,
        method: request.method,
        path: pathOf(request.url),
        status: reply.statusCode,
        ms: reply.elapsedTime,
      },
      'request',
    );
  });

  registerBodies(app);
  app.addHook('preValidation', readNumbers);
  registerProbes(app, metrics, options);

  return { app, metrics };
}

/** `/healthz`, `/readyz`, `/metrics`: open to everybody, in plain text. */
function registerProbes(
  app: FastifyInstance,
  metrics: Registry,
  { notReady, notice }: Pick<ServerOptions, 'notReady' | 'notice'>,
): void {
  const plain = (description: string) => ({ description, schema: Type.String(), type: 'text/plain' });
  const tag = 'program';
  const healthz = {
    id: 'getHealth',
    tag,
    summary: 'Whether the process lives',
    answers: { 200: plain('It does') },
  };
  app.get('/healthz', { config: { ...open, doc: healthz } }, async (_request, reply) =>
    reply.type('text/plain').send('ok\n'),
  );
  const readyz = {
    id: 'getReadiness',
    tag,
    summary: 'Whether it can do its work',
    answers: { 200: plain('It can'), 503: plain('Not yet or no longer, with the reason') },
  };
  app.get('/readyz', { config: { ...open, doc: readyz } }, async (_request, reply) => {
    const because = notReady?.();
    const said = notice?.();
    const beside = said === undefined ? '' : `${said}\n`;
    if (because === undefined) return reply.type('text/plain').send(`ok\n${beside}`);
    return reply.code(503).type('text/plain').send(`not ready: ${because}\n${beside}`);
  });
  const readMetrics = {
    id: 'getMetrics',
    tag,
    summary: 'Metrics of Prometheus',
    answers: { 200: plain('Its text format') },
  };
  app.get('/metrics', { config: { ...open, doc: readMetrics } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );
}

/** How bodies are read: JSON and nothing else. */
function registerBodies(app: FastifyInstance): void {
  // An empty body of an argument-less call is the empty message, whatever its content type says.
  app.addHook('preValidation', async (request) => {
    if (request.body === undefined && request.method === 'POST') request.body = {};
  });
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    if (text === '') return done(null, {});
    try {
      done(null, JSON.parse(text as string));
    } catch (thrown) {
      done(
        new Refusal('malformed_request', `body: not JSON: ${messageFromUnknown(thrown)}`, { field: 'body' }),
      );
    }
  });
}

/** An error of Connect's unary protocol over JSON (connectrpc.com/docs/protocol#error-end-stream). */
export const ConnectError = Type.Object(
  {
    code: Type.Enum(Object.keys(rpcCodes) as RpcCode[], { description: 'of Connect' }),
    message: Type.String({ description: 'for people' }),
    details: Type.Object(
      {
        reason: Type.Enum(Object.keys(reasons) as Reason[], { description: 'stable; for scripts' }),
        field: Type.Optional(Type.String({ description: 'of the request, where one is wrong' })),
        value: Type.Optional(Type.Unknown({ description: 'what it was' })),
        allowed: Type.Optional(Type.Unknown({ description: 'what would have been right' })),
        remedy: Type.Optional(Type.String({ description: 'the next step' })),
      },
      { additionalProperties: true, description: 'the reason and its facts' },
    ),
  },
  { $id: 'Error' },
);

/** `{code, message, details}` with Connect's codes and statuses: a Connect unary JSON client can call it. */
export const formatConnectError: ErrorFormat = (refusal) => ({
  type: 'application/json',
  body: {
    code: refusal.code,
    message: refusal.message,
    details: { reason: refusal.reason, ...refusal.details },
  },
});

function shortText(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value.length > 0 && value.length <= 256 ? value : undefined;
}

/** Without its query, which may hold what somebody took for a good place of a token. */
function pathOf(url: string): string {
  return url.replace(/[?#].*$/s, '');
}
