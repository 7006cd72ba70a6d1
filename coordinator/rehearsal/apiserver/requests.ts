import type { IncomingMessage } from 'node:http';
import type { ServedKind } from './kinds.ts';
import { badRequest, statusError } from './status-error.ts';

/** The verbs of Kubernetes RBAC. */
export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';

/** A path below a group and version, taken apart. */
export type Place = {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
};

/** What an authorizer decides by. */
export type AuthorizationRequest = {
  /** The bearer token; absent: none was sent. */
  readonly token?: string;
  readonly verb: Verb;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
};

/** Without a user the answer is 401, with one 403. */
export type AuthorizationAnswer = { readonly allowed: boolean; readonly user?: string };

const bodyLimit = 3 * 2 ** 20;
/** etcd's --max-request-bytes, 1.5 MiB by default. */
const etcdLimit = 1.5 * 2 ** 20;

/** undefined: not the path of a kind. */
export function placeFromPath(pathname: string): Place | undefined {
  const steps = pathname.split('/').filter((step) => step !== '');
  const all = steps.map(decodeURIComponent);
  const [root, first = '', second = ''] = all;
  if (root === 'api') return place('', first, all.slice(2));
  if (root === 'apis') return place(first, second, all.slice(3));
  return undefined;
}

function place(group: string, version: string, rest: readonly string[]): Place | undefined {
  const [first, second, third] = rest;
  if (first === undefined) return undefined;
  // /namespaces/x/pods is a place in x, while /namespaces/x/status is of x itself.
  const isInside =
    first === 'namespaces' && third !== undefined && third !== 'status' && third !== 'finalize';
  const [plural = '', name, ...sub] = isInside ? rest.slice(2) : rest;
  if (sub.length > 1) return undefined;
  const [subresource] = sub;
  return {
    group,
    version,
    plural,
    ...(isInside && second !== undefined && { namespace: second }),
    ...(name !== undefined && { name }),
    ...(subresource !== undefined && { subresource }),
  };
}

/** Throws a StatusError 405 where method and path do not go together. */
export function verbOf(method: string, where: Place, query: URLSearchParams): Verb {
  const named = where.name !== undefined;
  if (method === 'GET' && isTrue(query.get('watch'))) return 'watch';
  if (method === 'GET') return named ? 'get' : 'list';
  if (method === 'POST' && !named) return 'create';
  if (method === 'PUT' && named) return 'update';
  if (method === 'PATCH' && named) return 'patch';
  if (method === 'DELETE') return named ? 'delete' : 'deletecollection';
  throw statusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
  );
}

/** The bearer token; undefined: none was sent. */
export function tokenOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
}

/** As Go's strconv.ParseBool, as far as clients use it. */
export function isTrue(text: string | null): boolean {
  return text === 'true' || text === '1';
}

/** Whether it is a server-side apply. */
export function isApply({ headers }: IncomingMessage): boolean {
  return headers['content-type']?.split(';')[0]?.trim() === 'application/apply-patch+yaml';
}

/** The parsed JSON body. Throws a StatusError 415, 413 or 400. */
export async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const type = request.headers['content-type'] ?? 'application/json';
  if (!type.includes('json') && !isApply(request)) {
    // kubectl create sends protobuf for what it knows; kubectl apply sends JSON.
    const message = `the body of the request was in an unknown format (${type}) - accepted media types include: application/json`;
    throw statusError(415, 'UnsupportedMediaType', message);
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > bodyLimit) {
      throw statusError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyLimit}`);
    }
    chunks.push(chunk as Buffer);
  }
  // What etcd says of an object that is too large for it; it is stored much as it was sent.
  if (size > etcdLimit) throw statusError(500, '', 'etcdserver: request is too large');
  const text = Buffer.concat(chunks).toString('utf8');
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw badRequest(`the body of the request is not JSON: ${(thrown as Error).message}`);
  }
}

/** The real one's sentence, which names user, verb, resource and scope. */
export function forbidden(user: string, verb: Verb, kind: ServedKind, where: Place): Error {
  const resource = where.subresource === undefined ? where.plural : `${where.plural}/${where.subresource}`;
  const qualified = where.group === '' ? where.plural : `${where.plural}.${where.group}`;
  const scope =
    where.namespace === undefined ? 'at the cluster scope' : `in the namespace "${where.namespace}"`;
  const name = where.name === undefined ? '' : ` "${where.name}"`;
  const message = `${qualified}${name} is forbidden: User "${user}" cannot ${verb} resource "${resource}" in API group "${where.group}" ${scope}`;
  const details = {
    ...(where.name && { name: where.name }),
    ...(where.group && { group: where.group }),
    kind: kind.plural,
  };
  return statusError(403, 'Forbidden', message, details);
}
