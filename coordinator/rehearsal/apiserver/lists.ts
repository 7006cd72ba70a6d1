import { randomUUID } from 'node:crypto';
import type { KubeObject } from '../../cluster/port.ts';
import { apiVersionOf, type ServedKind } from './kinds.ts';
import type { Matcher } from './selectors.ts';
import { badRequest, expired } from './status-error.ts';
import type { Store } from './store.ts';

/** One page of a list. */
export type ListRequest = {
  readonly kind: ServedKind;
  readonly matches: Matcher;
  /** With selectors the real one does not report how many items remain. */
  readonly selected: boolean;
  /** Items a page; 0: all. */
  readonly limit: number;
  /** The continue token; empty: the first page. */
  readonly token: string;
};

/** Pages of lists, each of one version of the store; `forget` expires all tokens. */
export type Lists = { serve(request: ListRequest): object; forget(): void };

type Rest = { readonly items: readonly KubeObject[]; readonly version: number };

/** More lists in progress than this, and the oldest one's token expires. */
const openLists = 100;

/** Lists in pages: all pages of one list show the state of its first. */
export function createLists(store: Store): Lists {
  const open = new Map<string, Rest>();

  function restOf({ kind, matches, token }: ListRequest): Rest {
    if (token === '') return { items: store.list(kind.bucket).filter(matches), version: store.version() };
    const rest = open.get(token);
    if (rest !== undefined) return rest;
    if (!/^[0-9a-f-]{36}$/.test(token)) throw badRequest('continue key is not valid');
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  }

  function serve(request: ListRequest): object {
    const { kind, limit, selected } = request;
    const { items, version } = restOf(request);
    const page = limit > 0 ? items.slice(0, limit) : items;
    const remaining = items.length - page.length;
    const next = remaining > 0 ? randomUUID() : undefined;
    if (next !== undefined) {
      open.set(next, { items: items.slice(page.length), version });
      const [oldest] = open.keys();
      if (open.size > openLists && oldest !== undefined) open.delete(oldest);
    }
    return {
      kind: kind.listKind,
      apiVersion: apiVersionOf(kind),
      metadata: {
        resourceVersion: String(version),
        ...(next !== undefined && { continue: next }),
        ...(next !== undefined && !selected && { remainingItemCount: remaining }),
      },
      items: page.map((object) => listItem(kind, object)),
    };
  }

  return { serve, forget: () => open.clear() };
}

/** Items of built-in kinds carry no kind and apiVersion, custom resources do. */
function listItem(kind: ServedKind, object: KubeObject): object {
  const { apiVersion: _version, kind: _kind, ...rest } = object;
  return kind.custom ? { apiVersion: apiVersionOf(kind), kind: kind.kind, ...rest } : rest;
}
