import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { JsonObject, KubeObject, ObjectMeta } from '../../cluster/port.ts';
import { apiVersionOf, type ServedKind } from './kinds.ts';
import { badRequest, conflict, invalid } from './status-error.ts';

/** RFC 1123 subdomain. */
export const namePattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** What the real server says of a name that is none. */
export const nameHint =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start " +
  "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** Name, uid and birth of a new object. */
export function newMetadata(
  kind: ServedKind,
  namespace: string | undefined,
  given: ObjectMeta,
  now: string,
): ObjectMeta {
  const { resourceVersion, uid: _uid, deletionTimestamp: _deleted, managedFields: _managed, ...rest } = given;
  const generateName = rest.generateName;
  const name =
    (rest.name as string | undefined) ??
    (typeof generateName === 'string' ? `${generateName}${suffix()}` : undefined);
  if (name === undefined || name === '') {
    const message = 'Required value: name or generateName is required';
    throw invalid(kind, '', [{ reason: 'FieldValueRequired', message, field: 'metadata.name' }]);
  }
  if (!namePattern.test(name) || name.length > 253) {
    const message = `Invalid value: ${JSON.stringify(name)}: ${nameHint}`;
    throw invalid(kind, name, [{ reason: 'FieldValueInvalid', message, field: 'metadata.name' }]);
  }
  if (resourceVersion !== undefined && resourceVersion !== '') {
    throw badRequest('resourceVersion should not be set on objects to be created');
  }
  return {
    ...rest,
    name,
    ...(namespace !== undefined && { namespace }),
    uid: randomUUID(),
    creationTimestamp: now,
    ...(kind.counted && { generation: 1 }),
  };
}

/** A write against another object, or against another version of it, is refused. */
export function guard(
  kind: ServedKind,
  current: KubeObject,
  given: KubeObject,
  method: 'PUT' | 'PATCH',
): void {
  const { name, uid, resourceVersion } = given.metadata;
  if (name !== current.metadata.name) {
    throw badRequest(
      `the name of the object (${name}) does not match the name on the URL (${current.metadata.name})`,
    );
  }
  if (uid !== undefined && uid !== '' && uid !== current.metadata.uid) {
    const because = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`;
    throw conflict(kind, current.metadata.name, because);
  }
  const isUnguarded = resourceVersion === undefined || resourceVersion === '';
  if (isUnguarded && method === 'PUT' && !kind.unconditionalUpdate) {
    const message = 'Invalid value: 0: must be specified for an update';
    // In this one case the real server names the resource instead of the kind.
    throw invalid({ ...kind, kind: kind.plural }, name, [
      { reason: 'FieldValueInvalid', message, field: 'metadata.resourceVersion' },
    ]);
  }
  if (!isUnguarded && resourceVersion !== current.metadata.resourceVersion) throw conflict(kind, name);
}

/** A status write leaves the rest as it was, and the other way round. */
export function withinSubresource(
  kind: ServedKind,
  current: KubeObject,
  given: KubeObject,
  subresource: 'status' | undefined,
): KubeObject {
  if (!kind.statusSubresource) return given;
  const { status: _given, ...rest } = given;
  const [body, status] = subresource === 'status' ? [current, given.status] : [rest, current.status];
  const { status: _current, ...others } = body as KubeObject;
  return { ...others, metadata: given.metadata, ...(status !== undefined && { status }) } as KubeObject;
}

/** What the system owns stays; a custom resource's status write cannot touch metadata at all. */
export function withMetadata(
  kind: ServedKind,
  current: KubeObject,
  given: KubeObject,
  subresource: 'status' | undefined,
): KubeObject {
  const { metadata: old } = current;
  if (kind.custom && subresource === 'status') return { ...given, ...typeOf(kind), metadata: old };
  const {
    managedFields: _managed,
    deletionTimestamp: _deleted,
    deletionGracePeriodSeconds: _grace,
    ...rest
  } = given.metadata;
  const owned = [
    'uid',
    'creationTimestamp',
    'generation',
    'namespace',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ];
  const kept = Object.fromEntries(
    owned.filter((key) => old[key] !== undefined).map((key) => [key, old[key]]),
  );
  return { ...given, ...typeOf(kind), metadata: { ...rest, ...kept } as ObjectMeta };
}

/** Whether metadata.generation has to be raised. */
export function isSpecChanged(kind: ServedKind, before: KubeObject, after: KubeObject): boolean {
  const spec = ({ metadata: _metadata, status, ...rest }: KubeObject): JsonObject =>
    kind.statusSubresource ? rest : { ...rest, status };
  return !isDeepStrictEqual(spec(before), spec(after));
}

/** apiVersion and kind as they stand in an object. */
export function typeOf(kind: ServedKind): { readonly apiVersion: string; readonly kind: string } {
  return { apiVersion: apiVersionOf(kind), kind: kind.kind };
}

/** With what the real server adds to a Namespace. */
export function asNamespace(object: KubeObject): KubeObject {
  const labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
  return { ...object, metadata: { ...object.metadata, labels }, spec: { finalizers: ['kubernetes'] } };
}

/** The real one's alphabet: no vowels, hence no words. */
function suffix(): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  return [...randomBytes(5)].map((byte) => alphabet[byte % alphabet.length]).join('');
}
