import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/**
 * What is in flight in this process: bytes that one end of a connection has written and the other has not read, connections that open
 * or close, file operations, and callbacks of the event loop. Both ends of every loopback connection of a rehearsal live in one
 * process, so that it is counted and not guessed by a pause. Open requests do not count: one that waits for the time to go on would
 * wait for ever.
 */

/** Both ends of a connection; without a client it is one of another process, or of TLS, whose client counts other bytes. */
type Connection = { readonly server: Socket; client: Socket | undefined };
/** Its numbers, and since when they are the same, in milliseconds of real time. */
type Seen = { readonly numbers: string; readonly since: number };

/** By the client's port and the server's. */
const connections = new Map<string, Connection>();
const opening = new Map<string, { readonly client: Socket; readonly since: number }>();
const connecting = new Set<Socket>();
const seen = new Map<string, Seen>();

/** Turns of the event loop in a row in which nothing is in flight: what was read in one is worked on in the next. */
const quietTurns = 4;
/** Where only one end of a connection is known, nothing is in flight when its numbers have been the same for so long. */
const oneEndMs = 50;
/** Bytes that nobody reads for so long are not being worked on: their reader has left the answer half read. */
const unreadMs = 2_000;
/** The end of a connection reaches its other end at once, unless that does not read any more. */
const closingMs = 100;

// https://nodejs.org/docs/latest-v24.x/api/diagnostics_channel.html#net
subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket };
  connecting.add(socket);
  socket.once('close', () => connecting.delete(socket));
  socket.once('connect', () => {
    connecting.delete(socket);
    const key = `${socket.localPort}-${socket.remotePort}`;
    const connection = connections.get(key);
    if (connection === undefined) opening.set(key, { client: socket, since: performance.now() });
    else connection.client = socket;
  });
});
subscribe('net.server.socket', (message) => {
  const { socket } = message as { readonly socket: Socket };
  const key = `${socket.remotePort}-${socket.localPort}`;
  seen.delete(key);
  connections.set(key, { server: socket, client: opening.get(key)?.client });
  opening.delete(key);
});

const isOver = ({ server, client }: Connection) => server.destroyed && client?.destroyed !== false;

function isBalanced({ server, client }: Connection): boolean {
  return (
    client !== undefined &&
    client.destroyed === server.destroyed &&
    client.bytesWritten === server.bytesRead &&
    server.bytesWritten === client.bytesRead
  );
}

/** Whether something is under way on a connection. */
function isBusy(key: string, connection: Connection, now: number): boolean {
  if (isBalanced(connection)) {
    seen.delete(key);
    return false;
  }
  const { server, client } = connection;
  const ends = client === undefined ? [server] : [server, client];
  const numbers = ends.map((end) => `${end.bytesRead} ${end.bytesWritten} ${end.destroyed}`).join(' ');
  const known = seen.get(key);
  if (known?.numbers !== numbers) {
    seen.set(key, { numbers, since: now });
    return true;
  }
  const patienceMs =
    client === undefined ? oneEndMs : client.destroyed || server.destroyed ? closingMs : unreadMs;
  return now - known.since < patienceMs;
}

/** Whether anything is in flight at this moment. */
function isInFlight(): boolean {
  const isRequest = (name: string) =>
    ['Immediate', 'CloseReq', 'TCPConnectWrap'].includes(name) || /^(FSReq|GetAddrInfo)/.test(name);
  if (connecting.size > 0 || process.getActiveResourcesInfo().some(isRequest)) return true;
  const now = performance.now();
  let isAnyBusy = false;
  for (const [key, { client, since }] of opening) {
    if (client.destroyed || now - since >= oneEndMs) opening.delete(key);
    else isAnyBusy = true;
  }
  // All of them: each has its own time since when it is the same.
  for (const [key, connection] of connections) {
    if (isOver(connection)) {
      connections.delete(key);
      seen.delete(key);
    } else if (isBusy(key, connection, now)) isAnyBusy = true;
  }
  return isAnyBusy;
}

/** Resolves when nothing is in flight any more, however long that takes. */
export async function nothingInFlight(): Promise<void> {
  let quiet = 0;
  for (let turn = 1; quiet < quietTurns; turn += 1) {
    // After the events of this turn. A long wait, for a disk or another process, leaves the processor to others.
    await (turn % 200 === 0
      ? new Promise((resolve) => setTimeout(resolve, 1))
      : new Promise((resolve) => setImmediate(resolve)));
    quiet = isInFlight() ? 0 : quiet + 1;
  }
}
