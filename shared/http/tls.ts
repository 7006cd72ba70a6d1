import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { FastifyServerFactory, FastifyServerOptions } from 'fastify';
import { messageFromUnknown, Refusal } from '../errors.ts';
import type { Log } from '../log.ts';

/** PEM files: a certificate chain and its private key. */
export type TlsFiles = { readonly certFile: string; readonly keyFile: string };

export type TlsPair = { readonly cert: Buffer; readonly key: Buffer };

/** What a server serves with, and the authority whose client certificates it believes; absent: it asks for none. */
export type ServerTls = TlsFiles & { readonly clientCaFile?: string };

/** Refuses with `tls_unusable` what no handshake could be made with. */
export function readTlsPair({ certFile, keyFile }: TlsFiles): TlsPair {
  try {
    const pair = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
    createSecureContext(pair);
    return pair;
  } catch (thrown) {
    throw new Refusal(
      'tls_unusable',
      `certificate ${certFile} and key ${keyFile} cannot be used: ${messageFromUnknown(thrown)}`,
      {
        field: 'tls-cert-file',
        remedy: 'give a PEM certificate chain and the private key that belongs to it',
      },
      thrown,
    );
  }
}

/** Makes a Fastify server speak TLS with the certificate that is in the files. */
export function tlsServerOptions(files: ServerTls, log: Log): FastifyServerOptions {
  const serverFactory: FastifyServerFactory = (handler, settings) => {
    const server = createTlsServer(files, handler);
    // Fastify sets these on a server of its own only.
    server.keepAliveTimeout = settings.keepAliveTimeout as number;
    server.requestTimeout = settings.requestTimeout as number;
    followTlsFiles(server, files, (because) =>
      log.error({ because }, 'the new certificate is not used; the one before it goes on'),
    );
    return server;
  };
  // `https` only makes Fastify say so in the address that it serves at.
  return { serverFactory, https: {} } as FastifyServerOptions;
}

/**
 * Asks for a client certificate without insisting on it: probes and scrapers have none, and a caller whose certificate is
 * refused shall read why, which no TLS alert says.
 */
export function createTlsServer(files: ServerTls, handler: RequestListener): Server {
  const isAsking = files.clientCaFile !== undefined;
  return createServer({ ...settingsOf(files), requestCert: isAsking, rejectUnauthorized: false }, handler);
}

function settingsOf({ clientCaFile, ...files }: ServerTls): TlsPair & { readonly ca?: Buffer } {
  const pair = readTlsPair(files);
  if (clientCaFile === undefined) return pair;
  try {
    return { ...pair, ca: readAuthority(clientCaFile) };
  } catch (thrown) {
    throw new Refusal(
      'tls_unusable',
      `the authority ${clientCaFile} cannot be used: ${messageFromUnknown(thrown)}`,
      {
        field: 'client-ca-file',
        remedy: 'give the PEM certificate of the authority that issues the callers’',
      },
      thrown,
    );
  }
}

/** A file without a certificate in it would be taken silently, and nobody would be believed. */
function readAuthority(file: string): Buffer {
  const text = readFileSync(file);
  void new X509Certificate(text);
  return text;
}

/**
 * Each new connection gets the certificate that is in the files then; open ones go on as they are. Looked at when
 * somebody connects, so that nothing has to be watched. A mounted Secret is replaced as a whole, through one symbolic
 * link; should the pair not fit for a moment all the same, the last good one goes on and `onProblem` hears why.
 */
export function followTlsFiles(server: Server, files: ServerTls, onProblem: (because: string) => void): void {
  let seen = stampOf(files);
  // Before the server's own listener, which begins the handshake.
  server.prependListener('connection', () => {
    const stamp = stampOf(files);
    if (stamp === seen) return;
    seen = stamp;
    try {
      server.setSecureContext(settingsOf(files));
      // A resumed session repeats what was found at its first handshake, with the authority of then.
      server.setTicketKeys(randomBytes(48));
    } catch (thrown) {
      onProblem(messageFromUnknown(thrown));
    }
  });
}

/** Changes when a file is another one or is gone. */
export function stampOf(files: Readonly<Record<string, string | undefined>>): string {
  return Object.values(files)
    .filter((file) => file !== undefined)
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
      return stat === undefined ? 'none' : `${stat.ino}/${stat.mtimeNs}/${stat.size}`;
    })
    .join(' ');
}
