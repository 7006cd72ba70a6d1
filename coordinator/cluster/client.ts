import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
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
import { type ResourceRow, resources } from './resources.ts';
import { refusalFromStatus } from './status.ts';
import { type ClusterSource, createTransport, type TransportRequest, unreachable } from './transport.ts';

export type ClusterClientOptions = {
  readonly kubeconfig: ClusterSource;
  /** `xidrill-coordinator/<version>`: an audit log and the server's own metrics show it. */
  readonly userAgent: string;
  /** The name under which the server records which fields are ours. */
  readonly fieldManager: string;
  readonly log: Log;
  /** For a whole answer, or for the head of a watch. Default 30 s, of real time: a network is not sped up. */
  readonly requestTimeoutMs?: number;
  /** How long the server may keep one watch open. Default 300, as client-go's shortest. */
  readonly watchSeconds?: number;
};

type Call = Omit<TransportRequest, 'signal'> & {
  /** What was asked, in the words of kubectl, for messages. */
  readonly asked: string;
};

const pageSize = 500;
/** An object is at most about 1.5 MiB in etcd; a longer line is not a watch. */
const longestLine = 16 * 2 ** 20;
const longestLogBytes = 2 ** 20;

export function createClusterClient(options: ClusterClientOptions): Cluster {
  const transport = createTransport({ source: options.kubeconfig, userAgent: options.userAgent });
  const timeoutMs = options.requestTimeoutMs ?? 30_000;
  const watchSeconds = options.watchSeconds ?? 300;

  /** The text of a 2xx answer; everything else is thrown. */
  async function send({ asked, ...request }: Call): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      const response = await transport.open({ ...request, signal });
      const text = await textOf(response);
      const code = response.statusCode ?? 0;
      if (code < 200 || code > 299) throw refusalFromStatus(code, text, asked);
      const warning = response.headers.warning;
      if (warning !== undefined) options.log.warn({ asked, warning }, 'the Kubernetes API warns');
      return text;
    } catch (thrown) {
      if (signal.aborted) {
        throw new Refusal('cluster_unreachable', `${asked}: no answer within ${timeoutMs} ms`, {
          asked,
          timeoutMs,
        });
      }
      throw unreachable(asked, thrown);
    }
  }

  async function sendForObject(call: Call): Promise<KubeObject> {
    return parsed(await send(call), call.asked) as KubeObject;
  }

  function writing(
    method: 'POST' | 'PUT' | 'PATCH',
    path: string,
    body: JsonObject,
    type = 'application/json',
  ) {
    const query = new URLSearchParams({ fieldManager: options.fieldManager });
    return { method, path: `${path}?${query}`, body: { type, text: JSON.stringify(body) } } as const;
  }

  async function list(resource: ResourceName, query: ListQuery = {}): Promise<Listing> {
    const items: KubeObject[] = [];
    let next = '';
    let limit = pageSize;
    for (;;) {
      const page = new URLSearchParams(selectorsOf(query));
      if (limit > 0) page.set('limit', String(limit));
      if (next !== '') page.set('continue', next);
      const path = `${pathOf(resource, { namespace: query.namespace })}?${page}`;
      const asked = `list ${resource}`;
      let answer: KubeObject;
      try {
        answer = await sendForObject({ method: 'GET', path, asked });
      } catch (thrown) {
        // The pages took longer than the server keeps history: once more, in one piece, as client-go does.
        if (next === '' || !(thrown instanceof Refusal) || thrown.reason !== 'resource_expired') throw thrown;
        options.log.info({ resource }, 'the list expired between two pages; listing again without pages');
        items.length = 0;
        next = '';
        limit = 0;
        continue;
      }
      // Items of built-in kinds come without kind and apiVersion.
      const { apiVersion, kind } = resources[resource];
      for (const item of listItems(answer, asked)) items.push({ ...item, apiVersion, kind });
      const meta = answer.metadata as { readonly continue?: string; readonly resourceVersion?: string };
      next = meta.continue ?? '';
      if (next === '') return { items, resourceVersion: meta.resourceVersion ?? '' };
    }
  }

  async function* watch(resource: ResourceName, query: WatchQuery): AsyncGenerator<WatchEvent> {
    const asked = `watch ${resource}`;
    if (query.signal.aborted) return;
    const parameters = new URLSearchParams({
      ...selectorsOf(query),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: query.resourceVersion,
      timeoutSeconds: String(watchSeconds),
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
      const response = await transport.open({ method: 'GET', path, signal: ending.signal });
      clearTimeout(headTimer);
      const code = response.statusCode ?? 0;
      if (code !== 200) throw refusalFromStatus(code, await textOf(response), asked);
      for await (const line of linesOf(response, asked)) yield eventFromLine(line, asked);
    } catch (thrown) {
      if (query.signal.aborted) return;
      throw unreachable(asked, ending.signal.aborted ? ending.signal.reason : thrown);
    } finally {
      clearTimeout(headTimer);
      query.signal.removeEventListener('abort', abort);
      // Ends the connection when the caller leaves its loop; after a normal end it does nothing.
      ending.abort();
    }
  }

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

  return {
    list,
    watch,
    read: (resource, key) =>
      orUndefined(
        sendForObject({ method: 'GET', path: pathOf(resource, key), asked: `get ${shown(resource, key)}` }),
      ),
    create: (resource, object) => {
      const { name, namespace } = object.metadata;
      const asked = `create ${shown(resource, { name: name ?? object.metadata.generateName, ...(namespace && { namespace }) })}`;
      return sendForObject({ ...writing('POST', pathOf(resource, { namespace }), object), asked });
    },
    replace: (resource, object, subresource) => {
      const path = pathOf(resource, object.metadata, subresource);
      return sendForObject({
        ...writing('PUT', path, object),
        asked: `replace ${shown(resource, object.metadata)}`,
      });
    },
    patch: (resource, key, patch, subresource) => {
      const path = pathOf(resource, key, subresource);
      const request = writing('PATCH', path, patch, 'application/merge-patch+json');
      return sendForObject({ ...request, asked: `patch ${shown(resource, key)}` });
    },
    remove: async (resource, key) => {
      const text = JSON.stringify({
        kind: 'DeleteOptions',
        apiVersion: 'v1',
        propagationPolicy: 'Background',
      });
      const body = { type: 'application/json', text };
      const asked = `delete ${shown(resource, key)}`;
      await orUndefined(send({ method: 'DELETE', path: pathOf(resource, key), body, asked }));
    },
    podLog: async (key, { container, tailLines }) => {
      const query = new URLSearchParams({
        tailLines: String(tailLines),
        limitBytes: String(longestLogBytes),
      });
      if (container !== undefined) query.set('container', container);
      const path = `${pathOf('pods', key, 'log')}?${query}`;
      try {
        return await orUndefined(send({ method: 'GET', path, asked: `logs of ${shown('pods', key)}` }));
      } catch (thrown) {
        if (thrown instanceof Refusal && thrown.reason === 'object_invalid' && noLogYet.test(thrown.message))
          return undefined;
        throw thrown;
      }
    },
  };
}

