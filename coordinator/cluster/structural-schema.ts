type Schema = Readonly<Record<string, unknown>>;

/**
 * A TypeBox schema as a Kubernetes structural schema: no `const`, no `$id`, no unions but of literals or with null, and
 * no `additionalProperties: false` (the API server prunes what it does not know instead).
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
  const kept = keep(rest);
  if (Array.isArray(anyOf)) return fromUnion(anyOf as Schema[], kept);
  if (literal !== undefined)
    return { ...kept, type: typeof literal === 'number' ? 'number' : typeof literal, enum: [literal] };
  if (Array.isArray(values)) return { ...kept, type: 'string', enum: values };
  if (properties !== undefined) {
    const converted = Object.entries(properties as Record<string, object>).map(([name, property]) => [
      name,
      structuralFrom(property),
    ]);
    return { ...kept, type: 'object', properties: Object.fromEntries(converted) };
  }
  if (patternProperties !== undefined) {
    const [value = {}] = Object.values(patternProperties as Record<string, object>);
    const inner = structuralFrom(value);
    return isOpen(inner)
      ? { ...kept, type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
      : { ...kept, type: 'object', additionalProperties: inner };
  }
  if (items !== undefined) return { ...kept, type: 'array', items: structuralFrom(items as object) };
  return kept.type === undefined ? { ...kept, 'x-kubernetes-preserve-unknown-fields': true } : kept;
}

const keywords = [
  'type',
  'description',
  'minimum',
  'maximum',
  'minLength',
  'maxLength',
  'pattern',
  'minItems',
  'maxItems',
  'required',
  'minProperties',
  'maxProperties',
];

function keep(schema: Schema): Record<string, unknown> {
  return Object.fromEntries(Object.entries(schema).filter(([name]) => keywords.includes(name)));
}

function isOpen(schema: Schema): boolean {
  return schema['x-kubernetes-preserve-unknown-fields'] === true && schema.type === undefined;
}

function fromUnion(members: readonly Schema[], kept: Schema): Schema {
  const real = members.filter((member) => member.type !== 'null');
  const nullable = real.length < members.length ? { nullable: true } : {};
  const literals = real.map((member) => member.const);
  if (literals.every((literal) => typeof literal === 'string'))
    return { ...kept, ...nullable, type: 'string', enum: literals };
  const [only] = real;
  if (real.length === 1 && only !== undefined) return { ...structuralFrom(only), ...kept, ...nullable };
  // Alternatives of different shape cannot be said in a structural schema; our own validation has looked at them.
  return { ...kept, ...nullable, 'x-kubernetes-preserve-unknown-fields': true };
}
