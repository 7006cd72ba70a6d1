import { randomUUID } from 'node:crypto';
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify';
import { Counter, collectDefaultMetrics, Registry } from 'prom-client';
import { messageFromUnknown, Refusal, statusOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { assertHasAccess, open } from './access.ts';
import { registerAdmission } from './admission.ts';
import type { Gate } from './gate.ts';
import { type ServerTls, tlsServerOptions } from './tls.ts';

/** How an error leaves: Connect's JSON on the agent, RFC 9457 problem documents on the coordinator. */
export type ErrorFormat = (
  refusal: Refusal,
  request: { readonly id: string; readonly url: string },
) => {
  readonly type: string;
  readonly body: object;
};

/** How a server logs, answers errors, and whom it lets in. */
export type ServerOptions = {
  readonly log: Log;
  readonly formatError: ErrorFormat;
  /** Who is let in, by the rule of the route; absent: everybody. */
  readonly gate?: Gate;
  /** Absent: plain HTTP. */
  readonly tls?: ServerTls;
  /** Larger bodies are refused with 413; absent: 64 KiB. */
  readonly bodyLimitBytes?: number;
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

/** A longer message is of no use, and a small body must not cause a large answer. */
const shownFaults = 20;

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
    forceCloseConnections: true,
    requestTimeout: requestTimeoutMs,
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
  app.addHook('onRoute', assertHasAccess);
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });

  function send(
    request: Pick<FastifyRequest, 'id' | 'url'>,
    reply: Pick<FastifyReply, 'code' | 'header'>,
    refusal: Refusal,
  ): FastifyReply {
    if (refusal.code === 'unauthenticated') void reply.header('www-authenticate', 'Bearer');
    const { type, body } = formatError(refusal, { id: request.id, url: request.url });
    return reply.code(statusOf(refusal.reason)).type(type).send(JSON.stringify(body));
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
      log.error({ err: thrown, requestId: request.id, url: request.url }, 'request failed');
    return send(request, reply, refusal);
  });
  app.setNotFoundHandler((request, reply) =>
    send(
      request,
      reply,
      new Refusal('method_unknown', `${request.method} ${request.url}: no such method or route`, {
        field: 'path',
        value: `${request.method} ${request.url}`,
      }),
    ),
  );
  app.addHook('onRequest', async (request, reply) => {
    void reply.header('x-request-id', request.id);
  });
  registerAdmission(app, options.gate);
  app.addHook('onResponse', async (request, reply) => {
    requests.inc({ route: request.routeOptions.url ?? 'none', status: String(reply.statusCode) });
    log.debug(
      {
        requestId: request.id,
        method: request.method,
        url: request.url,
        status: reply.statusCode,
        ms: reply.elapsedTime,
      },
      'request',
    );
  });

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

  app.get('/healthz', { config: open }, async (_request, reply) => reply.type('text/plain').send('ok\n'));
  app.get('/readyz', { config: open }, async (_request, reply) => {
    const because = options.notReady?.();
    if (because === undefined) return reply.type('text/plain').send('ok\n');
    return reply.code(503).type('text/plain').send(`not ready: ${because}\n`);
  });
  app.get('/metrics', { config: open }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.metrics()),
  );

  return { app, metrics };
}

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

function refusalFromFastify(thrown: FastifyError | Refusal): Refusal {
  if (thrown instanceof Refusal) return thrown;
  if (thrown.validation !== undefined) return refusalFromValidation(thrown);
  if (thrown.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new Refusal('body_too_large', 'body: larger than this server takes', { field: 'body' }, thrown);
  }
  if (thrown.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return new Refusal(
      'malformed_request',
      'content-type: this server takes JSON only',
      { field: 'content-type', allowed: 'application/json' },
      thrown,
    );
  }
  if (thrown.code === 'FST_ERR_BAD_URL') {
    return new Refusal('malformed_request', `path: ${thrown.message}`, { field: 'path' }, thrown);
  }
  if (thrown.statusCode !== undefined && thrown.statusCode >= 400 && thrown.statusCode < 500) {
    return new Refusal('malformed_request', thrown.message, { field: 'body' }, thrown);
  }
  return new Refusal(
    'internal',
    'an unexpected failure; the log of this process has the details',
    {},
    thrown,
  );
}

type Fault = NonNullable<FastifyError['validation']>[number];

/** All faults at once, each with its field's path. */
function refusalFromValidation(thrown: FastifyError): Refusal {
  const faults = (thrown.validation ?? []).map((fault) => {
    const params = fault.params as Record<string, unknown>;
    const extra = params.additionalProperty ?? params.missingProperty;
    const path = `${thrown.validationContext ?? 'body'}${fault.instancePath.replaceAll('/', '.')}`;
    const field = extra === undefined ? path : `${path}.${String(extra)}`;
    return {
      field: field.replace(/^body\./, ''),
      message: messageOf(fault),
      allowed: params.allowedValues ?? params.allowedValue,
    };
  });
  const unique = mergeAlternatives(faults);
  const shown = unique.slice(0, shownFaults);
  const more = unique.length > shown.length ? [`and ${unique.length - shown.length} more`] : [];
  return new Refusal(
    'malformed_request',
    [...shown.map((fault) => `${fault.field} ${fault.message}`), ...more].join('; '),
    { field: unique[0]?.field ?? 'body', faults: shown },
    thrown,
  );
}

function messageOf(fault: Fault): string {
  if (fault.keyword === 'additionalProperties') return 'is not a known field';
  const description = (fault as { parentSchema?: { description?: string } }).parentSchema?.description;
  const isChoice = fault.keyword === 'minProperties' || fault.keyword === 'maxProperties';
  if (isChoice && description !== undefined) return `must be ${description}`;
  return fault.message ?? 'is not valid';
}

/** A union reports each of its literals; one line with all of them is what a person wants to read. */
function mergeAlternatives(faults: readonly { field: string; message: string; allowed: unknown }[]) {
  const byField = new Map<string, { field: string; message: string; allowed: unknown[] }>();
  for (const fault of faults) {
    const entry = byField.get(fault.field) ?? { field: fault.field, message: '', allowed: [] };
    if (fault.allowed !== undefined) entry.allowed.push(...[fault.allowed].flat());
    else if (!fault.message.startsWith('must match a schema in anyOf') && entry.message === '')
      entry.message = fault.message;
    byField.set(fault.field, entry);
  }
  return [...byField.values()].map((entry) => ({
    ...entry,
    message:
      entry.allowed.length > 0
        ? `must be one of ${entry.allowed.join(', ')}`
        : entry.message || 'is not valid',
  }));
}
