import type { IncomingMessage, ServerResponse } from 'node:http';
import type { KubeObject, ObjectKey } from '../../cluster/port.ts';
import { apiVersionOf, type Kinds, type ServedKind } from './kinds.ts';
import type { Lists } from './lists.ts';
import type { Objects, WriteOptions } from './objects.ts';
import { jsonPatch, mergePatch, strategicMergePatch } from './patches.ts';
import type { PodLogs } from './pod-logs.ts';
import { bodyOf, isApply, isTrue, type Place, type Verb } from './requests.ts';
import { fieldMatcher, labelMatcher, type Matcher } from './selectors.ts';
import { badRequest, noSuchResource, notFound, statusError } from './status-error.ts';
import type { Store } from './store.ts';
import type { Watches } from './watches.ts';

/** A request that was authorized and whose kind is served. */
export type Asked = {
  readonly verb: Verb;
  readonly kind: ServedKind;
  readonly place: Place;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Throws a StatusError for who may not create this object; a patch may turn out to. */
  readonly assertMayCreate: () => void;
};

/** `text` is a log; `undefined` means that the response is in use already, by a watch. */
export type Answer =
  | { readonly code: number; readonly object: object }
  | { readonly code: number; readonly text: string }
  | undefined;

/** One function a verb; throws a StatusError for what the real server refuses. */
export type Handlers = Readonly<Record<Verb, (asked: Asked) => Promise<Answer> | Answer>>;

type Deps = {
  readonly store: Store;
  readonly kinds: Kinds;
  readonly objects: Objects;
  readonly lists: Lists;
  readonly watches: Watches;
  readonly logs: PodLogs;
};

const defaultWatchSeconds = 1800;

const patchers: Readonly<Record<string, (target: unknown, patch: unknown) => unknown>> = {
  'application/merge-patch+json': mergePatch,
  'application/strategic-merge-patch+json': strategicMergePatch,
  'application/json-patch+json': jsonPatch,
};

