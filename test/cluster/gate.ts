import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request as plainRequest, type ServerResponse } from 'node:http';
import { request as tlsRequest } from 'node:https';

/** A request that the gate was asked to stop; whoever waits for it decides what becomes of it. */
export type Held = { readonly what: string };

export type Gate = {
  readonly url: string;
  /** Resolves when a matching request has come; it is held from then on, for ever. */
  hold(rule: {
    readonly method: string;
    readonly path: RegExp;
    readonly body?: RegExp;
    readonly when: 'before' | 'after';
  }): Promise<Held>;
  close(): Promise<void>;
};

type Rule = Parameters<Gate['hold']>[0] & { readonly hit: (held: Held) => void };

/**
 * Stands in front of a server and can stop one request: `before` it reaches the server, or `after` the server has
 * carried it out and before the answer goes back. Killing the client then is a death at exactly that point.
 */
export async function startGate(target: {
  readonly url: string;
  readonly caFile?: string;
  readonly token?: string;
}): Promise<Gate> {
  const rules = new Set<Rule>();
  const upstream = new URL(target.url);
  const ca = target.caFile === undefined ? undefined : readFileSync(target.caFile);

  function take(request: IncomingMessage, body: string, when: Rule['when']): boolean {
    for (const rule of rules) {
      if (rule.when !== when || rule.method !== request.method || !rule.path.test(request.url ?? ''))
        continue;
      if (rule.body !== undefined && !rule.body.test(body)) continue;
      rules.delete(rule);
      rule.hit({ what: `${request.method} ${request.url}` });
      return true;
    }
    return false;
  }

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (take(request, body.toString(), 'before')) return;
    const headers = { ...request.headers, host: upstream.host };
    if (target.token !== undefined) headers.authorization = `Bearer ${target.token}`;
    const send = upstream.protocol === 'https:' ? tlsRequest : plainRequest;
    const onward = send(
      {
        host: upstream.hostname,
        port: upstream.port,
        method: request.method,
        path: request.url,
        headers,
        ...(ca === undefined ? {} : { ca }),
      },
      (answer) => {
        if (take(request, body.toString(), 'after')) {
          answer.resume();
          return;
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
        response.on('close', () => answer.destroy());
      },
    );
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.end(body);
  }

  const server = createServer((request, response) => {
    pass(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    hold: (rule) =>
      new Promise((resolve, reject) => {
        // A rule that nothing matches any more is a mistake in the test, and has to say so.
        const late = setTimeout(
          () => reject(new Error(`no request came: ${rule.method} ${rule.path}`)),
          300_000,
        );
        rules.add({
          ...rule,
          hit: (held) => {
            clearTimeout(late);
            resolve(held);
          },
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
