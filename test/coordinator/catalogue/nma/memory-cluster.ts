import type {
  Cluster,
  JsonObject,
  KubeObject,
  ObjectKey,
  ResourceName,
} from '../../../../coordinator/cluster/port.ts';
import { Refusal } from '../../../../shared/errors.ts';

export type Condition = {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastHeartbeatTime: string;
  readonly lastTransitionTime: string;
};

export type MemoryCluster = Cluster & {
  put(resource: ResourceName, object: KubeObject): void;
  events(): readonly KubeObject[];
  condition(node: string, type: string): Condition | undefined;
  /** Every call until this is undefined again fails with it. */
  failWith(refusal: Refusal | undefined): void;
  readonly calls: readonly string[];
};

/** As much of a cluster as NMA touches: one node, events, merge patches. Answers without I/O, for a manual clock. */
export function createMemoryCluster(): MemoryCluster {
  const objects = new Map<string, KubeObject>();
  const calls: string[] = [];
  let failing: Refusal | undefined;
  const keyOf = (resource: ResourceName, key: ObjectKey) => `${resource}/${key.namespace ?? ''}/${key.name}`;
  const called = (verb: string, resource: ResourceName, key: ObjectKey) => {
    calls.push(`${verb} ${keyOf(resource, key)}`);
    if (failing !== undefined) throw failing;
  };
  const unused = () => {
    throw new Error('NMA never asks for this');
  };
  return {
    calls,
    async read(resource, key) {
      called('read', resource, key);
      return objects.get(keyOf(resource, key));
    },
    async create(resource, object) {
      called('create', resource, object.metadata);
      const key = keyOf(resource, object.metadata);
      if (objects.has(key)) throw new Refusal('object_exists', key);
      objects.set(key, object);
      return object;
    },
    async patch(resource, key, patch) {
      called('patch', resource, key);
      const found = objects.get(keyOf(resource, key));
      if (found === undefined) throw new Refusal('object_missing', keyOf(resource, key));
      const merged = merge(found, patch) as KubeObject;
      objects.set(keyOf(resource, key), merged);
      return merged;
    },
    async remove(resource, key) {
      objects.delete(keyOf(resource, key));
    },
    replace: unused,
    apply: unused,
    list: unused,
    watch: unused,
    podLog: unused,
    may: unused,
    put: (resource, object) => void objects.set(keyOf(resource, object.metadata), object),
    events: () => [...objects.values()].filter((object) => object.kind === 'Event'),
    condition: (node, type) => {
      const status = objects.get(`nodes//${node}`)?.status as { conditions?: Condition[] } | undefined;
      return status?.conditions?.find((condition) => condition.type === type);
    },
    failWith: (refusal) => {
      failing = refusal;
    },
  };
}

function merge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
