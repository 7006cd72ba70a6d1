import { constants, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { FastifyServerFactory, FastifyServerOptions } from 'fastify';
import { messageFromUnknown, Refusal } from '../errors.ts';
import type { Log } from '../log.ts';

/** PEM files: a certificate chain and its private key. */
export type TlsFiles = { readonly certFile: string; readonly keyFile: string };

/** The content of the files, PEM. */
export type TlsPair = { readonly cert: Buffer; readonly key: Buffer };

/** A server's certificate, and the authority whose client certificates it accepts; absent: it asks for none. */
export type ServerTls = TlsFiles & { readonly clientCaFile?: string };

/** A connection without a handshake keeps a server that is asked to stop for as long as this. */
const handshakeMs = 5_000;

/** Refuses with `tls_unusable` what no handshake could be made with; `field` is the option that named it. */
export function readTlsPair({ certFile, keyFile }: TlsFiles, field = 'tls-cert-file'): TlsPair {
  try {
    const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    createSecureContext(pair);
    return pair;
  } catch (thrown) {
    throw new Refusal(
      'tls_unusable',
      `certificate ${certFile} and key ${keyFile} cannot be used: ${messageFromUnknown(thrown)}`,
      { field, remedy: `--${field}: give a PEM certificate chain and the private key that belongs to it` },
      thrown,
    );
  }
}

/**
 * The PEM certificates of a file that holds trusted authorities. Refuses with `tls_unusable` where one cannot be read: OpenSSL takes a
 * file without any, or the first part of one, and then rejects every client without a message.
 */
export function readAuthorities(file: string, field: string): readonly X509Certificate[] {
  try {
    const blocks = readFileSync(file, 'utf8').split(/(?=-----BEGIN )/);
    const found = blocks.filter((block) => block.startsWith('-----BEGIN'));
    if (found.length === 0) throw new Error('it holds no PEM certificate');
    return found.map((block) => new X509Certificate(block));
  } catch (thrown) {
    throw new Refusal(
      'tls_unusable',
      `the authority ${file} cannot be used: ${messageFromUnknown(thrown)}`,
      {
        field,
        remedy: `--${field}: give the PEM certificate of the authority that issues the other side’s, up to its root`,
      },
      thrown,
    );
  }
}

/** Makes a Fastify server speak TLS with the certificate that is in the files. */
export function tlsServerOptions(files: ServerTls, log: Log): FastifyServerOptions {
  const serverFactory: FastifyServerFactory = (handler, settings) => {
    const server = createTlsServer(files, handler, (because) =>
      log.error({ because }, 'the new certificate is not used; keeping the previous one'),
    );
    // Fastify sets these on a server of its own only.
    server.keepAliveTimeout = settings.keepAliveTimeout as number;
    server.requestTimeout = settings.requestTimeout as number;
    return server;
  };
  // `https` only makes Fastify print the scheme in the address that it listens on.
  return { serverFactory, https: {} } as FastifyServerOptions;
}

/**
 * Asks for a client certificate without insisting on it: probes and scrapers have none, and a caller whose certificate is
 * refused shall read why, which no TLS alert says.
 *
 * Each new connection gets the certificate that is in the files then; open ones go on as they are. Looked at when
 * somebody connects, so that nothing has to be watched. A mounted Secret is replaced as a whole, through one symbolic
 * link; should the files not fit for a moment all the same, the last good ones go on, and `onProblem` hears why, once for
 * each reason.
 */
export function createTlsServer(
  files: ServerTls,
  handler: RequestListener,
  onProblem: (because: string) => void,
): Server {
  const latest = followFiles({ ...files }, () => settingsOf(files), onProblem);
  let used = latest();
  const requestCert = files.clientCaFile !== undefined;
  const asking = { requestCert, rejectUnauthorized: false, handshakeTimeout: handshakeMs };
  const server = createServer({ ...used, ...asking }, handler);
  // Before the server's own listener, which begins the handshake.
  server.prependListener('connection', () => {
    const settings = latest();
    if (settings === used) return;
    used = settings;
    server.setSecureContext(settings);
    // A resumed session repeats what was found at its first handshake, with the authority of then.
    server.setTicketKeys(randomBytes(48));
  });
  return server;
}

function settingsOf({ clientCaFile, ...files }: ServerTls): SecureContextOptions {
  const pair = {
    ...readTlsPair(files),
    // Who renegotiates TLS 1.2 could become somebody else on a connection that was already judged.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
  if (clientCaFile === undefined) return pair;
  return { ...pair, ca: readAuthorities(clientCaFile, 'client-ca-file').map(String) };
}

/**
 * What is made of files, made again when they are others. Never throws once it has something: what cannot be read goes on
 * as it was and is tried again, and `onProblem` hears why, once for each reason. The first reading may throw.
 */
export function followFiles<T>(
  files: Readonly<Record<string, string | undefined>>,
  read: () => T,
  onProblem: (because: string) => void,
): () => T {
  let made: { readonly stamp: string; readonly value: T } | undefined;
  let complaint: string | undefined;
  return () => {
    try {
      const stamp = stampOf(files);
      if (made?.stamp !== stamp) made = { stamp, value: read() };
      complaint = undefined;
    } catch (thrown) {
      if (made === undefined) throw thrown;
      const because = messageFromUnknown(thrown);
      if (because !== complaint) onProblem(because);
      complaint = because;
    }
    return made.value;
  };
}

/** Changes when a file is another one, may be read by others, or is gone. */
function stampOf(files: Readonly<Record<string, string | undefined>>): string {
  return Object.values(files)
    .filter((file) => file !== undefined)
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
      return stat === undefined ? 'none' : `${stat.ino}/${stat.mtimeNs}/${stat.ctimeNs}/${stat.size}`;
    })
    .join(' ');
}
