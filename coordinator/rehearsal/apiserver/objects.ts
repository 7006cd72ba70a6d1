import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../../shared/clock.ts';
import type { KubeObject, ObjectKey } from '../../cluster/port.ts';
import { builtInCauses, decoded } from './built-in-checks.ts';
import { definitionCauses, establishedStatus } from './definitions.ts';
import type { Kinds, ServedKind } from './kinds.ts';
import { metadataCauses } from './metadata-checks.ts';
import { prune } from './pruning.ts';
import { validate } from './schema.ts';
import { alreadyExists, badRequest, type Cause, conflict, invalid, notFound } from './status-error.ts';
import type { Store } from './store.ts';
import {
  asNamespace,
  guard,
  isSpecChanged,
  newMetadata,
  typeOf,
  withinSubresource,
  withMetadata,
} from './strategy.ts';

/** How unknown fields are treated. */
export type WriteOptions = {
  /** `fieldValidation=Strict`: fields that the schema does not know are an error, not a warning. */
  readonly strict: boolean;
  readonly warn: (warning: string) => void;
};

/** A PUT or PATCH of one object or of its status. */
export type Update = {
  readonly kind: ServedKind;
  readonly key: ObjectKey;
  /** A whole object given by the caller, or what a patch makes of the current one. */
  readonly next: (current: KubeObject | undefined) => KubeObject;
  readonly method: 'PUT' | 'PATCH';
  readonly subresource?: 'status';
};

/** Writes as the real server judges them: schema, strategy, resourceVersion. Throws StatusError. */
export type Objects = {
  create(
    kind: ServedKind,
    namespace: string | undefined,
    body: KubeObject,
    options: WriteOptions,
  ): KubeObject;
  update(update: Update, options: WriteOptions): KubeObject;
  remove(kind: ServedKind, key: ObjectKey, uid?: string): KubeObject;
};

/** What kube-apiserver's registry does to an object between a request and etcd. */
export function createObjects(deps: {
  readonly store: Store;
  readonly kinds: Kinds;
  readonly clock: Clock;
}): Objects {
  const { store, kinds, clock } = deps;
  const now = () => `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;

  function create(kind: ServedKind, namespace: string | undefined, body: KubeObject, options: WriteOptions) {
    const metadata = newMetadata(kind, namespace, body.metadata, now());
    if (namespace !== undefined && store.get('/namespaces', { name: namespace }) === undefined) {
      throw notFound({ group: '', plural: 'namespaces', kind: 'Namespace' }, namespace);
    }
    const { status, ...rest } = body;
    const initial =
      kind.statusAtCreation === 'keep'
        ? status
        : kind.statusAtCreation === 'drop'
          ? undefined
          : kind.statusAtCreation;
    const named = { ...rest, ...typeOf(kind), metadata, ...(initial !== undefined && { status: initial }) };
    const object = checked(kind, kind.plural === 'namespaces' ? asNamespace(named) : named, options);
    if (store.get(kind.bucket, metadata) !== undefined) throw alreadyExists(kind, metadata.name);
    return afterWrite(kind, store.put(kind.bucket, object));
  }

  function update({ kind, key, next, method, subresource }: Update, options: WriteOptions): KubeObject {
    const current = store.get(kind.bucket, key);
    if (current === undefined) {
      if (method === 'PUT' && kind.createOnUpdate && subresource === undefined) {
        return create(kind, key.namespace, unversioned(next(undefined)), options);
      }
      throw notFound(kind, key.name);
    }
    const given = next(current);
    guard(kind, current, given, method);
    const merged = withMetadata(
      kind,
      current,
      withinSubresource(kind, current, given, subresource),
      subresource,
    );
    const object = checked(kind, merged, options);
    // A write that changes nothing is not a write: no new version, no watch event.
    if (isDeepStrictEqual(unversioned(object), unversioned(current))) return current;
    const counted = kind.counted && isSpecChanged(kind, current, object);
    const generation = (current.metadata.generation ?? 0) + (counted ? 1 : 0);
    const stamped = kind.counted ? { ...object, metadata: { ...object.metadata, generation } } : object;
    if (isFinalized(stamped)) return ended(kind, stamped.metadata) ?? stamped;
    return afterWrite(kind, store.put(kind.bucket, stamped));
  }

  /** Fields are pruned, filled in and checked. */
  function checked(kind: ServedKind, given: KubeObject, options: WriteOptions): KubeObject {
    const { object, unknown } =
      kind.schema === undefined ? { object: given, unknown: [] } : prune(kind.schema, given);
    if (unknown.length > 0) {
      const texts = [...unknown].sort().map((field) => `unknown field "${field}"`);
      if (options.strict) {
        const prefix = `${kind.kind} in version "${kind.version}" cannot be handled as a ${kind.kind}`;
        throw badRequest(`${prefix}: strict decoding error: ${texts.join(', ')}`);
      }
      for (const text of texts) options.warn(text);
    }
    const result = decoded(kind, object as KubeObject);
    const causes: readonly Cause[] = [
      ...metadataCauses(result.metadata),
      ...(kind.schema === undefined ? [] : validate(kind.schema, result)),
      ...builtInCauses(kind, result),
      ...(kind.plural === 'customresourcedefinitions' ? definitionCauses(result) : []),
    ];
    if (causes.length > 0) throw invalid(kind, result.metadata.name, causes);
    return result;
  }

  function remove(kind: ServedKind, key: ObjectKey, uid?: string): KubeObject {
    const current = store.get(kind.bucket, key);
    if (current === undefined) throw notFound(kind, key.name);
    if (uid !== undefined && uid !== current.metadata.uid) {
      const because = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
      throw conflict(kind, key.name, because);
    }
    const { finalizers } = current.metadata as { readonly finalizers?: readonly string[] };
    if ((finalizers ?? []).length === 0) return ended(kind, key) ?? current;
    if (current.metadata.deletionTimestamp !== undefined) return current;
    const metadata = { ...current.metadata, deletionTimestamp: now(), deletionGracePeriodSeconds: 0 };
    return store.put(kind.bucket, { ...current, metadata });
  }

  /** Gone for good; what lived in it or by it goes as well, which in a cluster is a controller's work. */
  function ended(kind: ServedKind, key: ObjectKey): KubeObject | undefined {
    const gone = store.remove(kind.bucket, key);
    if (gone === undefined) return undefined;
    if (kind.plural === 'namespaces') {
      for (const other of kinds.all().filter((row) => row.namespaced)) {
        for (const { metadata } of store.list(other.bucket)) {
          if (metadata.namespace === key.name) store.remove(other.bucket, metadata);
        }
      }
    }
    if (kind.plural === 'customresourcedefinitions') {
      for (const bucket of kinds.forget(gone)) {
        for (const { metadata } of store.list(bucket)) store.remove(bucket, metadata);
      }
    }
    return gone;
  }

  function afterWrite(kind: ServedKind, written: KubeObject): KubeObject {
    if (kind.plural !== 'customresourcedefinitions') return written;
    kinds.define(written);
    const status = establishedStatus(written, now());
    if (written.status === undefined) store.put(kind.bucket, { ...written, status });
    return written;
  }

  return { create, update, remove };
}

/** The real one makes a Lease that went meanwhile anew, whatever version the writer knew. */
function unversioned(object: KubeObject): KubeObject {
  const { resourceVersion: _version, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function isFinalized({ metadata }: KubeObject): boolean {
  const finalizers = metadata.finalizers as readonly string[] | undefined;
  return metadata.deletionTimestamp !== undefined && (finalizers ?? []).length === 0;
}
