import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';

/** Where the API server is and how to authenticate. `{}` looks where kubectl looks. */
export type ClusterSource =
  | {
      readonly path?: string /** A context of the file; absent: its current one. */;
      readonly context?: string;
    }
  | { readonly inCluster: true }
  | { readonly url: string; readonly token?: string; readonly caFile?: string };

/** One request to the API server. */
export type TransportRequest = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below the server's address, with its query. */
  readonly path: string;
  /** `type` is the Content-Type; a PATCH needs one of its own. */
  readonly body?: { readonly type: string; readonly text: string };
  /** It is answered for as long as its caller reads: it takes none of the connections that other requests share. Default false. */
  readonly isWatch?: boolean;
  readonly signal: AbortSignal;
};

/** HTTP to the API server over kept-alive connections, with the credentials of the kubeconfig. */
export type Transport = {
  /** Resolves with the answer's head; rejects with `cluster_unreachable`, or with the signal's reason. */
  open(request: TransportRequest): Promise<IncomingMessage>;
};

type Credentials = Pick<https.RequestOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>;

/** Below the 90 s after which an API server closes an idle connection, so that we never write into a closing one. */
const idleConnectionMs = 30_000;
/** A thousand writes at once share these. Watches take none of them: each node that is being drained has one (view/pods-on-node.ts). */
const maxSockets = 100;

/**
 * Authentication is client-node's (kubeconfig files, exec plugins, rotating token files); the requests are Node's own.
 * The generated client knows neither status subresources of arbitrary kinds nor a watch whose failures can be
 * distinguished, opens a connection per request (its dispatcher and agents are made without keep-alive), and would bring
 * every typed API into memory.
 */
export function createTransport(options: {
  readonly source: ClusterSource;
  readonly userAgent: string;
}): Transport {
  const config = configFromSource(options.source);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Refusal('cluster_unreachable', 'the kubeconfig has no current context with a cluster', {
      remedy: 'choose one with kubectl config use-context',
    });
  }
  const base = new URL(cluster.server);
  const prefix = base.pathname.replace(/\/$/, '');
  const secure = base.protocol === 'https:';
  const proxied = cluster.proxyUrl !== undefined;
  type Agents = { readonly requests: http.Agent; readonly watches: http.Agent };
  let cached: { readonly credentials: Credentials; readonly agents: Agents } | undefined;

  /** The same agents, hence reused connections, until the CA or the client certificate on disk is another. */
  function agentsFor(credentials: Credentials): Agents {
    if (cached !== undefined && sameCredentials(cached.credentials, credentials)) return cached.agents;
    const pool = { keepAlive: true, keepAliveMsecs: 30_000, timeout: idleConnectionMs };
    const agentOf = (more: http.AgentOptions) =>
      secure ? secureAgent({ ...pool, ...more }, credentials) : new http.Agent({ ...pool, ...more });
    // Those that are replaced are not destroyed: watches still run on them, and idle connections time out.
    cached = { credentials, agents: { requests: agentOf({ maxSockets }), watches: agentOf({}) } };
    return cached.agents;
  }

  async function authenticated(isWatch: boolean): Promise<https.RequestOptions> {
    const from: https.RequestOptions = {};
    try {
      await config.applyToHTTPSOptions(from);
    } catch (thrown) {
      throw new Refusal(
        'cluster_unreachable',
        `the credentials for ${base.origin} cannot be used: ${messageFromUnknown(thrown)}`,
        { server: base.origin },
        thrown,
      );
    }
    const { ca, cert, key, rejectUnauthorized, servername } = from;
    const credentials: Credentials = {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(rejectUnauthorized !== undefined && { rejectUnauthorized }),
      ...(servername !== undefined && { servername }),
    };
    const who = {
      ...(from.headers !== undefined && { headers: from.headers }),
      ...(from.auth !== undefined && { auth: from.auth }),
    };
    // A proxy's agent is the library's, which tunnels; it keeps its credentials for the process's life.
    if (proxied && from.agent !== undefined) return { ...who, ...(secure && credentials), agent: from.agent };
    return { ...who, agent: agentsFor(credentials)[isWatch ? 'watches' : 'requests'] };
  }

  async function open(call: TransportRequest): Promise<IncomingMessage> {
    const from = await authenticated(call.isWatch ?? false);
    call.signal.throwIfAborted();
    return attempt(call, from);
  }

  async function attempt(
    call: TransportRequest,
    from: https.RequestOptions,
    again = false,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const request = (secure ? https : http).request(`${base.origin}${prefix}${call.path}`, {
      ...from,
      method: call.method,
      headers: {
        ...(from.headers as http.OutgoingHttpHeaders | undefined),
        accept: 'application/json',
        'user-agent': options.userAgent,
        ...(call.body !== undefined && {
          'content-type': call.body.type,
          'content-length': Buffer.byteLength(call.body.text),
        }),
      },
    });
    const abort = () => request.destroy(new Error('aborted'));
    call.signal.addEventListener('abort', abort, { once: true });
    // An error after the head reaches the reader of the body; here it must only not be unhandled.
    request.on('error', (thrown) => reject(call.signal.aborted ? call.signal.reason : thrown));
    request.once('close', () => call.signal.removeEventListener('abort', abort));
    request.once('response', resolve);
    request.end(call.body?.text);
    try {
      return await promise;
    } catch (thrown) {
      // The server closed an idle connection in the moment we took it. Only a read can be asked again safely.
      const isStale = request.reusedSocket && call.method === 'GET' && !call.signal.aborted && !again;
      if (isStale) return attempt(call, from, true);
      throw thrown;
    }
  }

  return {
    open: async (call) => {
      try {
        return await open(call);
      } catch (thrown) {
        throw call.signal.aborted ? call.signal.reason : unreachable(base.origin, thrown);
      }
    },
  };
}

