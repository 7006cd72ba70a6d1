import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Passes connections on, and lets everything wait on its way while a delay is set. */
export type SlowRelay = {
  readonly url: string;
  /** Milliseconds before each chunk that a client sends is passed on; 0: none. */
  setDelay(milliseconds: number): void;
  /** Every open connection is broken. */
  cut(): void;
  close(): Promise<void>;
};

/** Stands in front of a server on loopback. */
export async function createSlowRelay(target: string): Promise<SlowRelay> {
  const { hostname, port } = new URL(target);
  const open = new Set<Socket>();
  let delay = 0;
  const server = createServer((client) => {
    const onward = connect(Number(port), hostname);
    for (const [socket, other] of [
      [client, onward],
      [onward, client],
    ] as const) {
      open.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    onward.pipe(client);
    client.on('data', (chunk) => {
      client.pause();
      void sleep(delay).then(() => {
        onward.write(chunk);
        client.resume();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    setDelay: (milliseconds) => {
      delay = milliseconds;
    },
    cut: () => {
      for (const socket of open) socket.destroy();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}
