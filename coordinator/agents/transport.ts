import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { createSecureContext, TLSSocket } from 'node:tls';
import { messageFromUnknown } from '../../shared/errors.ts';
import { certificateFaults } from '../../shared/http/certificate-faults.ts';
import { followFiles, readAuthorities, readTlsPair, type TlsFiles } from '../../shared/http/tls.ts';

/** How agents at https addresses are checked, and what is shown to them. */
export type AgentTls = {
  /** The only authority that is trusted; read again when it changes. */
  readonly caFile: string;
  /** The name in the agents’ certificate: they are reached by address, and one certificate is for all of them. */
  readonly serverName: string;
  /** What this side shows to agents that ask for a certificate. */
  readonly client?: TlsFiles;
  /** Called with the reason why renewed files are not used; the previous ones stay in use. */
  readonly onProblem?: (because: string) => void;
};

type Sent = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
};

/** What came back, whatever its status. */
export type Answer = { readonly status: number; readonly text: string };

/**
 * How long an unused connection to an agent stays open: preflight, order and what follows come within seconds of each
 * other, and each open connection over TLS is about 60 KiB of this process.
 */
const keptOpen = { keepAlive: true, timeout: 5_000 } as const;

/**
 * Bytes of one answer. The longest script has 32 steps on two surfaces, with their lines below 400 KiB; beyond this an object
 * with a receipt would come near what etcd takes (1.5 MiB, https://etcd.io/docs/v3.5/dev-guide/limit/).
 */
const longestAnswer = 512 * 1024;

/**
 * Requests to agents over http or https. Node's own, because fetch takes neither an authority nor a server name without
 * undici, which is not ours to pin. Refuses with `tls_unusable` files that cannot be read.
 */
export function createAgentTransport(tls: AgentTls | undefined) {
  const pool = tls === undefined ? () => ({}) : createPool(tls);
  // What cannot be read fails at the start, not with the first request.
  pool();
  /** Until when the certificate of a connection is good; asked at the handshake, as Node forgets it on kept ones. */
  const ends = new WeakMap<TLSSocket, number>();

  return async function request(url: string, options: Sent): Promise<Answer> {
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
    let hasOutlived = false;
    // Nothing was sent: another connection sees the certificate of now.
    sent.on('error', (thrown) => (hasOutlived ? resolve(request(url, options)) : reject(thrown)));
    sent.on('socket', (socket) => {
      if (!(socket instanceof TLSSocket)) return;
      if (!sent.reusedSocket) socket.once('secureConnect', () => ends.set(socket, endOf(socket)));
      else if ((ends.get(socket) ?? 0) < Date.now()) {
        hasOutlived = true;
        sent.destroy(new Error('the connection has outlived its certificate'));
      }
    });
    sent.end(options.body);
    return promise;
  };
}

/** One pool of connections for as long as the files are the same; open ones end by themselves. */
function createPool({ caFile, serverName, client, onProblem = () => undefined }: AgentTls) {
  return followFiles(
    { caFile, ...client },
    () => {
      const pair = client === undefined ? {} : readTlsPair(client, 'agent-client-cert-file');
      const ca = readAuthorities(caFile, 'agent-ca-file').map(String);
      // One for all connections: without it Node parses the files again for each, and each keeps what it made of them.
      const secureContext = createSecureContext({ ca, ...pair });
      // A resumed session is not asked again whether its certificate is of today.
      const agent = new https.Agent({ ...keptOpen, maxCachedSessions: 0, secureContext });
      return { agent, servername: serverName };
    },
    onProblem,
  );
}

function endOf(socket: TLSSocket): number {
  return Date.parse(socket.getPeerX509Certificate()?.validTo ?? '') || 0;
}

async function readAll(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestAnswer) throw new AnswerError(`it is longer than ${longestAnswer} bytes`);
    chunks.push(chunk);
  }
  return { status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') };
}

/** Something answered, and it is nothing that can be read: to ask again gives the same. */
class AnswerError extends Error {}

/** Why a connection or a request failed. */
export type Trouble = {
  /** In words that say which side to look at. */
  readonly because: string;
  /** A certificate, or TLS itself. */
  readonly isAboutTls: boolean;
  /** No byte of the request has left. */
  readonly isUnsent: boolean;
  /** There was an answer, and it is too long or no HTTP. */
  readonly isAnswer: boolean;
};

/** What is wrong with a connection. */
export function troubleOf(thrown: unknown): Trouble {
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const message = messageFromUnknown(thrown);
  const trouble = (meaning: string, isAboutTls: boolean, isUnsent: boolean): Trouble => ({
    because: `${meaning} (${code}: ${message})`,
    isAboutTls,
    isUnsent,
    isAnswer: false,
  });
  // Names of Node's HTTP parser for what it cannot read.
  if (thrown instanceof AnswerError || code.startsWith('HPE_'))
    return { because: message, isAboutTls: false, isUnsent: false, isAnswer: true };
  const fault = certificateFaults[code];
  if (fault !== undefined) return trouble(`its certificate ${fault}`, true, true);
  if (/^(EPROTO|ERR_SSL_)/.test(code)) {
    const isAlert = /\balert\b/.test(message);
    return trouble(isAlert ? 'it ended the TLS handshake' : 'it speaks no TLS there', true, true);
  }
  const meaning = meanings[code];
  if (meaning === undefined) return { because: message, isAboutTls: false, isUnsent: false, isAnswer: false };
  return trouble(meaning, false, code === 'ECONNREFUSED');
}

const meanings: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET:
    'it ended the connection without an answer: it has died, or is served over TLS and called without',
  ABORT_ERR: 'none came in time',
};
