import type { KubeObject, ObjectKey } from './port.ts';

/** What became known about one object. `at` is this process's clock, when it became known. */
export type Change = {
  readonly type: 'added' | 'modified' | 'deleted';
  /** The last known state where it was deleted. */
  readonly object: KubeObject;
  readonly previous?: KubeObject;
  readonly at: number;
};

export type KnownObjects = {
  /** One event of a watch. */
  apply(object: KubeObject, isGone: boolean): void;
  /** A whole list, told as the differences to what was known. */
  replaceAll(items: readonly KubeObject[]): void;
  get(key: ObjectKey): KubeObject | undefined;
  list(): readonly KubeObject[];
};

/** The objects of one kind as they were last seen; each difference is told once, repeated events are not. */
export function createKnownObjects(deps: {
  readonly now: () => number;
  readonly onChange: (change: Change) => void;
}): KnownObjects {
  const { now, onChange } = deps;
  const known = new Map<string, KubeObject>();

  function tell(type: Change['type'], object: KubeObject, previous?: KubeObject): void {
    onChange({ type, object, at: now(), ...(previous !== undefined && { previous }) });
  }

  function apply(object: KubeObject, isGone: boolean): void {
    const key = keyText(object.metadata);
    const previous = known.get(key);
    if (isGone) {
      known.delete(key);
      if (previous !== undefined) tell('deleted', object, previous);
      return;
    }
    known.set(key, object);
    if (previous === undefined) tell('added', object);
    else if (previous.metadata.uid !== object.metadata.uid) {
      // The name is the same and the object is not: its end was not seen.
      tell('deleted', previous, previous);
      tell('added', object);
    } else if (previous.metadata.resourceVersion !== object.metadata.resourceVersion) {
      tell('modified', object, previous);
    }
  }

  return {
    apply,
    replaceAll: (items) => {
      const present = new Set(items.map(({ metadata }) => keyText(metadata)));
      for (const [key, object] of [...known]) if (!present.has(key)) apply(object, true);
      for (const object of items) apply(object, false);
    },
    get: (key) => known.get(keyText(key)),
    list: () => [...known.values()],
  };
}

function keyText({ namespace, name }: ObjectKey): string {
  return `${namespace ?? ''}/${name}`;
}
