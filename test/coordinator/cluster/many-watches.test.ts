import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { createSilentLog } from '../../../shared/log.ts';

t.test('watches of many drained nodes leave room for requests', async (t) => {
  const all = 150;
  const { promise: opened, resolve } = Promise.withResolvers<void>();
  let open = 0;
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    if (request.url?.includes('watch=true')) {
      response.flushHeaders();
      open += 1;
      if (open === all) resolve();
    } else response.end(JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } }));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const cluster = createClusterClient({
    kubeconfig: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    userAgent: 'test',
    fieldManager: 'test',
    log: createSilentLog(),
  });
  const stopping = new AbortController();
  const watches = Array.from({ length: all }, (_, index) =>
    cluster
      .watch('pods', {
        fieldSelector: `spec.nodeName=${index}`,
        resourceVersion: '1',
        signal: stopping.signal,
      })
      [Symbol.asyncIterator]()
      .next(),
  );
  await opened;
  t.match(await cluster.read('nodes', { name: 'n' }), { metadata: { name: 'n' } });
  stopping.abort();
  await Promise.allSettled(watches);
});
