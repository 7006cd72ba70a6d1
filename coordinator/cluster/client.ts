import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDeadline } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type {
  Cluster,
  JsonObject,
  KubeObject,
  Listing,
  ListQuery,
  ObjectKey,
  ResourceName,
  WatchEvent,
  WatchQuery,
} from './port.ts';
import { resources } from './resources.ts';
import {
  type ClusterSource,
  createTransport,
  type Transport,
  type TransportRequest,
  unreachable,
} from './transport.ts';
import {
  eventFromLine,
  jsonObjectFromText,
  type ListPage,
  linesOf,
  objectFromText,
  pageFromText,
  pathOf,
  refusalFromStatus,
  selectorsOf,
  textOf,
} from './wire.ts';

/** How we connect to the API server, and what it sees of us. */
export type ClusterClientOptions = {
  /** A file, or the ServiceAccount of the pod. */
  readonly kubeconfig: ClusterSource;
  /** `xidrill-coordinator/<version>`: an audit log and the server's own metrics show it. */
  readonly userAgent: string;
  /** The name under which the server records which fields are ours. */
  readonly fieldManager: string;
  readonly log: Log;
  /** For a whole answer, or for the head of a watch. Default 30 s, of real time: a network is not sped up. */
  readonly requestTimeoutMs?: number;
};

type Call = Omit<TransportRequest, 'signal'> & {
  /** What was asked, in the words of kubectl, for messages. */
  readonly asked: string;
  readonly signal?: AbortSignal | undefined;
};

type Answer = { readonly code: number; readonly text: string };

/** Everybody who is authenticated may ask about themselves (ClusterRole system:basic-user). */
const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

const defaultPageSize = 500;
/** Of a request that the API server puts off. */
const mostAttempts = 5;
const longestLogBytes = 2 ** 20;

/** How the API server says that a container has written nothing so far; it has no code of its own for that. */
const noLogYet =
  /is waiting to start|does not have a host assigned|trying and failing to pull|previous terminated/;

/** What depends on the object is deleted after it. */
const inBackground = { kind: 'DeleteOptions', apiVersion: 'v1', propagationPolicy: 'Background' };

