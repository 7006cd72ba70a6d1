import type { KubeObject, ObjectKey } from '../../cluster/port.ts';
import type { Kinds } from './kinds.ts';
import type { Objects } from './objects.ts';
import type { Store, StoredEvent } from './store.ts';

type Dependent = { readonly bucket: string; readonly key: ObjectKey };

/**
 * Background garbage collection: what has owners and none of them any more is deleted, soon after the last one went
 * or right after it was made too late. Returns a function that stops it.
 */
export function collectGarbage(deps: {
  readonly store: Store;
  readonly kinds: Kinds;
  readonly objects: Objects;
}): () => void {
  const { store, kinds, objects } = deps;
  const living = new Set<string>();
  const dependents = new Map<string, Map<string, Dependent>>();

  function note({ bucket, object, previous, type }: StoredEvent): void {
    const id = `${bucket} ${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    for (const uid of ownersOf(previous)) dependents.get(uid)?.delete(id);
    if (type === 'DELETED') {
      living.delete(object.metadata.uid ?? '');
      later([...(dependents.get(object.metadata.uid ?? '')?.values() ?? [])]);
      dependents.delete(object.metadata.uid ?? '');
      return;
    }
    living.add(object.metadata.uid ?? '');
    const owners = ownersOf(object);
    for (const uid of owners) {
      const known = dependents.get(uid) ?? new Map<string, Dependent>();
      known.set(id, { bucket, key: object.metadata });
      dependents.set(uid, known);
    }
    if (owners.length > 0 && !owners.some((uid) => living.has(uid)))
      later([{ bucket, key: object.metadata }]);
  }

  function later(orphans: readonly Dependent[]): void {
    // Not within the request that made them orphans: the answer comes first, as from the real controller.
    if (orphans.length > 0) setImmediate(() => orphans.forEach(collect));
  }

  function collect({ bucket, key }: Dependent): void {
    const object = store.get(bucket, key);
    const kind = kinds.all().find((row) => row.bucket === bucket);
    if (object === undefined || kind === undefined) return;
    if (ownersOf(object).some((uid) => living.has(uid))) return;
    objects.remove(kind, key);
  }

  return store.listen(note);
}

function ownersOf(object: KubeObject | undefined): readonly string[] {
  return (object?.metadata.ownerReferences ?? []).map(({ uid }) => uid);
}
