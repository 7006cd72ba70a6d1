import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import type { KubeObject, ObjectKey, ResourceName } from '../../cluster/port.ts';
import { resources } from '../../cluster/resources.ts';
import { discovered } from './discovery.ts';
import { type ExecInContainer, serveExec } from './exec.ts';
import { createFaults, type Faults } from './faults.ts';
import { collectGarbage } from './garbage.ts';
import { type Answer, createHandlers } from './handlers.ts';
import { createKinds, groupVersion, type ServedKind } from './kinds.ts';
import { createLists } from './lists.ts';
import { createObjects } from './objects.ts';
import { createPodLogs } from './pod-logs.ts';
import {
  type AuthorizationAnswer,
  type AuthorizationRequest,
  forbidden,
  type Place,
  placeFromPath,
  tokenOf,
  type Verb,
  verbOf,
} from './requests.ts';
import { reviewSelf, selfReviewPath } from './self-review.ts';
import { isStatusError, noSuchResource, statusError } from './status-error.ts';
import { createStore } from './store.ts';
import { createWatches } from './watches.ts';

/** A stand-in for kube-apiserver. */
export type ApiServerOptions = {
  /** Stamps objects, and paces bookmarks and the ends of watches. */
  readonly clock: Clock;
  /** Default 0: any free one. */
  readonly port?: number;
  readonly log: Log;
  /** Absent: everybody may do everything, also without a token. */
  readonly authorize?: (request: AuthorizationRequest) => AuthorizationAnswer;
  /** Runs commands in containers; absent: a pod has no exec. */
  readonly exec?: ExecInContainer;
};

/** A request as it came in, for tests of what a client sends. */
export type RequestRecord = {
  readonly verb: Verb;
  readonly resource: string;
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Tells connections apart. */
  readonly remotePort: number;
};

/** It passes the same contract suite as the real one (test/contract/cluster.ts). */
export type ApiServer = {
  readonly url: string;
  /** What can be made to go wrong. */
  readonly faults: Faults;
  /** The newest requests for objects, oldest first. */
  readonly requests: readonly RequestRecord[];
  /** Looks into it without a request. */
  readonly store: {
    version(): string;
    read(resource: ResourceName, key: ObjectKey): KubeObject | undefined;
    list(resource: ResourceName): readonly KubeObject[];
  };
  /** A container writes a line; without a container it is the pod's only one. */
  appendPodLog(namespace: string, pod: string, line: string, container?: string): void;
  /** How many are open, of one kind or of all. */
  openWatches(resource?: ResourceName): number;
  close(): Promise<void>;
};

/** Below a group that is not served, there is nothing that could make a Status. */
const nothingThere = { code: 404, text: '404 page not found\n' };
const keptRequests = 1_000;
const firstNamespaces = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];

