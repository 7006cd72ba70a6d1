import { randomBytes } from 'node:crypto';
import { createRealClock } from '../../shared/clock.ts';
import { createServer, formatConnectError } from '../../shared/http/server.ts';
import { createSilentLog } from '../../shared/log.ts';
import { fromListen } from '../../shared/program.ts';
import { faults } from '../catalogue/catalogue.ts';
import { connect } from '../drilling/connect.ts';
import { pageOrElse } from '../page/refusal.ts';
import { registerPage, streamPath } from '../page/routes.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import type { LivePorts } from './follow.ts';
import { barredByCluster, changesOf, createKubeconfigSource } from './page-source.ts';

const help = (xidrill: string) => `usage: ${xidrill} page [--port N]

The coordinator's page on loopback, with the rights of your kubeconfig: fleet, nodes, faults, drills, why. Prints its address and opens
nothing. The address holds a secret that is new each time: whoever else is on this machine cannot use your rights without it. Ctrl-C
ends it.

      --port N           on this port (default: any free one)
${clusterHelp}`;

/** Serves the page until somebody interrupts it. */
export function runPage(argv: readonly string[], ports: LivePorts): Promise<number> {
  const options = { ...clusterOptions, port: { type: 'string', default: '0' } } as const;
  return withArguments({ name: 'page', help, options }, argv, ports, async ({ values, words }) => {
    const port = Number(values.port);
    if (words.length > 0) throw usage('page takes no words');
    if (!Number.isInteger(port) || port < 0 || port > 65_535)
      throw usage(`--port: "${values.port}" is no port`);
    const asking = { cluster: connect(values), namespace: values.namespace, clock: createRealClock() };
    // 128 bits: a path that nobody can guess, and that the page's policy on referrers shows to no other site.
    const base = `/${randomBytes(16).toString('hex')}`;
    const { app } = createServer({
      log: createSilentLog(),
      formatError: pageOrElse(base, formatConnectError),
    });
    registerPage(app, {
      source: createKubeconfigSource(asking),
      rows: faults,
      namespace: asking.namespace,
      base,
      eventsOf: (name) => `${base}${streamPath(name)}`,
      barred: barredByCluster(asking),
      follow: (name, signal) => changesOf(asking, name, signal),
    });
    const address = await app.listen({ host: '127.0.0.1', port }).catch((thrown: unknown) => {
      throw fromListen(thrown, 'choose another one with --port, or leave it out');
    });
    ports.print(`${address}${base}/\n`);
    await new Promise<void>((resolve) => {
      const release = ports.onInterrupt(() => {
        release();
        resolve();
      });
    });
    await app.close();
    return 0;
  });
}
