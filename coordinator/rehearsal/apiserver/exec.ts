import { createHash } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Place, placeFromPath } from './requests.ts';
import { isStatusError } from './status-error.ts';

/** A command that is run in a container. */
export type ExecCall = {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string | null;
  readonly command: readonly string[];
};

/** Runs it; a promise that never settles is a command that hangs. */
export type ExecInContainer = (
  call: ExecCall,
) => Promise<{ readonly stdout: string; readonly stderr?: string; readonly exitCode: number }>;

/** RFC 6455 §1.3. */
const acceptKey = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** k8s.io/apimachinery pkg/util/remotecommand: the first byte of each message is its channel. */
const channels = { stdout: 1, stderr: 2, status: 3 } as const;
const protocol = 'v5.channel.k8s.io';

/**
 * Answers `…/pods/NAME/exec` over WebSocket as kube-apiserver does (KEP-4006): a GET that is upgraded, authorized as `get` of
 * pods/exec. `authorize` throws a StatusError for who may not.
 */
export function serveExec(
  server: Server,
  exec: ExecInContainer,
  authorize: (request: IncomingMessage, place: Place) => void,
): void {
  server.on('upgrade', (request, socket: Duplex) => {
    socket.on('error', () => socket.destroy());
    // What the client sends is not read; that it went away is.
    socket.on('end', () => socket.destroy()).resume();
    const url = new URL(request.url ?? '/', 'http://loopback');
    const place = placeFromPath(url.pathname);
    if (place?.plural !== 'pods' || place.subresource !== 'exec' || place.name === undefined)
      return refuse(socket, 404, 'Not Found');
    try {
      authorize(request, place);
    } catch (thrown) {
      if (!isStatusError(thrown)) throw thrown;
      return refuse(socket, thrown.status.code, thrown.status.reason, JSON.stringify(thrown.status));
    }
    const key = String(request.headers['sec-websocket-key']);
    const accept = createHash('sha1').update(`${key}${acceptKey}`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
    );
    void exec({
      namespace: place.namespace ?? '',
      pod: place.name,
      container: url.searchParams.get('container'),
      command: url.searchParams.getAll('command'),
    }).then(({ stdout, stderr = '', exitCode }) => {
      if (stdout !== '') socket.write(frame(channels.stdout, stdout));
      if (stderr !== '') socket.write(frame(channels.stderr, stderr));
      socket.write(frame(channels.status, JSON.stringify(statusOf(exitCode))));
      // A close frame with code 1000.
      socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
    });
  });
}

function refuse(socket: Duplex, code: number, reason: string, body = ''): void {
  socket.end(
    `HTTP/1.1 ${code} ${reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
      `Connection: close\r\n\r\n${body}`,
  );
}

/** One unmasked binary message, as servers send them. */
function frame(channel: number, text: string): Buffer {
  const body = Buffer.concat([Buffer.from([channel]), Buffer.from(text)]);
  const head = Buffer.alloc(body.length < 126 ? 2 : body.length < 65_536 ? 4 : 10);
  head[0] = 0x82;
  if (head.length === 2) head[1] = body.length;
  else if (head.length === 4) {
    head[1] = 126;
    head.writeUInt16BE(body.length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}

/** What the kubelet sends last (k8s.io/apimachinery pkg/apis/meta/v1, remotecommand.NonZeroExitCodeReason). */
function statusOf(exitCode: number) {
  const head = { kind: 'Status', apiVersion: 'v1', metadata: {} };
  if (exitCode === 0) return { ...head, status: 'Success' };
  return {
    ...head,
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  };
}