/**
 * A Kubernetes API server over HTTP on loopback, for the kinds of resources.ts and for whatever is defined through it.
 * It plays kube-apiserver and, of the controllers, only garbage collection and the removal of what a namespace or a
 * definition held; no scheduler, no kubelet: a deleted pod is gone at once.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { clock, log } = options;
  const store = createStore();
  const kinds = createKinds();
  const objects = createObjects({ store, kinds, clock });
  const lists = createLists(store);
  const watches = createWatches({ store, clock });
  const logs = createPodLogs();
  const faultTaker = createFaults({ store, watches, forgetPages: lists.forget });
  const handlers = createHandlers({ store, kinds, objects, lists, watches, logs });
  const requests: RequestRecord[] = [];
  collectGarbage({ store, kinds, objects });
  store.listen(({ type, bucket, object }) => {
    if (type === 'DELETED' && bucket === '/pods') logs.forget(object.metadata);
  });
  const namespaces = kinds.find('', 'v1', 'namespaces');
  for (const name of firstNamespaces) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    if (namespaces !== undefined)
      objects.create(namespaces, undefined, body, { strict: false, warn: () => {} });
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<Answer | 'reset'> {
    const url = new URL(request.url ?? '/', 'http://loopback');
    const place = placeFromPath(url.pathname);
    if (request.method === 'POST' && url.pathname === selfReviewPath)
      return { code: 201, object: await reviewSelf(request, options.authorize) };
    if (place === undefined) {
      const found = discovered(url.pathname, kinds);
      if (found === undefined) return nothingThere;
      return typeof found === 'string' ? { code: 200, text: found } : { code: 200, object: found };
    }
    const kind = kinds.find(place.group, place.version, place.plural);
    if (!kinds.all().some(({ group, version }) => group === place.group && version === place.version)) {
      return nothingThere;
    }
    if (kind === undefined || (place.namespace !== undefined && !kind.namespaced)) throw noSuchResource();
    const verb = verbOf(request.method ?? '', place, url.searchParams);
    note(request, verb, kind);
    assertAllowed(options.authorize, request, { verb, kind, place });
    const fault = faultTaker.take(verb, kind);
    if (fault === 'reset') return fault;
    if (fault !== undefined) throw fault;
    const assertMayCreate = () => assertAllowed(options.authorize, request, { verb: 'create', kind, place });
    const asked = { verb, kind, place, query: url.searchParams, request, response, assertMayCreate };
    return handlers[verb](asked);
  }

  function note(request: IncomingMessage, verb: Verb, kind: ServedKind): void {
    const { method = '', url = '', headers, socket } = request;
    requests.push({ verb, resource: kind.plural, method, url, headers, remotePort: socket.remotePort ?? 0 });
    if (requests.length > keptRequests) requests.shift();
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const given = await answer(request, response);
      if (given === 'reset') request.socket.destroy();
      else if (given !== undefined && 'text' in given)
        respond(response, given.code, given.text, 'text/plain');
      else if (given !== undefined)
        respond(response, given.code, JSON.stringify(given.object), 'application/json');
    } catch (thrown) {
      if (response.headersSent || response.destroyed) return;
      if (!isStatusError(thrown))
        log.error({ err: thrown, url: request.url }, 'the stand-in API server failed');
      const { status } = isStatusError(thrown) ? thrown : statusError(500, 'InternalError', String(thrown));
      const after = status.details?.retryAfterSeconds;
      if (after !== undefined) response.setHeader('retry-after', after);
      respond(response, status.code, JSON.stringify(status), 'application/json');
    }
  }

  const server = createServer((request, response) => void serve(request, response));
  const { exec } = options;
  if (exec !== undefined)
    serveExec(server, exec, (request, place) => {
      const pods = kinds.find('', 'v1', 'pods');
      if (pods === undefined) return;
      note(request, 'get', pods);
      assertAllowed(options.authorize, request, { verb: 'get', kind: pods, place });
    });
  const listening = Promise.withResolvers<void>();
  server.once('error', listening.reject);
  server.listen(options.port ?? 0, '127.0.0.1', listening.resolve);
  await listening.promise;
  const { port } = server.address() as AddressInfo;

  const bucketOf = (resource: ResourceName) => {
    const { apiVersion, plural } = resources[resource];
    return `${groupVersion(apiVersion).group}/${plural}`;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    faults: faultTaker.faults,
    requests,
    store: {
      version: () => String(store.version()),
      read: (resource, key) => store.get(bucketOf(resource), key),
      list: (resource) => store.list(bucketOf(resource)),
    },
    appendPodLog: (namespace, pod, line, container) => logs.append({ namespace, name: pod }, line, container),
    openWatches: (resource) =>
      watches.open().filter(({ plural }) => resource === undefined || plural === resources[resource].plural)
        .length,
    close: () => closeServer(server),
  };
}

/** Throws a StatusError 401 or 403, as the real one says it. */
function assertAllowed(
  authorize: ApiServerOptions['authorize'],
  request: IncomingMessage,
  { verb, kind, place }: { readonly verb: Verb; readonly kind: ServedKind; readonly place: Place },
): void {
  if (authorize === undefined) return;
  const token = tokenOf(request);
  const { group, plural: resource, version: _version, ...rest } = place;
  const { allowed, user } = authorize({
    verb,
    group,
    resource,
    ...rest,
    ...(token !== undefined && { token }),
  });
  if (allowed) return;
  if (user === undefined) throw statusError(401, 'Unauthorized', 'Unauthorized');
  throw forbidden(user, verb, kind, place);
}

async function closeServer(server: Server): Promise<void> {
  const closed = Promise.withResolvers<void>();
  server.close(() => closed.resolve());
  server.closeAllConnections();
  await closed.promise;
}

function respond(response: ServerResponse, code: number, text: string, type: string): void {
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}
