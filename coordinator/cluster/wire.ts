import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { type Reason, Refusal, type RefusalDetails } from '../../shared/errors.ts';
import { type KubeStatus, oddMetadata, statusFrom } from './answers.ts';
import type { KubeObject, ListQuery, ResourceName, WatchEvent } from './port.ts';
import { type ResourceRow, resources } from './resources.ts';

/** An object is at most about 1.5 MiB in etcd; a longer line is not a watch. */
const longestLine = 16 * 2 ** 20;

/** The whole body as text. Rejects when the connection breaks first. */
export async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Whole lines only: what a cut connection left of one comes again with the next watch. */
export async function* linesOf(response: IncomingMessage, asked: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of response) {
    const pieces = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = pieces.pop() ?? '';
    if (rest.length > longestLine) throw garbage(asked, 'a line without an end');
    for (const line of pieces) if (line.trim() !== '') yield line;
  }
}

/** Throws the refusal that an ERROR event carries, as if the request had been refused with it. */
export function eventFromLine(line: string, asked: string): WatchEvent {
  const event = jsonObjectFromText(line, asked) as { readonly type?: unknown; readonly object?: unknown };
  const { type, object } = event;
  if (type === 'ERROR') {
    const code = statusFrom(object)?.code ?? 500;
    throw refusalFromStatus(code, JSON.stringify(object) ?? '', asked);
  }
  const isKnown = type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK';
  if (!isKnown || !isKubeObject(object) || (type !== 'BOOKMARK' && !isNamed(object)))
    throw garbage(asked, `an event of type ${JSON.stringify(type)?.slice(0, 100)}`);
  assertMetadata(object, asked, `an event of type ${type} with an object`);
  return { type, object };
}

/** One page of a list, as the server sends it. */
export type ListPage = {
  readonly items: readonly KubeObject[];
  readonly resourceVersion: string;
  /** The token of the next page; empty after the last. */
  readonly next: string;
};

/** Items of built-in kinds come without kind and apiVersion, hence `type`. */
export function pageFromText(
  text: string,
  type: Pick<KubeObject, 'apiVersion' | 'kind'>,
  asked: string,
): ListPage {
  const answer = jsonObjectFromText(text, asked) as { readonly items?: unknown; readonly metadata?: unknown };
  const { items = [], metadata } = answer;
  if (!isKubeObject(answer) || !(items === null || Array.isArray(items)))
    throw garbage(asked, 'something that is not a list');
  const { continue: token, resourceVersion: version } = metadata as Readonly<Record<string, unknown>>;
  const [next, resourceVersion] = [token ?? '', version ?? ''];
  if (typeof next !== 'string') throw garbage(asked, 'a list whose continue token is no string');
  if (typeof resourceVersion !== 'string') throw garbage(asked, 'a list whose resourceVersion is no string');
  const rows: readonly KubeObject[] = items ?? [];
  const nameless = rows.findIndex((row) => !isNamed(row));
  if (nameless >= 0) throw garbage(asked, `a list whose item ${nameless} has no name`);
  for (const [index, row] of rows.entries()) assertMetadata(row, asked, `a list whose item ${index}`);
  return {
    items: rows.map((item) => ({ ...item, apiVersion: type.apiVersion, kind: type.kind })),
    resourceVersion,
    next,
  };
}

/** One object. Throws `cluster_unreachable` where the text is none; `asked` names the request in the message. */
export function objectFromText(text: string, asked: string): KubeObject {
  const object = jsonObjectFromText(text, asked);
  if (!isKubeObject(object)) throw garbage(asked, 'an object without metadata');
  assertMetadata(object, asked, 'an object that');
  return object;
}

/** Any object of JSON. Throws `cluster_unreachable` for anything else. */
export function jsonObjectFromText(text: string, asked: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below.
  }
  throw garbage(asked, 'something that is not a JSON object');
}

function isKubeObject(value: unknown): value is KubeObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    'metadata' in value &&
    typeof value.metadata === 'object' &&
    value.metadata !== null
  );
}

/** Every object of a list or event has one; without it nothing can be kept or compared. */
function isNamed(value: unknown): value is KubeObject {
  return isKubeObject(value) && typeof value.metadata.name === 'string' && value.metadata.name !== '';
}

/** Whoever reads it may rely on the types; `what` is the object in the refusal. */
function assertMetadata({ metadata }: KubeObject, asked: string, what: string): void {
  const odd = oddMetadata(metadata);
  if (odd !== undefined) throw garbage(asked, `${what} has metadata.${odd} of another type`);
}

function garbage(asked: string, what: string): Refusal {
  return new Refusal('cluster_unreachable', `${asked}: the server sent ${what}`, { asked });
}

const reasonOfCode: Readonly<Record<number, Reason>> = {
  400: 'object_invalid',
  401: 'cluster_refused',
  403: 'cluster_refused',
  404: 'object_missing',
  405: 'object_invalid',
  406: 'object_invalid',
  409: 'object_conflict',
  410: 'resource_expired',
  413: 'object_invalid',
  415: 'object_invalid',
  422: 'object_invalid',
};

/**
 * etcd takes no object beyond 1.5 MiB, and a client of it none beyond 2 MiB: kube-apiserver 1.34 hands both on as an
 * internal error (measured), although they never pass.
 */
const tooLarge = /^etcdserver: request is too large|trying to send message larger than max/;

/**
 * A refusal from an answer that is not 2xx, with the server's own words. Anything that is not in the table (429, 5xx,
 * a proxy's redirect) may pass, hence `cluster_unreachable`.
 */
export function refusalFromStatus(code: number, text: string, asked: string): Refusal {
  const status = statusFromText(text);
  const exists = code === 409 && status?.reason === 'AlreadyExists';
  const reported = status?.message ?? text.trim().slice(0, 500);
  const ofCode = Object.hasOwn(reasonOfCode, code) ? reasonOfCode[code] : undefined;
  const known = code === 500 && tooLarge.test(reported) ? 'object_invalid' : ofCode;
  const reason = exists ? 'object_exists' : (known ?? 'cluster_unreachable');
  const causes = status?.causes ?? [];
  const field = causes[0]?.field;
  const retryAfterSeconds = status?.retryAfterSeconds;
  const details: RefusalDetails = {
    asked,
    httpStatus: code,
    ...(status?.reason !== undefined && { serverReason: status.reason }),
    ...(field !== undefined && { field }),
    ...(causes.length > 0 && { causes }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    // A kind that is not served answers in plain text, or with a Status that names no object.
    ...(code === 404 && { kindServed: status?.name !== undefined }),
  };
  return new Refusal(reason, `${asked}: HTTP ${code}${reported === '' ? '' : `, ${reported}`}`, details);
}

function statusFromText(text: string): KubeStatus | undefined {
  try {
    return statusFrom(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Path of an object or of a kind, and of a subresource of it. */
export function pathOf(
  resource: ResourceName,
  key: { readonly name?: string; readonly namespace?: string | undefined },
  subresource?: 'status' | 'log',
): string {
  const row: ResourceRow = resources[resource];
  const root = row.apiVersion.includes('/') ? `/apis/${row.apiVersion}` : `/api/${row.apiVersion}`;
  const isInside = row.namespaced && key.namespace !== undefined;
  const steps = [
    ...(isInside ? ['namespaces', key.namespace ?? ''] : []),
    row.plural,
    ...(key.name === undefined ? [] : [key.name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `${root}/${steps.map(encodeURIComponent).join('/')}`;
}

/** The selectors of a list or watch as parameters of the request. */
export function selectorsOf({ labelSelector, fieldSelector }: ListQuery): Record<string, string> {
  return { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
}
