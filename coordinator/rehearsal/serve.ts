import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createProbe } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Type from 'typebox';
import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { open } from '../../shared/http/access.ts';
import { createServer } from '../../shared/http/server.ts';
import { fromListen } from '../../shared/program.ts';
import { version } from '../../shared/version.ts';
import { formatProblem, Problem } from '../routes/problem.ts';
import { serveNodes } from './accounts.ts';
import { namespace, type RehearsalCluster, type RehearsalOptions, startRehearsalCluster } from './cluster.ts';
import { untilAgentListens } from './story.ts';

/** Where the parts of a served rehearsal answer. */
export type ServedAddresses = {
  /** Of the coordinator. */
  readonly rest: string;
  /** Of the embedded API server; the kubeconfig names it. */
  readonly apiServer: string;
  /** Starts the rehearsal over, and answers the kubeconfig. */
  readonly control: string;
  /** A file for kubectl; removed at the end unless the caller chose it. */
  readonly kubeconfig: string;
  /** By node. */
  readonly agents: Readonly<Record<string, string>>;
};

/** What a served rehearsal is started with. */
export type ServeOptions = Pick<RehearsalOptions, 'clock' | 'random' | 'newId' | 'log'> & {
  /** Of the coordinator; the others follow from it. 0: free ones. */
  readonly port: number;
  /** Where the kubeconfig is written; absent: a new folder in the system's folder for temporary files. */
  readonly kubeconfig?: string;
};

/** A rehearsal that is kept running. */
export type Served = {
  readonly addresses: ServedAddresses;
  close(): Promise<void>;
};

/** The ports below and above that of the coordinator which are used as well: control, API server, agents. */
const around = { control: -1, apiServer: 1, firstAgent: 1000 };
/** The `check` of a port: all of them are ports, and none needs root. */
export function checkServePort(text: string): string | undefined {
  const port = Number(text);
  const highest = 65_535 - around.firstAgent - Object.keys(serveNodes).length;
  return port === 0 || (Number.isInteger(port) && port >= 1025 && port <= highest)
    ? undefined
    : `from 1025 to ${highest}, or 0 for free ones`;
}

/** Starts the rehearsal and what controls it; refuses with `port_taken` where another program has one of its ports. */
export async function startServed(options: ServeOptions): Promise<Served> {
  const port = options.port === 0 ? await freePort(options.random) : options.port;
  const ownFolder =
    options.kubeconfig === undefined ? await mkdtemp(join(tmpdir(), 'xidrill-serve-')) : undefined;
  const kubeconfig = resolve(options.kubeconfig ?? join(ownFolder ?? '', 'kubeconfig'));
  let cluster: RehearsalCluster | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  async function start(): Promise<void> {
    cluster = await startRehearsalCluster({
      ...options,
      rows: Object.values(serveNodes),
      coordinatorPort: port,
      apiServerPort: port + around.apiServer,
      firstAgentPort: port + around.firstAgent,
      needsLease: true,
    });
    await cluster.installNma({ version: '1.6.4', credentials: 'healthy' });
    await untilAgentListens(cluster.node(serveNodes.gpu.name).url);
  }

  /** Everything as it was at the start: another cluster at the same addresses. One after the other. */
  function startOver(): Promise<void> {
    const mine = turn.then(async () => {
      await cluster?.close();
      cluster = undefined;
      await start();
    });
    turn = mine.catch(() => undefined);
    return mine;
  }

  const control = createControl({ log: options.log, startOver, kubeconfig: () => kubeconfigOf(apiServer) });
  const close = async () => {
    await control.close();
    await turn;
    await cluster?.close();
    if (ownFolder !== undefined) await rm(ownFolder, { recursive: true, force: true });
  };
  const apiServer = `http://127.0.0.1:${port + around.apiServer}`;
  try {
    const controlUrl = await control.listen({ host: '127.0.0.1', port: port + around.control });
    await start();
    await writeFile(kubeconfig, kubeconfigOf(apiServer), { mode: 0o600 });
    return {
      addresses: {
        rest: `http://127.0.0.1:${port}`,
        apiServer,
        control: controlUrl,
        kubeconfig,
        agents: Object.fromEntries([...(cluster?.nodes ?? [])].map(([name, { url }]) => [name, url])),
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw fromListen(thrown, `choose other ports: ${withPort(port + 100)}`);
  }
}

/** A server of its own, because the others end when the rehearsal starts over. */
function createControl(deps: {
  readonly log: RehearsalOptions['log'];
  readonly startOver: () => Promise<void>;
  readonly kubeconfig: () => string;
}) {
  const { app } = createServer({
    log: deps.log,
    formatError: formatProblem,
    api: {
      title: 'Xidrill rehearsal',
      version,
      description: 'Controls a rehearsal that `npm run serve` keeps running.',
      tags: { program: 'Health, metrics, this document, and the rehearsal as a whole.' },
      error: { type: 'application/problem+json', schema: Problem },
    },
  });
  const reset = {
    id: 'reset',
    tag: 'program',
    summary: 'Starts the rehearsal over: no drills, healthy conditions, at the same addresses',
    answers: { 200: { description: 'It has started', schema: Type.Object({ reset: Type.Literal(true) }) } },
  };
  const schema = { body: Type.Object({}, { additionalProperties: false }) };
  app.post('/reset', { config: { ...open, doc: reset }, schema }, async () => {
    await deps.startOver();
    return { reset: true };
  });
  const kubeconfig = {
    id: 'getKubeconfig',
    tag: 'program',
    summary: 'A kubeconfig for the embedded API server',
    answers: { 200: { description: 'JSON, which is YAML', schema: Type.String(), type: 'application/yaml' } },
  };
  app.get('/kubeconfig', { config: { ...open, doc: kubeconfig } }, async (_request, reply) =>
    reply.type('application/yaml').send(deps.kubeconfig()),
  );
  return app;
}

/** JSON is YAML. Nobody has to prove who they are to the embedded API server. */
function kubeconfigOf(server: string): string {
  const name = 'xidrill-rehearsal';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name, namespace } }],
    'current-context': name,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

