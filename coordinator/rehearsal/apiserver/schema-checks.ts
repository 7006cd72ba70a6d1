import { isReadAlike } from '../../store/structural-schema.ts';
import type { Schema } from './schema.ts';
import type { Cause } from './status-error.ts';

/** Every keyword that is judged here as the real server judges it, or that has no bearing on a value. */
const judged: ReadonlySet<string> = new Set([
  'type',
  'description',
  'title',
  'example',
  'externalDocs',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'enum',
  'default',
  'nullable',
  'format',
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-int-or-string',
  'x-kubernetes-embedded-resource',
] satisfies readonly (keyof Schema | 'description' | 'title' | 'example' | 'externalDocs')[]);

/**
 * What a schema says and this server would not judge as the real one does: CEL rules, list types, formats but date-time,
 * patterns that only JavaScript reads so. The real server takes some of it; here it is refused, because an object that
 * passes unjudged would prove nothing.
 */
export function unjudgedCauses(schema: Schema, field: string): readonly Cause[] {
  const causes = Object.keys(schema)
    .filter((keyword) => !judged.has(keyword))
    .map((keyword) => unjudged(`${field}.${keyword}`, keyword));
  const { pattern, format } = schema;
  if (pattern !== undefined && !isReadAlike(pattern)) causes.push(unjudged(`${field}.pattern`, pattern));
  if (format !== undefined && format !== 'date-time') causes.push(unjudged(`${field}.format`, format));
  return [
    ...causes,
    ...schemasWithin(schema).flatMap(([at, inner]) => unjudgedCauses(inner, `${field}.${at}`)),
  ];
}

function schemasWithin(schema: Schema): readonly (readonly [string, Schema])[] {
  const { properties = {}, additionalProperties, items, not, allOf = [], anyOf = [], oneOf = [] } = schema;
  return [
    ...Object.entries(properties).map(([name, inner]) => [`properties[${name}]`, inner] as const),
    ...(typeof additionalProperties === 'object'
      ? [['additionalProperties', additionalProperties] as const]
      : []),
    ...(items === undefined ? [] : [['items', items] as const]),
    ...(not === undefined ? [] : [['not', not] as const]),
    ...Object.entries({ allOf, anyOf, oneOf }).flatMap(([name, inner]) =>
      inner.map((one, at) => [`${name}[${at}]`, one] as const),
    ),
  ];
}

function unjudged(field: string, what: string): Cause {
  const message = `Invalid value: ${JSON.stringify(what)}: not judged by the rehearsal's API server`;
  return { reason: 'FieldValueInvalid', message, field };
}
