import type { KubeObject, ObjectKey } from '../../cluster/port.ts';

/** One change; `version` is that of the whole store. */
export type StoredEvent = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly version: number;
  /** Of the kind, all its versions. */
  readonly bucket: string;
  readonly object: KubeObject;
  readonly previous?: KubeObject;
};

/** Called at once for every change, in order. */
export type Listener = (event: StoredEvent) => void;

/** Objects with one version for all of them and a history, as etcd has them. */
export type Store = {
  version(): number;
  /** The version of the last change of this kind. */
  changed(bucket: string): number;
  get(bucket: string, key: ObjectKey): KubeObject | undefined;
  /** Ordered as etcd orders keys: namespace, then name. */
  list(bucket: string): readonly KubeObject[];
  /** Stores an object under the next version, and calls the listeners. */
  put(bucket: string, object: KubeObject): KubeObject;
  remove(bucket: string, key: ObjectKey): KubeObject | undefined;
  /** undefined: what happened since then is not all known any more. */
  since(bucket: string, version: number): readonly StoredEvent[] | undefined;
  /** The oldest version from which one can still watch. */
  oldest(): number;
  /** Forgets the history up to and including a version. */
  compact(version: number): void;
  listen(listener: Listener): () => void;
};

/** Enough for a thousand targets' worth of writes while a watcher reconnects. */
const historyLimit = 20_000;

/** Objects under one global version, with the history that watches are served from. Objects are never changed in place. */
export function createStore(): Store {
  const buckets = new Map<string, Map<string, KubeObject>>();
  const changed = new Map<string, number>();
  const listeners = new Set<Listener>();
  let history: StoredEvent[] = [];
  let version = 1;
  let oldest = 1;

  function record(event: StoredEvent): void {
    changed.set(event.bucket, event.version);
    history.push(event);
    if (history.length > historyLimit) compact(history[historyLimit >> 1]?.version ?? version);
    for (const listener of [...listeners]) listener(event);
  }

  function compact(upTo: number): void {
    oldest = Math.max(oldest, Math.min(upTo, version));
    history = history.filter((event) => event.version > oldest);
  }

  function bucketOf(name: string): Map<string, KubeObject> {
    const found = buckets.get(name) ?? new Map<string, KubeObject>();
    buckets.set(name, found);
    return found;
  }

  function stamped(object: KubeObject): KubeObject {
    version += 1;
    return { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
  }

  return {
    version: () => version,
    changed: (bucket) => changed.get(bucket) ?? 0,
    get: (bucket, key) => buckets.get(bucket)?.get(keyText(key)),
    list: (bucket) => {
      const entries = [...(buckets.get(bucket) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1));
      return entries.map(([, object]) => object);
    },
    put: (bucket, object) => {
      const key = keyText(object.metadata);
      const previous = buckets.get(bucket)?.get(key);
      const stored = stamped(object);
      bucketOf(bucket).set(key, stored);
      const type = previous === undefined ? 'ADDED' : 'MODIFIED';
      record({ type, version, bucket, object: stored, ...(previous !== undefined && { previous }) });
      return stored;
    },
    remove: (bucket, key) => {
      const previous = buckets.get(bucket)?.get(keyText(key));
      if (previous === undefined) return undefined;
      bucketOf(bucket).delete(keyText(key));
      const object = stamped(previous);
      record({ type: 'DELETED', version, bucket, object, previous });
      return object;
    },
    since: (bucket, from) =>
      from < oldest ? undefined : history.filter((event) => event.version > from && event.bucket === bucket),
    oldest: () => oldest,
    compact,
    listen: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function keyText({ namespace, name }: ObjectKey): string {
  return `${namespace ?? ''}/${name}`;
}
