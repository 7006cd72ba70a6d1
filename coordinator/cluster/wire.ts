import type { IncomingMessage } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { Refusal } from '../../shared/errors.ts';
import type { KubeObject, WatchEvent } from './port.ts';
import { refusalFromStatus } from './status.ts';

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
    const code = (object as { readonly code?: number } | undefined)?.code ?? 500;
    throw refusalFromStatus(code, JSON.stringify(object) ?? '', asked);
  }
  const isKnown = type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK';
  if (!isKnown || !isKubeObject(object) || (type !== 'BOOKMARK' && !isNamed(object)))
    throw garbage(asked, `an event of type ${JSON.stringify(type)}`);
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
  const { continue: next = '', resourceVersion = '' } = metadata as Readonly<
    Record<string, string | undefined>
  >;
  const rows: readonly KubeObject[] = items ?? [];
  const nameless = rows.findIndex((row) => !isNamed(row));
  if (nameless >= 0) throw garbage(asked, `a list whose item ${nameless} has no name`);
  return {
    items: rows.map((item) => ({ ...item, apiVersion: type.apiVersion, kind: type.kind })),
    resourceVersion,
    next,
  };
}

/** One object. Throws `cluster_unreachable` where the text is none; `asked` names the request in the message. */
export function objectFromText(text: string, asked: string): KubeObject {
  return jsonObjectFromText(text, asked) as KubeObject;
}

function jsonObjectFromText(text: string, asked: string): object {
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

function garbage(asked: string, what: string): Refusal {
  return new Refusal('cluster_unreachable', `${asked}: the server sent ${what}`, { asked });
}
