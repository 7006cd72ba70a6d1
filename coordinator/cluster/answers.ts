/** Whether a value has the form that the API conventions promise of it; everything else in an answer is checked by who reads it. */

type Members = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (value: unknown): boolean => typeof value === 'string';
const isMapOfTexts = (value: unknown): boolean => isObject(value) && Object.values(value).every(isText);
const isListOfObjects = (value: unknown): boolean => Array.isArray(value) && value.every(isObject);

/** Members of ObjectMeta that are read, here or by those who get the object (API conventions, "Metadata"). */
const metadataRows: Readonly<Record<string, (value: unknown) => boolean>> = {
  name: isText,
  namespace: isText,
  generateName: isText,
  uid: isText,
  resourceVersion: isText,
  creationTimestamp: isText,
  deletionTimestamp: isText,
  labels: isMapOfTexts,
  annotations: isMapOfTexts,
  managedFields: isListOfObjects,
  ownerReferences: isListOfObjects,
};

/** The first member of an object's metadata that has not its form; undefined: all have. Absent and null are the same (API conventions). */
export function oddMetadata(metadata: object): string | undefined {
  return Object.keys(metadataRows).find((name) => {
    const value = (metadata as Members)[name];
    return value !== undefined && value !== null && metadataRows[name]?.(value) !== true;
  });
}

/** The Status object of a refusing API server, as far as we read it. */
export type KubeStatus = {
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly name?: string;
  readonly retryAfterSeconds?: number;
  readonly causes: readonly {
    readonly reason?: string;
    readonly message?: string;
    readonly field?: string;
  }[];
};

/** What is left of a value that should be a Status: its members where they have their types. undefined: it is none. */
export function statusFrom(value: unknown): KubeStatus | undefined {
  if (!isObject(value) || value.kind !== 'Status') return undefined;
  const details = isObject(value.details) ? value.details : {};
  const causes = Array.isArray(details.causes) ? details.causes.filter(isObject) : [];
  const { retryAfterSeconds: seconds } = details;
  return {
    ...texts(value, ['message', 'reason']),
    ...texts(details, ['name']),
    ...(Number.isInteger(value.code) ? { code: value.code as number } : {}),
    ...(typeof seconds === 'number' && seconds >= 0 ? { retryAfterSeconds: seconds } : {}),
    causes: causes.map((cause) => texts(cause, ['reason', 'message', 'field'])),
  };
}

function texts<Name extends string>(of: Members, names: readonly Name[]): { readonly [N in Name]?: string } {
  const found = names.flatMap((name) => (typeof of[name] === 'string' ? [[name, of[name]]] : []));
  return Object.fromEntries(found) as { readonly [N in Name]?: string };
}
