import { readFileSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { FastifyServerFactory, FastifyServerOptions } from 'fastify';
import { messageFromUnknown, Refusal } from '../errors.ts';
import type { Log } from '../log.ts';

/** PEM files: a certificate chain and its private key. */
export type TlsFiles = { readonly certFile: string; readonly keyFile: string };

export type TlsPair = { readonly cert: Buffer; readonly key: Buffer };

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
export function tlsServerOptions(files: TlsFiles, log: Log): FastifyServerOptions {
  const serverFactory: FastifyServerFactory = (handler, settings) => {
    const server = createServer(readTlsPair(files), handler);
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
 * Each new connection gets the certificate that is in the files then; open ones go on as they are. Looked at when
 * somebody connects, so that nothing has to be watched. A mounted Secret is replaced as a whole, through one symbolic
 * link; should the pair not fit for a moment all the same, the last good one goes on and `onProblem` hears why.
 */
export function followTlsFiles(server: Server, files: TlsFiles, onProblem: (because: string) => void): void {
  let seen = stampOf(files);
  // Before the server's own listener, which begins the handshake.
  server.prependListener('connection', () => {
    const stamp = stampOf(files);
    if (stamp === seen) return;
    seen = stamp;
    try {
      server.setSecureContext(readTlsPair(files));
    } catch (thrown) {
      onProblem(messageFromUnknown(thrown));
    }
  });
}

/** Changes when a file is another one or is gone. */
export function stampOf(files: TlsFiles | { readonly caFile: string }): string {
  return Object.values(files)
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
      return stat === undefined ? 'none' : `${stat.ino}/${stat.mtimeNs}/${stat.size}`;
    })
    .join(' ');
}