const withPort = (port: number) => `npm run serve -- --port ${port}`;

/** One around which the others are free too; another program may take it in between, and is refused then. */
async function freePort(random: () => number): Promise<number> {
  for (let tries = 0; tries < 50; tries += 1) {
    const first = lowest + Math.floor(random() * (ephemeral - around.firstAgent - 100 - lowest));
    const agents = Object.keys(serveNodes).map((_name, index) => first + around.firstAgent + index);
    const all = [first, first + around.control, first + around.apiServer, ...agents];
    if ((await Promise.all(all.map(isFree))).every(Boolean)) return first;
  }
  throw new Refusal('port_taken', 'no free ports were found on 127.0.0.1 in 50 tries', {
    remedy: `choose one: ${withPort(8475)}`,
  });
}

/** Below the ports that Linux gives to whoever asks for any (ip(7), ip_local_port_range): those come and go. */
const [lowest, ephemeral] = [20_000, 32_768];

/** Whether it was free a moment ago. */
function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createProbe();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

const purposes: Readonly<Record<string, string>> = {
  [serveNodes.gpu.name]: 'GPU node, everything right',
  [serveNodes.broken.name]: 'GPU node on arm64, which this version of the monitoring agent does not watch',
  [serveNodes.plain.name]: 'no GPU',
};

/** What a person needs to go on; addresses in the first lines, the next command in the last. */
export function renderServed(
  { rest, control, kubeconfig, agents }: ServedAddresses,
  speed: number,
  bold: (text: string) => string,
): string {
  const rows = [
    ['REST', `${rest}/api/v1`, `all of it: ${rest}/openapi.json`],
    ...Object.entries(agents).map(([name, url]) => ['agent', url, `${name}: ${purposes[name] ?? ''}`]),
    ['kubectl', `export KUBECONFIG=${kubeconfig}`, `namespace ${namespace}`],
    ['start over', `curl -s ${control}/reset -d '{}' -H 'content-type: application/json'`, 'some seconds'],
  ];
  const next = [
    `curl -s ${rest}/api/v1/experiments -H 'content-type: application/json' -H 'prefer: wait=60' -d '${firstDrill}'`,
  ];
  return [
    `${bold('A rehearsal cluster is running.')} Its clock runs ${speed} times too fast: what takes ${renderDuration(speed)} on a cluster takes 1 s here,`,
    'and all times and latencies in answers are of that clock. Ctrl-C ends it.',
    '',
    ...rows.map(([what = '', where = '', about = '']) => `  ${what.padEnd(10)}  ${where}   ${about}`),
    '',
    bold('next: the first drill (Xid 109 on gpu-1)'),
    ...next.map((line) => `  ${line}`),
    '',
  ].join('\n');
}

const firstDrill = JSON.stringify({
  fault: { name: 'xid', parameters: { xid: 109 } },
  target: { selector: { names: [serveNodes.gpu.name] } },
});