/** The verbs over a store. */
export function createHandlers(deps: Deps): Handlers {
  const { store, objects, lists, watches, logs } = deps;

  function existing({ kind, place }: Asked): KubeObject {
    const key = keyOf(place);
    const object = store.get(kind.bucket, key);
    if (object === undefined) throw notFound(kind, key.name);
    return object;
  }

  function get(asked: Asked): Answer {
    const { kind, place, query } = asked;
    if (place.subresource === 'log' && kind.bucket === '/pods') return podLog(logs, existing(asked), query);
    assertSubresource(kind, place);
    return { code: 200, object: shaped(kind, existing(asked)) };
  }

  function list({ kind, place, query }: Asked): Answer {
    const limit = Number(query.get('limit') ?? 0);
    const selected = Boolean(query.get('labelSelector') || query.get('fieldSelector'));
    const token = query.get('continue') ?? '';
    return {
      code: 200,
      object: lists.serve({ kind, matches: matcherOf(kind, place, query), selected, limit, token }),
    };
  }

  function watch({ kind, place, query, response }: Asked): Answer {
    const version = query.get('resourceVersion') ?? '';
    const initialEvents = isTrue(query.get('sendInitialEvents'));
    const fromNow = version === '' || version === '0' || initialEvents;
    if (!/^\d*$/.test(version))
      throw badRequest(`Invalid value: "${version}": resourceVersion is not a number`);
    watches.serve({
      kind,
      matches: matcherOf(kind, place, query),
      from: fromNow ? undefined : Number(version),
      bookmarks: isTrue(query.get('allowWatchBookmarks')),
      initialEvents,
      timeoutSeconds: Number(query.get('timeoutSeconds') ?? defaultWatchSeconds),
      response,
    });
    return undefined;
  }

  async function create(asked: Asked): Promise<Answer> {
    const { kind, place } = asked;
    const body = objectFromBody(await bodyOf(asked.request), kind);
    const { namespace } = body.metadata ?? {};
    if (kind.namespaced && place.namespace === undefined) {
      throw statusError(
        405,
        'MethodNotAllowed',
        'the server does not allow this method on the requested resource',
      );
    }
    assertNamespace(namespace, place);
    const created = objects.create(kind, place.namespace, body, writeOptions(asked));
    return { code: 201, object: shaped(kind, created) };
  }

  async function update(asked: Asked): Promise<Answer> {
    const { kind, place } = asked;
    assertSubresource(kind, place);
    const body = objectFromBody(await bodyOf(asked.request), kind);
    assertNamespace(body.metadata?.namespace, place);
    const before = store.get(kind.bucket, keyOf(place));
    const written = objects.update(
      { kind, key: keyOf(place), next: () => body, method: 'PUT', ...subresourceOf(place) },
      writeOptions(asked),
    );
    return { code: before === undefined ? 201 : 200, object: shaped(kind, written) };
  }

  async function patch(asked: Asked): Promise<Answer> {
    const { kind, place, request } = asked;
    assertSubresource(kind, place);
    if (isApply(request)) return applied(asked, deps);
    const patcher = patcherFor(kind, request.headers['content-type'] ?? '');
    const body = await bodyOf(request);
    const written = objects.update(
      {
        kind,
        key: keyOf(place),
        next: (current) => objectFromBody(patcher(current, body), kind),
        method: 'PATCH',
        ...subresourceOf(place),
      },
      writeOptions(asked),
    );
    return { code: 200, object: shaped(kind, written) };
  }

  async function remove(asked: Asked): Promise<Answer> {
    const { kind, place } = asked;
    const body = (await bodyOf(asked.request)) as
      | { readonly preconditions?: { readonly uid?: string } }
      | undefined;
    const key = keyOf(place);
    const { uid } = existing(asked).metadata;
    const left = objects.remove(kind, key, body?.preconditions?.uid);
    // With finalizers the object stays, and is the answer; pods answer with themselves in any case.
    if (store.get(kind.bucket, key) !== undefined || kind.bucket === '/pods') {
      return { code: 200, object: shaped(kind, left) };
    }
    return { code: 200, object: removedStatus(kind, key.name, uid) };
  }

  function removeAll({ kind, place, query }: Asked): Answer {
    const matches = matcherOf(kind, place, query);
    const items = store.list(kind.bucket).filter(matches);
    for (const { metadata } of items) objects.remove(kind, metadata);
    const metadata = { resourceVersion: String(store.version()) };
    return { code: 200, object: { kind: kind.listKind, apiVersion: apiVersionOf(kind), metadata, items } };
  }

  return { get, list, watch, create, update, patch, delete: remove, deletecollection: removeAll };
}

/** Server-side apply, as with `force`, by one manager: fields that it leaves out are not taken away. JSON only. */
async function applied(asked: Asked, { store, objects }: Pick<Deps, 'store' | 'objects'>): Promise<Answer> {
  const { kind, place, request } = asked;
  const body = objectFromBody(await bodyOf(request), kind);
  assertNamespace(body.metadata.namespace, place);
  if (store.get(kind.bucket, keyOf(place)) === undefined) {
    asked.assertMayCreate();
    const metadata = { ...body.metadata, ...keyOf(place) };
    const created = objects.create(kind, place.namespace, { ...body, metadata }, writeOptions(asked));
    return { code: 201, object: shaped(kind, created) };
  }
  const written = objects.update(
    {
      kind,
      key: keyOf(place),
      next: (current) => objectFromBody(mergePatch(current, body), kind),
      method: 'PATCH',
      ...subresourceOf(place),
    },
    writeOptions(asked),
  );
  return { code: 200, object: shaped(kind, written) };
}