/** The port over HTTP: what a call becomes on the wire, and which refusal an answer is. */
export function createClusterClient(options: ClusterClientOptions): Cluster {
  const transport = createTransport({ source: options.kubeconfig, userAgent: options.userAgent });
  const timeoutMs = options.requestTimeoutMs ?? 30_000;

  async function send(call: Call): Promise<string> {
    return (await exchange(call)).text;
  }

  /** A 2xx answer; everything else is thrown. */
  async function exchange({ asked, signal: given, ...request }: Call): Promise<Answer> {
    const deadline = createDeadline(timeoutMs, given);
    try {
      const response = await openPatiently(transport, { ...request, signal: deadline.signal }, timeoutMs);
      const text = await textOf(response);
      const code = response.statusCode ?? 0;
      if (code < 200 || code > 299) throw refusalFromStatus(code, text, asked);
      const warning = response.headers.warning;
      if (warning !== undefined) options.log.warn({ asked, warning }, 'the Kubernetes API warns');
      return { code, text };
    } catch (thrown) {
      given?.throwIfAborted();
      if (!deadline.hasPassed()) throw unreachable(asked, thrown);
      const message = `${asked}: no answer within ${timeoutMs} ms`;
      throw new Refusal('cluster_unreachable', message, { asked, timeoutMs });
    } finally {
      deadline.release();
    }
  }

  async function sendForObject(call: Call): Promise<KubeObject> {
    return objectFromText(await send(call), call.asked);
  }

  function writing(method: 'POST' | 'PUT' | 'PATCH', path: string, body: JsonObject, type: string) {
    const query = new URLSearchParams({ fieldManager: options.fieldManager });
    return { method, path: `${path}?${query}`, body: { type, text: JSON.stringify(body) } } as const;
  }

  async function list(resource: ResourceName, query: ListQuery = {}): Promise<Listing> {
    try {
      return await allPages(resource, query, query.pageSize ?? defaultPageSize);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'resource_expired') throw thrown;
      // The pages took longer than the server keeps history: once more, in one piece, as client-go does.
      options.log.info({ resource }, 'the list expired between two pages; listing again without pages');
      return allPages(resource, query, 0);
    }
  }

  async function allPages(resource: ResourceName, query: ListQuery, limit: number): Promise<Listing> {
    const asked = `list ${resource}`;
    const items: KubeObject[] = [];
    for (let next = ''; ; ) {
      const parameters = new URLSearchParams({
        ...selectorsOf(query),
        ...(limit > 0 && { limit: String(limit) }),
        ...(next !== '' && { continue: next }),
      });
      const path = `${pathOf(resource, { namespace: query.namespace })}?${parameters}`;
      const text = await send({ method: 'GET', path, asked, signal: query.signal });
      const page: ListPage = pageFromText(text, resources[resource], asked);
      for (const item of page.items) items.push(query.project?.(item) ?? item);
      if (page.next === '') return { items, resourceVersion: page.resourceVersion };
      // It would be asked for the same page for ever.
      if (page.next === next)
        throw unreachable(asked, new Error('the server sent the same continue token twice'));
      next = page.next;
    }
  }

  return {
    list,
    watch: createWatch(transport, timeoutMs),
    read: (resource, key) => {
      const asked = `get ${shown(resource, key)}`;
      return orUndefined(sendForObject({ method: 'GET', path: pathOf(resource, key), asked }));
    },
    create: (resource, object) => {
      const { name, namespace, generateName } = object.metadata;
      const path = pathOf(resource, { namespace });
      const asked = `create ${resource} ${name ?? generateName ?? ''}`;
      return sendForObject({ ...writing('POST', path, object, 'application/json'), asked });
    },
    replace: (resource, object, subresource) => {
      const path = pathOf(resource, object.metadata, subresource);
      const asked = `replace ${shown(resource, object.metadata)}`;
      return sendForObject({ ...writing('PUT', path, object, 'application/json'), asked });
    },
    patch: (resource, key, patch, subresource) => {
      const path = pathOf(resource, key, subresource);
      const asked = `patch ${shown(resource, key)}`;
      // Explicit: the server's own default for an unnamed type, and the library's, is a JSON patch.
      return sendForObject({ ...writing('PATCH', path, patch, 'application/merge-patch+json'), asked });
    },
    apply: (resource, object) => sendForObject(applying(resource, object, options.fieldManager)),
    remove: async (resource, key, uid) => {
      const asked = `delete ${shown(resource, key)}`;
      const options = uid === undefined ? inBackground : { ...inBackground, preconditions: { uid } };
      const body = { type: 'application/json', text: JSON.stringify(options) } as const;
      await orUndefined(send({ method: 'DELETE', path: pathOf(resource, key), body, asked }));
    },
    podLog: (key, of) => readPodLog(exchange, key, of),
    may: async (right) => {
      const asked = `may I ${right.verb} ${right.resource}`;
      const review = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: right },
      };
      const body = { type: 'application/json', text: JSON.stringify(review) } as const;
      const answer = jsonObjectFromText(await send({ method: 'POST', path: reviewPath, body, asked }), asked);
      return (answer as { readonly status?: { readonly allowed?: unknown } }).status?.allowed === true;
    },
  };
}

function applying(resource: ResourceName, object: KubeObject, fieldManager: string): Call {
  const query = new URLSearchParams({ fieldManager, force: 'true' });
  return {
    method: 'PATCH',
    path: `${pathOf(resource, object.metadata)}?${query}`,
    // JSON is YAML.
    body: { type: 'application/apply-patch+yaml', text: JSON.stringify(object) },
    asked: `apply ${shown(resource, object.metadata)}`,
  };
}

