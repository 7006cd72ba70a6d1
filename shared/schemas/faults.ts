import type { TSchema } from 'typebox';
import { Errors } from 'typebox/value';
import { textDistance } from '../text-distance.ts';

/** One thing that a value has otherwise than its schema: where, what, and what would have been right. */
export type SchemaFault = {
  /** Members and indexes from the root down to the faulty value, or to the member that is missing or not known. */
  readonly path: readonly string[];
  /** The rest of a sentence about the member: `must be one of a, b`. */
  readonly message: string;
};

type Loose = { readonly [key: string]: unknown };

/** Everything that is wrong with a value, in the schema's own words where it describes a form. Empty: it fits. */
export function schemaFaults(schema: TSchema, value: unknown): readonly SchemaFault[] {
  const faults = Errors(schema, value).flatMap(({ keyword, schemaPath, instancePath, params, message }) => {
    const path = pointer(instancePath);
    const here = at(schema, pointer(schemaPath.slice(1)));
    const of = params as Loose;
    switch (keyword) {
      // Of a member that is not known, which the next fault names.
      case 'boolean':
        return [];
      case 'required':
        return listOf(of.requiredProperties).map((name) => ({
          path: [...path, name],
          message: `is missing${description(at(here, ['properties', name]))}`,
        }));
      case 'additionalProperties':
        return listOf(of.additionalProperties).map((name) => ({
          path: [...path, name],
          message: `is not a known member${nearest(name, Object.keys((here.properties as Loose) ?? {}))}`,
        }));
      default:
        return [{ path, message: sentence(keyword, of, here, valueAt(value, path), message) }];
    }
  });
  const unique = Map.groupBy(faults, ({ path }) => path.join('\n'));
  return [...unique.values()].flatMap(([first]) => first ?? []);
}

function sentence(keyword: string, params: Loose, schema: Loose, value: unknown, otherwise: string): string {
  switch (keyword) {
    case 'type':
      return `must be ${article(listOf(params.type).join(' or '))}, not ${nameOf(value)}`;
    case 'enum':
      return `is ${nameOf(value)}, must be one of ${listOf(params.allowedValues).join(', ')}`;
    case 'const':
      return `is ${nameOf(value)}, must be ${JSON.stringify(params.allowedValue)}`;
    case 'pattern':
      return `is ${nameOf(value)}, must be ${String(schema.description ?? `text that fits ${String(params.pattern)}`)}`;
    case 'minProperties':
    case 'maxProperties':
      return `must be ${String(schema.description ?? `an object with ${String(params.limit)} members`)}`;
    case 'minItems':
      return params.limit === 1 ? 'must not be empty' : `must have at least ${String(params.limit)} entries`;
    case 'maxItems':
      return `must have at most ${String(params.limit)} entries`;
    case 'minLength':
      return params.limit === 1
        ? 'must not be empty'
        : `must have at least ${String(params.limit)} characters`;
    case 'maxLength':
      return `must have at most ${String(params.limit)} characters`;
    case 'minimum':
      return `is ${nameOf(value)}, must be ${String(params.limit)} or more`;
    case 'maximum':
      return `is ${nameOf(value)}, must be ${String(params.limit)} or less`;
    default:
      return otherwise;
  }
}

function description(schema: Loose): string {
  return typeof schema.description === 'string' ? `: ${schema.description}` : '';
}

function nearest(name: string, known: readonly string[]): string {
  const [near] = known
    .map((one) => ({ one, distance: textDistance(name, one) }))
    .toSorted((left, right) => left.distance - right.distance);
  if (near !== undefined && near.distance <= 2) return `; did you mean ${near.one}?`;
  return known.length === 0 ? '' : `; known are ${known.join(', ')}`;
}

function nameOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value !== null && typeof value === 'object') return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function article(name: string): string {
  return `${/^[aio]/.test(name) ? 'an' : 'a'} ${name === 'array' ? 'list' : name}`.replace(
    'an list',
    'a list',
  );
}

function pointer(text: string): readonly string[] {
  return text
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (here, key) => (here !== null && typeof here === 'object' ? (here as Loose)[key] : undefined),
    value,
  );
}

function at(schema: unknown, path: readonly string[]): Loose {
  return (valueAt(schema, path) ?? {}) as Loose;
}

function listOf(value: unknown): readonly string[] {
  return [value ?? []].flat().map(String);
}
