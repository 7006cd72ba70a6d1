import { isDeepStrictEqual } from 'node:util';
import { badRequest, statusError } from './status-error.ts';

type Json = Readonly<Record<string, unknown>>;

/** RFC 7386. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isJson(patch)) return patch;
  const result: Record<string, unknown> = { ...(isJson(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/**
 * The lists that kube-apiserver merges by key rather than replaces, by field name; `''` merges plain values.
 * Taints and tolerations are absent on purpose: the real one replaces them whole.
 */
const mergeKeys: Readonly<Record<string, readonly string[]>> = {
  conditions: ['type'],
  addresses: ['type'],
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  ports: ['containerPort'],
  volumeMounts: ['mountPath'],
  imagePullSecrets: ['name'],
  ownerReferences: ['uid'],
  finalizers: [''],
};

/** Strategic merge for the kinds that we serve: known lists by key, `$patch`, everything else as a merge patch. */
export function strategicMergePatch(target: unknown, patch: unknown): unknown {
  if (!isJson(patch)) return patch;
  if (patch.$patch === 'replace') return withoutDirectives(patch);
  const result: Record<string, unknown> = { ...(isJson(target) ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice(key.indexOf('/') + 1);
      result[field] = listOf(result[field]).filter((item) => !listOf(value).includes(item));
    } else if (key.startsWith('$')) {
      // $setElementOrder and $retainKeys only order lists and drop union members: nothing here depends on it.
    } else if (value === null) delete result[key];
    else if (Array.isArray(value) && mergeKeys[key] !== undefined) {
      result[key] = mergeList(listOf(result[key]), value, mergeKeys[key]);
    } else result[key] = strategicMergePatch(result[key], value);
  }
  return result;
}

function mergeList(
  target: readonly unknown[],
  patch: readonly unknown[],
  keys: readonly string[],
): unknown[] {
  if (keys[0] === '') return [...new Set([...target, ...patch])];
  if (patch.some((item) => isJson(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !(isJson(item) && item.$patch === 'replace'));
  }
  const result = [...target];
  const added: unknown[] = [];
  for (const item of patch) {
    if (!isJson(item)) continue;
    const at = result.findIndex((other) => isJson(other) && keys.every((key) => other[key] === item[key]));
    if (item.$patch === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) result[at] = strategicMergePatch(result[at], item);
    else added.push(strategicMergePatch({}, item));
  }
  // New ones come first, as in the real server: no client may rely on the last being the newest.
  return [...added, ...result];
}

type Operation = {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
};

/** RFC 6902. */
export function jsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch))
    throw badRequest('json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  let result: unknown = structuredClone(target);
  for (const operation of patch as Operation[]) result = applyOperation(result, operation);
  return result;
}

function applyOperation(root: unknown, { op, path, from, value }: Operation): unknown {
  if (op === 'add' || op === 'replace') return setAt(root, steps(path), value, op === 'replace');
  if (op === 'remove') return removeAt(root, steps(path));
  if (op === 'test') {
    if (isDeepStrictEqual(valueAt(root, steps(path)), value)) return root;
    throw unprocessable(`testing value ${path} failed`);
  }
  if (op === 'copy' || op === 'move') {
    const moved = structuredClone(valueAt(root, steps(from ?? '')));
    return setAt(op === 'move' ? removeAt(root, steps(from ?? '')) : root, steps(path), moved, false);
  }
  throw badRequest(`Unexpected kind: ${op}`);
}

function steps(pointer: string): readonly string[] {
  if (pointer === '') return [];
  return pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) throw missing(path);
    value = (value as Json)[step];
  }
  return value;
}

function setAt(root: unknown, path: readonly string[], value: unknown, mustExist: boolean): unknown {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = valueAt(root, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : Number(last);
    if (!Number.isInteger(index) || index < 0 || index > parent.length) throw missing(path);
    parent.splice(index, mustExist ? 1 : 0, value);
  } else if (!isJson(parent) || (mustExist && !Object.hasOwn(parent, last))) throw missing(path);
  else (parent as Record<string, unknown>)[last] = value;
  return root;
}

function removeAt(root: unknown, path: readonly string[]): unknown {
  valueAt(root, path);
  const parent = valueAt(root, path.slice(0, -1));
  const last = path.at(-1) ?? '';
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete (parent as Record<string, unknown>)[last];
  return root;
}

function missing(path: readonly string[]): Error {
  return unprocessable(
    `the server rejected our request due to an error in our request: no /${path.join('/')}`,
  );
}

function unprocessable(message: string): Error {
  return statusError(422, 'Invalid', message);
}

function withoutDirectives(patch: Json): Json {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