/** undefined: the pod is not there, or has no log yet. */
async function readPodLog(
  exchange: (call: Call) => Promise<Answer>,
  key: ObjectKey,
  of: { readonly container?: string; readonly tailLines: number },
): Promise<string | undefined> {
  const query = new URLSearchParams({
    tailLines: String(of.tailLines),
    limitBytes: String(longestLogBytes),
    ...(of.container !== undefined && { container: of.container }),
  });
  const path = `${pathOf('pods', key, 'log')}?${query}`;
  try {
    const answer = await orUndefined(
      exchange({ method: 'GET', path, asked: `logs of ${shown('pods', key)}` }),
    );
    // 204: the pod is on no node yet.
    return answer?.code === 204 ? undefined : answer?.text;
  } catch (thrown) {
    const isBadRequest = thrown instanceof Refusal && thrown.reason === 'object_invalid';
    if (isBadRequest && noLogYet.test(thrown.message)) return undefined;
    throw thrown;
  }
}

/** undefined: the object is not there. */
async function orUndefined<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    const isMissing = thrown instanceof Refusal && thrown.reason === 'object_missing';
    // A kind that is not served is not the same as an object that is not there.
    if (isMissing && thrown.details.kindServed === true) return undefined;
    throw thrown;
  }
}

function shown(resource: ResourceName, key: ObjectKey): string {
  return key.namespace === undefined ? `${resource} ${key.name}` : `${resource} ${key.namespace}/${key.name}`;
}

const defaultWatchSeconds = 120;

/** The port's `watch` over HTTP; `timeoutMs` is for the head of the answer alone, of real time. */
function createWatch(transport: Transport, timeoutMs: number) {
  return async function* watch(resource: ResourceName, query: WatchQuery): AsyncGenerator<WatchEvent> {
    const asked = `watch ${resource}`;
    if (query.signal.aborted) return;
    const parameters = new URLSearchParams({
      ...selectorsOf(query),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: query.resourceVersion,
      timeoutSeconds: String(query.timeoutSeconds ?? defaultWatchSeconds),
    });
    const path = `${pathOf(resource, { namespace: query.namespace })}?${parameters}`;
    const ending = new AbortController();
    const abort = () => ending.abort(query.signal.reason);
    query.signal.addEventListener('abort', abort, { once: true });
    const headTimer = setTimeout(
      () => ending.abort(new Error(`no answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      const response = await transport.open({ method: 'GET', path, isWatch: true, signal: ending.signal });
      const code = response.statusCode ?? 0;
      if (code !== 200) throw refusalFromStatus(code, await textOf(response), asked);
      clearTimeout(headTimer);
      query.onOpen?.();
      for await (const line of linesOf(response, asked)) {
        const event = eventFromLine(line, asked);
        const isWhole = query.project === undefined || event.type === 'BOOKMARK';
        yield isWhole ? event : { type: event.type, object: query.project(event.object) };
      }
    } catch (thrown) {
      if (query.signal.aborted) return;
      throw unreachable(asked, ending.signal.aborted ? ending.signal.reason : thrown);
    } finally {
      clearTimeout(headTimer);
      query.signal.removeEventListener('abort', abort);
      // Ends the connection when the caller leaves its loop; after a normal end it does nothing.
      ending.abort();
    }
  };
}

/**
 * As client-go does (rest/with_retry.go): a 429 with Retry-After was not carried out, so that it is sent again after that time,
 * whatever it asks for, as long as the deadline of the whole call allows.
 */
async function openPatiently(
  transport: Transport,
  request: TransportRequest,
  timeoutMs: number,
): Promise<IncomingMessage> {
  const begun = performance.now();
  for (let attempt = 1; ; attempt += 1) {
    const response = await transport.open(request);
    const pauseMs = Number(response.headers['retry-after'] ?? Number.NaN) * 1000;
    const isInTime = performance.now() - begun + pauseMs < timeoutMs;
    if (response.statusCode !== 429 || attempt === mostAttempts || !isInTime) return response;
    await textOf(response);
    await sleep(pauseMs, undefined, { signal: request.signal });
  }
}
