import { canonicalJson } from '../../canonical-json.ts';

/** JSON, as a schema is when it is printed. */
type Json = { readonly [member: string]: unknown };

/** Collects named schemas (`$id`) under `#/components/schemas`, and leaves references to them where they stood. */
export type SchemaBook = {
  /** The schema as it stands in the document. The same name for two different schemas is a defect, and throws. */
  shown(schema: object): Json;
  /** What was named so far, by name. */
  components(): Readonly<Record<string, Json>>;
};

/** A book without any schema. */
export function createSchemaBook(): SchemaBook {
  const components = new Map<string, Json>();

  function convert(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(convert);
    if (typeof value !== 'object' || value === null) return value;
    const { $id, ...rest } = value as Json;
    if (typeof $id !== 'string') return converted(rest);
    const shown = converted(rest);
    const known = components.get($id);
    if (known !== undefined && canonicalJson(known) !== canonicalJson(shown))
      throw new Error(`two schemas have the name ${$id}`);
    components.set($id, shown);
    return { $ref: reference($id) };
  }

  function converted(schema: Json): Json {
    const members = Object.entries(schema).map(([name, value]) => [
      name,
      // A map from names to schemas: a property that is called `$id` would be one of them.
      name === 'properties' ? mapped(value as Json) : convert(value),
    ]);
    return typed(Object.fromEntries(members));
  }

  function mapped(schemas: Json): Json {
    return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, convert(schema)]));
  }

  return {
    // Through JSON: TypeBox marks schemas with members that are none of theirs.
    shown: (schema) => convert(JSON.parse(JSON.stringify(schema))) as Json,
    components: () =>
      Object.fromEntries([...components].toSorted(([left], [right]) => (left < right ? -1 : 1))),
  };
}

function reference(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Where a schema says the same in a form that fewer generators of clients understand. */
function typed(schema: Json): Json {
  const { anyOf, patternProperties, discriminator, ...rest } = schema;
  if (isTexts(schema.enum) && schema.type === undefined) return { type: 'string', ...schema };
  if (Array.isArray(anyOf)) {
    const texts = anyOf.flatMap((one: Json) =>
      one.type === 'string' && typeof one.const === 'string' && Object.keys(one).length === 2
        ? [one.const]
        : [],
    );
    if (texts.length === anyOf.length) return { type: 'string', enum: texts, ...rest };
    // With a member that tells them apart exactly one of them fits.
    if (discriminator !== undefined) return { oneOf: anyOf, discriminator, ...rest };
  }
  const [pattern, of] = Object.entries((patternProperties ?? {}) as Json)[0] ?? [];
  if (pattern === '^.*$') return { ...rest, additionalProperties: of };
  return schema;
}

function isTexts(values: unknown): values is readonly string[] {
  return Array.isArray(values) && values.every((value) => typeof value === 'string');
}