/**
 * What the files say is parsed once and shared by all connections: otherwise Node does so for each, which keeps its own
 * copy, and compares them as texts with every request.
 */
function secureAgent(pool: http.AgentOptions, credentials: Credentials): https.Agent {
  const { ca, cert, key, ...verification } = credentials;
  const secureContext = createSecureContext({
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
  });
  return new https.Agent({ ...pool, ...verification, secureContext });
}

/** A connection that failed, before or within an answer. */
export function unreachable(server: string, thrown: unknown): Refusal {
  if (thrown instanceof Refusal) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : undefined;
  const text = messageFromUnknown(thrown) || code || 'the connection failed';
  return new Refusal(
    'cluster_unreachable',
    `the Kubernetes API at ${server} does not answer: ${text}`,
    { server, ...(code !== undefined && { errno: code }) },
    thrown,
  );
}

/** The credentials of a source. Throws `cluster_unreachable` where they cannot be used. */
export function configFromSource(source: ClusterSource): KubeConfig {
  const config = new KubeConfig();
  try {
    load(config, source);
  } catch (thrown) {
    throw new Refusal(
      'cluster_unreachable',
      `the kubeconfig cannot be used: ${messageFromUnknown(thrown)}`,
      {
        ...('path' in source && { path: source.path }),
        remedy: 'give --kubeconfig FILE with a file that kubectl can use, or run inside the cluster',
      },
      thrown,
    );
  }
  // The library refuses plain HTTP unless verification is off; without TLS there is nothing to verify.
  config.clusters = config.clusters.map((row) =>
    row.server.startsWith('http:') ? { ...row, skipTLSVerify: true } : row,
  );
  return config;
}

function load(config: KubeConfig, source: ClusterSource): void {
  if ('url' in source) {
    config.loadFromClusterAndUser(
      {
        name: 'given',
        server: source.url,
        skipTLSVerify: false,
        ...(source.caFile !== undefined && { caFile: source.caFile }),
      },
      { name: 'given', ...(source.token !== undefined && { token: source.token }) },
    );
  } else if ('inCluster' in source) {
    if (process.env.KUBERNETES_SERVICE_HOST === undefined) {
      throw new Error('KUBERNETES_SERVICE_HOST is not set: this process does not run in a pod');
    }
    config.loadFromCluster();
  } else {
    if (source.path === undefined) config.loadFromDefault();
    else config.loadFromFile(source.path);
    if (source.context !== undefined) useContext(config, source.context);
  }
}

function useContext(config: KubeConfig, name: string): void {
  const known = config.getContexts().map((context) => context.name);
  if (!known.includes(name))
    throw new Error(`there is no context "${name}"; there are ${known.join(', ') || 'none'}`);
  config.setCurrentContext(name);
}

function sameCredentials(a: Credentials, b: Credentials): boolean {
  return (
    a.rejectUnauthorized === b.rejectUnauthorized &&
    a.servername === b.servername &&
    String(a.ca) === String(b.ca) &&
    String(a.cert) === String(b.cert) &&
    String(a.key) === String(b.key)
  );
}
