import { createServer } from 'node:net';
import t from 'tap';
import { listeningUrl } from '../../shared/program.ts';

t.test(
  'the log names the address that a server is bound to, not a loopback address for all of them',
  async (t) => {
    const rows = [
      ['0.0.0.0', 'https://127.0.0.1', /^https:\/\/0\.0\.0\.0:\d+$/],
      ['127.0.0.1', 'http://127.0.0.1', /^http:\/\/127\.0\.0\.1:\d+$/],
    ] as const;
    for (const [host, answered, expected] of rows) {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, host, resolve));
      t.match(listeningUrl(`${answered}:1`, server.address()), expected, host);
      await new Promise((resolve) => server.close(resolve));
    }
    const six = { address: '::', family: 'IPv6', port: 8475 };
    t.equal(listeningUrl('https://[::1]:8475', six), 'https://[::]:8475');
    t.equal(listeningUrl('http://127.0.0.1:1', null), 'http://127.0.0.1:1', 'not bound: as it was answered');
  },
);
