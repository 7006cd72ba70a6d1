type Schema = Readonly<Record<string, unknown>>;

/**
 * A TypeBox schema as a Kubernetes structural schema: no `const`, no `$id`, no unions but of literals or with null, and
 * no `additionalProperties: false` (the API server prunes what it does not know instead).
 * Throws for a schema that the API server would read otherwise than our own validation does: an enum that admits null,
 * a pattern outside the syntax that RE2 and JavaScript share, a keyword that is not converted.
 * Source: Kubernetes, "Extend the Kubernetes API with CustomResourceDefinitions", "Specifying a structural schema".
 */
export function structuralFrom(schema: object): Schema {
  const {
    anyOf,
    const: literal,
    enum: values,
    properties,
    items,
    patternProperties,
    ...rest
  } = schema as Record<string, unknown>;
  const known = keep(rest);
  if (Array.isArray(anyOf)) return fromUnion(anyOf as Schema[], known);
  if (literal !== undefined)
    return { ...known, type: typeof literal === 'number' ? 'number' : typeof literal, enum: [literal] };
  if (Array.isArray(values)) return { ...known, type: 'string', enum: strings(values) };
  if (properties !== undefined) {
    const converted = Object.entries(properties as Record<string, object>).map(([name, property]) => [
      name,
      structuralFrom(property),
    ]);
    return { ...known, type: 'object', properties: Object.fromEntries(converted) };
  }
  if (patternProperties !== undefined) {
    const [value = {}] = Object.values(patternProperties as Record<string, object>);
    const inner = structuralFrom(value);
    return isOpen(inner)
      ? { ...known, type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
      : { ...known, type: 'object', additionalProperties: inner };
  }
  if (items !== undefined) return { ...known, type: 'array', items: structuralFrom(items as object) };
  return known.type === undefined ? { ...known, 'x-kubernetes-preserve-unknown-fields': true } : known;
}

const keywords = [
  'type',
  'description',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
  'format',
  'minItems',
  'maxItems',
  'required',
  'minProperties',
  'maxProperties',
];

/** What has no meaning for the API server: it prunes in place of `additionalProperties: false`. */
const leftOut = ['$id', '~kind', '~optional', 'additionalProperties'];

function keep(schema: Schema): Record<string, unknown> {
  const unknown = Object.keys(schema).filter((name) => !keywords.includes(name) && !leftOut.includes(name));
  if (unknown.length > 0) throw unfit(schema, `${unknown.join(', ')} would be lost`);
  if (schema.format !== undefined && schema.format !== 'date-time')
    throw unfit(schema, `format ${schema.format} is not judged alike`);
  if (typeof schema.pattern === 'string' && !isReadAlike(schema.pattern))
    throw unfit(schema, `RE2 may read the pattern ${schema.pattern} otherwise`);
  return Object.fromEntries(Object.entries(schema).filter(([name]) => keywords.includes(name)));
}

/**
 * Whether JavaScript and Go's RE2 read a pattern alike: of escapes only `\\d` and escaped punctuation, of groups only plain
 * and non-capturing ones, and no dot outside a class, which matches another set of line ends in each.
 * Source: https://github.com/google/re2/wiki/Syntax.
 */
export function isReadAlike(pattern: string): boolean {
  const plain = pattern.replace(/\\[d\W]/g, '');
  return !/\\|\(\?(?!:)/.test(plain) && !plain.replace(/\[[^\]]*\]/g, '').includes('.');
}

function isOpen(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true && schema.type === undefined;
}

function strings(values: readonly unknown[]): readonly string[] {
  if (values.every((value) => typeof value === 'string')) return values;
  throw unfit({ enum: values }, 'only strings can be enumerated');
}

function unfit(schema: Schema, because: string): Error {
  return new Error(`${JSON.stringify(schema)} cannot be stored: ${because}`);
}

function fromUnion(members: readonly Schema[], known: Schema): Schema {
  const real = members.filter((member) => member.type !== 'null');
  const isNullable = real.length < members.length;
  // kube-apiserver holds null against the enum even where `nullable` is true, and a null among its values never matches
  // (kube-openapi, validate/validator.go, basicCommonValidator). So a stored member without a value is left out.
  if (isNullable && real.some((member) => member.const !== undefined || member.enum !== undefined))
    throw unfit({ anyOf: members }, 'an enum cannot admit null; make the member optional');
  const nullable = isNullable ? { nullable: true } : {};
  const literals = real.map((member) => member.const);
  if (literals.every((literal) => typeof literal === 'string'))
    return { ...known, ...nullable, type: 'string', enum: literals };
  const [only] = real;
  if (real.length === 1 && only !== undefined) return { ...structuralFrom(only), ...known, ...nullable };
  // Alternatives of different shape cannot be expressed in a structural schema; our own validation has looked at them.
  return { ...known, ...nullable, 'x-kubernetes-preserve-unknown-fields': true };
}