function podLog(logs: Deps['logs'], pod: KubeObject, query: URLSearchParams): Answer {
  const { metadata, spec } = pod as KubeObject & {
    readonly spec?: {
      readonly containers?: readonly { readonly name: string }[];
      readonly nodeName?: string;
    };
  };
  const names = (spec?.containers ?? []).map(({ name }) => name);
  const container = query.get('container') ?? names[0] ?? '';
  if (query.get('container') === null && names.length > 1) {
    throw badRequest(
      `a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(' ')}]`,
    );
  }
  if (!names.includes(container)) {
    throw badRequest(`container ${container} is not valid for pod ${metadata.name}`);
  }
  if (!spec?.nodeName) return { code: 204, text: '' };
  const tail = query.get('tailLines');
  const text = logs.read(metadata, container, tail === null ? undefined : Number(tail));
  if (text === undefined) {
    throw badRequest(
      `container "${container}" in pod "${metadata.name}" is waiting to start: ContainerCreating`,
    );
  }
  return { code: 200, text };
}

/** Refuses with 415 what the API server takes for this kind in no form. */
function patcherFor(kind: ServedKind, contentType: string): (target: unknown, patch: unknown) => unknown {
  const patcher = patchers[contentType.split(';')[0]?.trim() ?? ''];
  if (patcher !== undefined && !(kind.custom && patcher === strategicMergePatch)) return patcher;
  const supported = Object.keys(patchers).filter((name) => !kind.custom || !name.includes('strategic'));
  const message = `the body of the request was in an unknown format - accepted media types include: ${supported.join(', ')}`;
  throw statusError(415, 'UnsupportedMediaType', message);
}

/** What the API server answers where nothing is left of an object. */
function removedStatus(kind: ServedKind, name: string, uid: string | undefined): object {
  const details = { name, ...(kind.group !== '' && { group: kind.group }), kind: kind.plural, uid };
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}

function keyOf({ name = '', namespace }: Place): ObjectKey {
  return { name, ...(namespace !== undefined && { namespace }) };
}

function shaped(kind: ServedKind, object: KubeObject): object {
  return { ...object, kind: kind.kind, apiVersion: apiVersionOf(kind) };
}

function subresourceOf({ subresource }: Place): { readonly subresource?: 'status' } {
  return subresource === 'status' ? { subresource } : {};
}

function assertSubresource(kind: ServedKind, { subresource }: Place): void {
  if (subresource === undefined || (subresource === 'status' && kind.statusSubresource)) return;
  throw noSuchResource();
}

function assertNamespace(given: string | undefined, place: Place): void {
  if (given === undefined || given === '' || given === place.namespace) return;
  const message = `the namespace of the provided object does not match the namespace sent on the request`;
  throw badRequest(message);
}

function matcherOf(kind: ServedKind, place: Place, query: URLSearchParams): Matcher {
  const byLabel = labelMatcher(query.get('labelSelector') ?? '');
  const byField = fieldMatcher(query.get('fieldSelector') ?? '', kind.fields);
  // A watch or a list of one named object is one with a field selector.
  return (object) =>
    (place.namespace === undefined || object.metadata.namespace === place.namespace) &&
    (place.name === undefined || object.metadata.name === place.name) &&
    byLabel(object) &&
    byField(object);
}

function objectFromBody(body: unknown, kind: ServedKind): KubeObject {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw badRequest('the object provided is unrecognized: it is not a JSON object');
  }
  const given = body as Partial<KubeObject>;
  const wanted = apiVersionOf(kind);
  if (given.kind !== kind.kind || given.apiVersion !== wanted) {
    throw badRequest(
      `the API version in the data (${given.apiVersion}, ${given.kind}) does not match the expected API version (${wanted}, ${kind.kind})`,
    );
  }
  return { ...given, metadata: given.metadata ?? {} } as KubeObject;
}

function writeOptions({ query, response }: Asked): WriteOptions {
  const mode = query.get('fieldValidation') ?? 'Warn';
  return {
    strict: mode === 'Strict',
    warn: (text) => {
      if (mode === 'Warn') response.appendHeader('warning', `299 - ${JSON.stringify(text)}`);
    },
  };
}
