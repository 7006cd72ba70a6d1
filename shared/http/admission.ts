import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import { accessOf } from './access.ts';
import type { Access, Gate } from './gate.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Lets the caller do this besides what the route's own rule says, or refuses as the gate does. Without an argument: asks
     * once more for the route's own rule. Answers with the name of the user, where tokens have one.
     */
    admit(access?: Access): Promise<string | undefined>;
    /** Who calls, as the gate has let them in; undefined: an open route, no gate, or tokens without names. */
    caller: string | undefined;
  }
}

/** The gate remembers whom it has let in for as long as this. */
const askAgainMs = 10_000;

/** Each request passes the gate before its body is read, and may be asked about again. */
export function registerAdmission(app: FastifyInstance, gate: Gate | undefined): void {
  app.decorateRequest('caller', undefined);
  app.decorateRequest('admit', async function admit(this: FastifyRequest, access?: Access) {
    const { access: rule } = this.routeOptions.config;
    if (gate === undefined || rule === 'open') return undefined;
    if (rule === undefined) throw new Error('a route without an access rule');
    const asked = access ?? accessOf(rule, this.params);
    return gate.admit(this.headers.authorization, asked, this.raw.socket);
  });
  // By the route, not the address: `/%61pi/…` and `http://host/api/…` reach the same handler as `/api/…`.
  app.addHook('onRequest', async (request) => {
    if (!request.is404) request.caller = await request.admit();
  });
}

/**
 * For an answer that is streamed: calls `end` once the caller may no longer have it, until the signal is aborted. An API server
 * that cannot be asked ends nothing.
 */
export function untilRefused(
  request: Pick<FastifyRequest, 'admit'>,
  signal: AbortSignal,
  end: (refusal: Refusal) => void,
  everyMs = askAgainMs,
): void {
  if (signal.aborted) return;
  const timer = setInterval(() => {
    request.admit().catch((thrown: unknown) => {
      const isRefused =
        thrown instanceof Refusal && ['unauthenticated', 'permission_denied'].includes(thrown.reason);
      if (!isRefused || signal.aborted) return;
      clearInterval(timer);
      end(thrown);
    });
  }, everyMs);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}
