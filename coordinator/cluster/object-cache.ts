import type { KubeObject, ObjectKey } from './port.ts';

/** What became known about one object. `at` is this process's clock, when it became known. */
export type Change = {
  readonly type: 'added' | 'modified' | 'deleted';
  /** The last known state where it was deleted. */
  readonly object: KubeObject;
  readonly previous?: KubeObject;
  readonly at: number;
};

/** The objects of one kind as they were last seen. */
export type ObjectCache = {
  /** One event of a watch. */
  apply(object: KubeObject, isGone: boolean): void;
  /**
   * What the server answered to a write of our own, ahead of the watch. Until the watch has brought that version, older
   * ones of the object are ignored, whether they come by event or by list.
   */
  learn(object: KubeObject): void;
  /** A whole list as of `version`; the differences to what was known are reported as changes. */
  replaceAll(items: readonly KubeObject[], version: string): void;
  get(key: ObjectKey): KubeObject | undefined;
  list(): readonly KubeObject[];
};

/** An empty cache; each difference is reported once, repeated events are not. */
export function createObjectCache(deps: {
  readonly now: () => number;
  readonly onChange: (change: Change) => void;
}): ObjectCache {
  const { now, onChange } = deps;
  const known = new Map<string, KubeObject>();
  /** Versions of our own writes that the watch has not brought so far, by key. */
  const ahead = new Map<string, string>();

  function report(type: Change['type'], object: KubeObject, previous?: KubeObject): void {
    onChange({ type, object, at: now(), ...(previous !== undefined && { previous }) });
  }

  /** Whether the watch has yet to bring what we wrote ourselves. Only for our own writes: a restored etcd counts anew. */
  function isBehind(key: string, version: string | undefined): boolean {
    const written = ahead.get(key);
    if (written === undefined) return false;
    if (isOlder(version, written)) return true;
    ahead.delete(key);
    return false;
  }

  function apply(object: KubeObject, isGone: boolean): void {
    const key = keyText(object.metadata);
    if (isBehind(key, object.metadata.resourceVersion)) return;
    set(key, object, isGone);
  }

  function set(key: string, object: KubeObject, isGone: boolean): void {
    const previous = known.get(key);
    if (isGone) {
      known.delete(key);
      if (previous !== undefined) report('deleted', object, previous);
      return;
    }
    known.set(key, object);
    if (previous === undefined) report('added', object);
    else if (previous.metadata.uid !== object.metadata.uid) {
      // The name is the same and the object is not: its end was not seen.
      report('deleted', previous, previous);
      report('added', object);
    } else if (previous.metadata.resourceVersion !== object.metadata.resourceVersion) {
      report('modified', object, previous);
    }
  }

  return {
    apply,
    learn: (object) => {
      const key = keyText(object.metadata);
      const { resourceVersion = '' } = object.metadata;
      if (isOlder(resourceVersion, known.get(key)?.metadata.resourceVersion ?? '')) return;
      ahead.set(key, resourceVersion);
      set(key, object, false);
    },
    replaceAll: (items, version) => {
      const present = new Set(items.map(({ metadata }) => keyText(metadata)));
      for (const [key, object] of [...known]) {
        if (!present.has(key) && !isBehind(key, version)) set(key, object, true);
      }
      for (const object of items) apply(object, false);
    },
    get: (key) => known.get(keyText(key)),
    list: () => [...known.values()],
  };
}

function keyText({ namespace, name }: ObjectKey): string {
  return `${namespace ?? ''}/${name}`;
}

/** Versions are etcd's revisions; one that is no number is never older (API concepts, "Resource versions"). */
function isOlder(version: string | undefined, than: string): boolean {
  return Number(version) < Number(than);
}
