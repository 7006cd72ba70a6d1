import { isDeepStrictEqual } from 'node:util';
import type { Cause } from './status-error.ts';

/** The part of openAPIV3Schema that is understood. CEL rules (x-kubernetes-validations) are not evaluated. */
export type Schema = {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
};

type Json = Readonly<Record<string, unknown>>;

const metaFields = ['apiVersion', 'kind', 'metadata'];

/** Drops what the schema does not know, naming it, and fills defaults in; the root keeps its type and metadata. */
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
    return value.map((item, at) => pruned(items, item, `${path}[${at}]`, unknown, embedded));
  }
  if (!isJson(value)) return value;
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`;
    const known = schema.properties?.[key] ?? extra(schema);
    if (isResource && metaFields.includes(key)) result[key] = item;
    else if (known !== undefined) {
      const embedded = known['x-kubernetes-embedded-resource'] === true;
      // A null that may not be one counts as absent, as in the real server.
      if (item === null && isTyped(known) && known.nullable !== true) continue;
      result[key] = pruned(known, item, at, unknown, embedded);
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

function extra({ additionalProperties }: Schema): Schema | undefined {
  if (additionalProperties === true) return { 'x-kubernetes-preserve-unknown-fields': true };
  return additionalProperties === false ? undefined : additionalProperties;
}

function isTyped(schema: Schema): boolean {
  return schema.type !== undefined || schema['x-kubernetes-int-or-string'] === true;
}

function keepsUnknown(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true;
}

/** What is wrong, field by field, in the real server's words. */
export function validate(schema: Schema, value: unknown, path = ''): readonly Cause[] {
  if (value === null && schema.nullable === true) return [];
  const type = typeOf(value);
  if (!isOfType(schema, type)) {
    const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : schema.type;
    return [invalid(path, `"${type}"`, `must be of type ${wanted}: "${type}"`, 'FieldValueTypeInvalid')];
  }
  return [
    ...enumCauses(schema, value, path),
    ...(typeof value === 'number' ? numberCauses(schema, value, path) : []),
    ...(typeof value === 'string' ? stringCauses(schema, value, path) : []),
    ...(Array.isArray(value) ? arrayCauses(schema, value, path) : []),
    ...(isJson(value) ? objectCauses(schema, value, path) : []),
    ...combinationCauses(schema, value, path),
  ];
}

function enumCauses({ enum: values }: Schema, value: unknown, path: string): readonly Cause[] {
  if (values === undefined || values.some((allowed) => isDeepStrictEqual(allowed, value))) return [];
  const list = values.map((allowed) => JSON.stringify(allowed)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`;
  return [{ reason: 'FieldValueNotSupported', message, field: path }];
}

function numberCauses(schema: Schema, value: number, path: string): readonly Cause[] {
  const causes: Cause[] = [];
  const { minimum, maximum } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    const or = schema.exclusiveMinimum === true ? '' : ' or equal to';
    causes.push(invalid(path, String(value), `should be greater than${or} ${minimum}`));
  }
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    const or = schema.exclusiveMaximum === true ? '' : ' or equal to';
    causes.push(invalid(path, String(value), `should be less than${or} ${maximum}`));
  }
  return causes;
}

function stringCauses(schema: Schema, value: string, path: string): readonly Cause[] {
  const causes: Cause[] = [];
  const text = JSON.stringify(value);
  const length = [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength) {
    causes.push(invalid(path, text, `should be at least ${schema.minLength} chars long`));
  }
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    const message = `Too long: may not be more than ${schema.maxLength} bytes`;
    causes.push({ reason: 'FieldValueTooLong', message, field: path });
  }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    causes.push(invalid(path, text, `should match '${schema.pattern}'`));
  }
  if (
    schema.format === 'date-time' &&
    !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(value)
  ) {
    causes.push(invalid(path, text, `must be of type date-time: ${text}`, 'FieldValueTypeInvalid'));
  }
  return causes;
}

function arrayCauses(schema: Schema, value: readonly unknown[], path: string): readonly Cause[] {
  const { items, minItems, maxItems } = schema;
  const causes: Cause[] = [];
  if (minItems !== undefined && value.length < minItems) {
    causes.push(invalid(path, String(value.length), `should have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) {
    const message = `Too many: ${value.length}: must have at most ${counted(maxItems)}`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  if (items !== undefined)
    causes.push(...value.flatMap((item, at) => validate(items, item, `${path}[${at}]`)));
  return causes;
}

function objectCauses(schema: Schema, value: Json, path: string): readonly Cause[] {
  const below = (key: string) => (path === '' ? key : `${path}.${key}`);
  const size = Object.keys(value).length;
  const causes: Cause[] = (schema.required ?? [])
    .filter((key) => value[key] === undefined)
    .map((key) => ({ reason: 'FieldValueRequired', message: 'Required value', field: below(key) }));
  if (schema.minProperties !== undefined && size < schema.minProperties) {
    causes.push(invalid(path, String(size), `should have at least ${schema.minProperties} properties`));
  }
  if (schema.maxProperties !== undefined && size > schema.maxProperties) {
    const message = `Too many: ${size}: must have at most ${counted(schema.maxProperties)}`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  for (const [key, item] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const known = schema.properties?.[key] ?? extra(schema);
    // The schema's own words about metadata are only about its name; the server checks the rest by itself.
    if (known === undefined || (path === '' && metaFields.includes(key))) continue;
    causes.push(...validate(known, item, below(key)));
  }
  return causes;
}

function combinationCauses(schema: Schema, value: unknown, path: string): readonly Cause[] {
  const fits = (candidate: Schema) => validate(candidate, value, path).length === 0;
  const causes: Cause[] = (schema.allOf ?? []).flatMap((part) => validate(part, value, path));
  if (schema.anyOf !== undefined && !schema.anyOf.some(fits)) {
    causes.push(combined(path, 'must validate at least one schema (anyOf)'));
  }
  const fitting = schema.oneOf?.filter(fits).length ?? 1;
  if (fitting !== 1) {
    const found = fitting === 0 ? 'Found none valid' : `Found ${fitting} valid alternatives`;
    causes.push(combined(path, `must validate one and only one schema (oneOf). ${found}`));
  }
  if (schema.not !== undefined && fits(schema.not)) {
    causes.push(combined(path, 'must not validate the schema (not)'));
  }
  return causes;
}

/** The real one knows no field for these. */
function combined(path: string, what: string): Cause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: "": "${path}" ${what}`, field: '<nil>' };
}

function counted(items: number): string {
  return items === 1 ? '1 item' : `${items} items`;
}

function invalid(path: string, value: string, what: string, reason = 'FieldValueInvalid'): Cause {
  return { reason, message: `Invalid value: ${value}: ${path} in body ${what}`, field: path };
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function isOfType(schema: Schema, type: string): boolean {
  if (schema['x-kubernetes-int-or-string'] === true) return type === 'integer' || type === 'string';
  return (
    schema.type === undefined || schema.type === type || (schema.type === 'number' && type === 'integer')
  );
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
