import type { Change } from '../cluster/object-cache.ts';
import type { KubeObject } from '../cluster/port.ts';

/** Objects of one kind by a key of theirs, kept up to date by the changes of a reflector. */
export type Index<T> = {
  apply(change: Change): void;
  /** In no order. */
  of(key: string): readonly T[];
};

/**
 * `keyOf` gives the key that an object is found under, undefined where it has none; `entryOf` what is kept for it. An
 * object whose key changes moves.
 */
export function createIndex<T>(
  keyOf: (object: KubeObject) => string | undefined,
  entryOf: (object: KubeObject) => T,
): Index<T> {
  const byKey = new Map<string, Map<string, T>>();

  function drop(object: KubeObject): void {
    const key = keyOf(object);
    const own = key === undefined ? undefined : byKey.get(key);
    own?.delete(nameOf(object));
    if (key !== undefined && own?.size === 0) byKey.delete(key);
  }

  return {
    apply({ type, object, previous }) {
      if (previous !== undefined) drop(previous);
      if (type === 'deleted') return drop(object);
      const key = keyOf(object);
      if (key === undefined) return;
      const own = byKey.get(key) ?? new Map<string, T>();
      byKey.set(key, own.set(nameOf(object), entryOf(object)));
    },
    of: (key) => [...(byKey.get(key)?.values() ?? [])],
  };
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
