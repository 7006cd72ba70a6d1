import { readFileSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { messageFromUnknown } from '../../shared/errors.ts';
import { certificateFaults } from '../../shared/http/certificate-faults.ts';
import { readTlsPair, stampOf, type TlsFiles } from '../../shared/http/tls.ts';

export type AgentTls = {
  /** The only authority that is believed; read again when it changes. */
  readonly caFile: string;
  /** The name in the agents’ certificate: they are reached by address, and one certificate serves them all. */
  readonly serverName: string;
  /** What this side shows to agents that ask for a certificate. */
  readonly client?: TlsFiles;
};

export type Answer = { readonly status: number; readonly text: string };

/** A receipt with everything in it stays far below. */
const longestAnswer = 8 * 1024 * 1024;

/**
 * Requests to agents over http or https. Node's own, because fetch takes neither an authority nor a server name without
 * undici, which is not ours to pin.
 */
export function createAgentTransport(tls: AgentTls | undefined) {
  let cached: { readonly stamp: string; readonly agent: https.Agent } | undefined;

  /** One pool of connections for as long as the files are the same; open ones end by themselves. */
  function pool(): { agent?: https.Agent; servername?: string } {
    if (tls === undefined) return {};
    const { caFile, serverName, client } = tls;
    const stamp = stampOf({ caFile, ...client });
    if (cached?.stamp !== stamp) cached = { stamp, agent: createPool({ caFile, ...client }) };
    return { agent: cached.agent, servername: serverName };
  }

  return async function request(
    url: string,
    options: {
      readonly method: 'GET' | 'POST';
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      readonly signal: AbortSignal;
    },
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const isSecure = url.startsWith('https:');
    const sent = (isSecure ? https : http).request(
      url,
      {
        method: options.method,
        headers: {
          ...options.headers,
          ...(options.body === undefined ? {} : { 'content-length': Buffer.byteLength(options.body) }),
        },
        signal: options.signal,
        ...(isSecure ? pool() : {}),
      },
      (response) => readAll(response).then(resolve, reject),
    );
    sent.on('error', reject);
    sent.end(options.body);
    return promise;
  };
}

function createPool({
  caFile,
  certFile,
  keyFile,
}: { readonly caFile: string } & Partial<TlsFiles>): https.Agent {
  const pair = certFile === undefined || keyFile === undefined ? {} : readTlsPair({ certFile, keyFile });
  return new https.Agent({ keepAlive: true, ca: readFileSync(caFile), ...pair });
}

async function readAll(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestAnswer) throw new Error(`the answer is longer than ${longestAnswer} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}

/** What is wrong with a connection, in words that say which side to look at. */
export function whyNoConnection(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const fault = certificateFaults[code];
  const meaning = fault === undefined ? meanings[code] : `its certificate ${fault}`;
  return meaning === undefined
    ? messageFromUnknown(thrown)
    : `${meaning} (${code}: ${messageFromUnknown(thrown)})`;
}

const meanings: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ECONNRESET: 'it ended the connection without an answer; is it served over TLS?',
  ABORT_ERR: 'none came in time',
  EPROTO: 'it speaks no TLS there',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it speaks no TLS there',
};