/** How the API server says that a container has written nothing so far; it has no code of its own for that. */
const noLogYet =
  /is waiting to start|does not have a host assigned|trying and failing to pull|previous terminated/;

function pathOf(
  resource: ResourceName,
  key: { readonly name?: string; readonly namespace?: string | undefined },
  subresource?: 'status' | 'log',
): string {
  const row: ResourceRow = resources[resource];
  const root = row.apiVersion.includes('/') ? `/apis/${row.apiVersion}` : `/api/${row.apiVersion}`;
  const space =
    row.namespaced && key.namespace !== undefined ? `/namespaces/${encodeURIComponent(key.namespace)}` : '';
  const name = key.name === undefined ? '' : `/${encodeURIComponent(key.name)}`;
  return `${root}${space}/${row.plural}${name}${subresource === undefined ? '' : `/${subresource}`}`;
}

function selectorsOf({ labelSelector, fieldSelector }: ListQuery): Record<string, string> {
  return { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
}

function shown(resource: ResourceName, key: ObjectKey): string {
  return key.namespace === undefined ? `${resource} ${key.name}` : `${resource} ${key.namespace}/${key.name}`;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Whole lines only: what a cut connection left of one comes again with the next watch. */
async function* linesOf(response: IncomingMessage, asked: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response) {
    const pieces = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = pieces.pop() ?? '';
    if (rest.length > longestLine) throw garbage(asked, 'a line without an end');
    for (const line of pieces) if (line.trim() !== '') yield line;
  }
}

function eventFromLine(line: string, asked: string): WatchEvent {
  const event = parsed(line, asked) as { readonly type?: unknown; readonly object?: unknown };
  const { type, object } = event;
  if (type === 'ERROR') {
    const code = (object as { readonly code?: number } | undefined)?.code ?? 500;
    throw refusalFromStatus(code, JSON.stringify(object), asked);
  }
  const isKnown = type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK';
  if (!isKnown || !isKubeObject(object)) throw garbage(asked, `an event of type ${JSON.stringify(type)}`);
  return { type, object };
}

function isKubeObject(value: unknown): value is KubeObject {
  return (
    typeof value === 'object' && value !== null && 'metadata' in value && typeof value.metadata === 'object'
  );
}

function listItems(answer: KubeObject, asked: string): readonly KubeObject[] {
  if (!isKubeObject(answer)) throw garbage(asked, 'a list without metadata');
  const items = (answer as { readonly items?: unknown }).items ?? [];
  if (!Array.isArray(items)) throw garbage(asked, 'a list without items');
  return items as KubeObject[];
}

function parsed(text: string, asked: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // said below, with what came
  }
  throw garbage(asked, 'something that is not a JSON object');
}

function garbage(asked: string, what: string): Refusal {
  return new Refusal('cluster_unreachable', `${asked}: the server sent ${what}`, { asked });
}
