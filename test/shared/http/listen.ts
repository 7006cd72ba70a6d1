import type { Server } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** On a free port of loopback until the test ends; answers with the port. */
export async function listen(
  t: { teardown(handler: () => unknown): void },
  server: Server | SecureServer,
  host = '127.0.0.1',
): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, host, resolve);
  await promise;
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
