import { extra, isJson, type Json, metaFields, type Schema } from './schema.ts';

/**
 * Drops what the schema does not know, naming it, and fills defaults in; the root keeps its type and metadata.
 * A null counts as absent where it is not allowed, whatever the type: k8s.io/apiextensions-apiserver 0.34,
 * pkg/apiserver/schema/pruning/algorithm.go, then defaulting/prunenulls.go, then defaulting/algorithm.go.
 */
export function prune(
  schema: Schema,
  root: Json,
): { readonly object: Json; readonly unknown: readonly string[] } {
  const unknown: string[] = [];
  const object = pruned(schema, root, '', unknown, true) as Json;
  return { object, unknown };
}

function pruned(
  schema: Schema,
  value: unknown,
  path: string,
  unknown: string[],
  isResource: boolean,
): unknown {
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return value;
    const embedded = items['x-kubernetes-embedded-resource'] === true;
    return value.map((item, at) => {
      const given = isNullForbidden(items, item) ? (structuredClone(items.default) ?? null) : item;
      return pruned(items, given, `${path}[${at}]`, unknown, embedded);
    });
  }
  if (!isJson(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const known = schema.properties?.[key] ?? extra(schema);
    if (isResource && metaFields.includes(key)) result[key] = item;
    else if (known !== undefined) {
      const embedded = known['x-kubernetes-embedded-resource'] === true;
      const given = isNullForbidden(known, item) ? structuredClone(known.default) : item;
      if (given !== undefined) result[key] = pruned(known, given, at, unknown, embedded);
    } else if (keepsUnknown(schema)) result[key] = item;
    else unknown.push(at);
  }
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    if (result[key] === undefined && property.default !== undefined) {
      result[key] = pruned(property, structuredClone(property.default), key, [], false);
    }
  }
  return result;
}

function isNullForbidden(schema: Schema, value: unknown): boolean {
  return value === null && schema.nullable !== true;
}

function keepsUnknown(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true;
}
