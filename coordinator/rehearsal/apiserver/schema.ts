import { isDeepStrictEqual } from 'node:util';
import type { Cause } from './status-error.ts';

/** The part of openAPIV3Schema that is judged here; a definition with more is refused (schema-checks.ts). */
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

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** Members of every resource, which the server checks by itself. */
export const metaFields = ['apiVersion', 'kind', 'metadata'];

/** `additionalProperties: true` is a schema of nothing for the real server: it keeps a null, and no member of an object. */
const anything: Schema = { nullable: true };

/** The schema of a member that `properties` does not name. */
export function extra({ additionalProperties }: Schema): Schema | undefined {
  if (additionalProperties === true) return anything;
  return additionalProperties === false ? undefined : additionalProperties;
}

/** What is wrong, field by field, in the words and the order of the real server. */
export function validate(schema: Schema, value: unknown, path = ''): readonly Cause[] {
  // Nothing but type and enum is held against a null: kube-openapi, pkg/validation/validate/schema.go, Validate.
  if (value === null) return [...typeCauses(schema, value, path), ...enumCauses(schema, value, path)];
  return [
    ...typeCauses(schema, value, path),
    ...combinationCauses(schema, value, path),
    ...(typeof value === 'string' ? stringCauses(schema, value, path) : []),
    ...(typeof value === 'number' ? numberCauses(schema, value, path) : []),
    ...(Array.isArray(value) ? arrayCauses(schema, value, path) : []),
    ...enumCauses(schema, value, path),
    ...(isJson(value) ? objectCauses(schema, value, path) : []),
  ];
}

function typeCauses(schema: Schema, value: unknown, path: string): readonly Cause[] {
  const type = typeOf(value);
  if ((value === null && schema.nullable === true) || isOfType(schema, type)) return [];
  const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : schema.type;
  return [invalid(path, `"${type}"`, `must be of type ${wanted}: "${type}"`, 'FieldValueTypeInvalid')];
}

function enumCauses({ enum: values }: Schema, value: unknown, path: string): readonly Cause[] {
  if (values === undefined || values.length === 0) return [];
  // A null among the values never matches: kube-openapi, pkg/validation/validate/validator.go, basicCommonValidator.
  if (value !== null && values.some((allowed) => isDeepStrictEqual(allowed, value))) return [];
  const words = values.map((allowed) => (typeof allowed === 'string' ? allowed : JSON.stringify(allowed)));
  const list = words.map((word) => JSON.stringify(word)).join(', ');
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
  if (schema.format === 'date-time' && !isDateTime(value)) {
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
  // Beyond 64 bits it is a float64 there, which counts as an integer to 2^53 only: go-openapi/swag, IsFloat64AJSONInteger.
  if (typeof value === 'number')
    return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63 ? 'integer' : 'number';
  return typeof value;
}

/** As strfmt.IsDateTime of kube-openapi has it: what stands behind a second T is not looked at. */
function isDateTime(text: string): boolean {
  const [date = '', time = ''] = text.toLowerCase().split('t');
  const parts = /^(\d\d):(\d\d):(\d\d)(.\d+)?(z|[+-]\d\d:\d\d)$/.exec(time);
  const [hours = '', minutes = '', seconds = ''] = parts?.slice(1) ?? [];
  return parts !== null && isDate(date) && hours <= '23' && minutes <= '59' && seconds <= '59';
}

function isDate(text: string): boolean {
  const at = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

function isOfType(schema: Schema, type: string): boolean {
  if (schema['x-kubernetes-int-or-string'] === true) return type === 'integer' || type === 'string';
  return (
    schema.type === undefined || schema.type === type || (schema.type === 'number' && type === 'integer')
  );
}

/** A JSON object, neither null nor an array. */
export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
