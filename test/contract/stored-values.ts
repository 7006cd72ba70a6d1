import fc from 'fast-check';

/** A TypeBox schema, as far as what is stored is written in it. */
export type StoredSchema = {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly StoredSchema[];
  readonly properties?: Readonly<Record<string, StoredSchema>>;
  readonly patternProperties?: Readonly<Record<string, StoredSchema>>;
  readonly required?: readonly string[];
  readonly items?: StoredSchema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
};

/** Whether the members that need not be there are: by chance, or all of them. */
export type Presence = 'any' | 'all';

/** Keys of maps. Not `__proto__`, which no object literal of ours could hold. */
const mapKey = fc.string({ minLength: 1, maxLength: 12 }).filter((key) => key !== '__proto__');
/** Any JSON; not minus zero, which JSON has no way to tell from zero. */
const anything = fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown);

/** Values that our own validation accepts: members absent or there, null where it may be, at the bounds and between. */
export function valuesOf(schema: StoredSchema, presence: Presence = 'any'): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  if (schema.anyOf !== undefined) {
    const wanted = presence === 'all' ? schema.anyOf.filter(({ type }) => type !== 'null') : schema.anyOf;
    return fc.oneof(...wanted.map((member) => valuesOf(member, presence)));
  }
  if (schema.type === 'null') return fc.constant(null);
  if (schema.type === 'boolean') return fc.boolean();
  if (schema.type === 'string') return texts(schema);
  if (schema.type === 'integer' || schema.type === 'number') return numbers(schema);
  if (schema.items !== undefined) return arrays(schema, schema.items, presence);
  if (schema.properties !== undefined) return objects(schema, schema.properties, presence);
  const [value] = Object.values(schema.patternProperties ?? {});
  if (value === undefined) return anything;
  return fc.dictionary(mapKey, valuesOf(value, presence), {
    noNullPrototype: true,
    minKeys: presence === 'all' ? 1 : 0,
    maxKeys: 3,
  });
}

function texts({ pattern, minLength = 0, maxLength }: StoredSchema): fc.Arbitrary<string> {
  const most = maxLength ?? Number.POSITIVE_INFINITY;
  if (pattern !== undefined)
    return fc
      .stringMatching(new RegExp(pattern, 'u'))
      .filter(({ length }) => length >= minLength && length <= most);
  const some = fc.string({
    unit: 'grapheme-composite',
    minLength,
    maxLength: Math.min(most, minLength + 12),
  });
  const fitting = some.filter((text) => [...text].length <= most);
  // Characters of two UTF-16 units and four bytes: a bound counts neither.
  const bounds = [minLength, ...(maxLength === undefined ? [] : [maxLength])];
  return fc.oneof(fitting, fc.constantFrom(...bounds.map((length) => '😀'.repeat(length))));
}

function numbers({ type, minimum, maximum }: StoredSchema): fc.Arbitrary<number> {
  const bounds = [minimum, maximum].filter((bound) => bound !== undefined);
  const range = {
    ...(minimum !== undefined && { min: minimum }),
    ...(maximum !== undefined && { max: maximum }),
  };
  const inside =
    type === 'integer'
      ? fc.integer({ min: minimum ?? -(2 ** 53), max: maximum ?? 2 ** 53 })
      : fc.double({ ...range, noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
  return bounds.length === 0 ? inside : fc.oneof(inside, fc.constantFrom(...bounds));
}

function arrays(
  { minItems = 0, maxItems = 1000 }: StoredSchema,
  items: StoredSchema,
  presence: Presence,
): fc.Arbitrary<unknown> {
  const least = presence === 'all' ? Math.max(1, minItems) : minItems;
  return fc.array(valuesOf(items, presence), { minLength: least, maxLength: Math.min(maxItems, least + 2) });
}

function objects(
  { required = [], maxProperties }: StoredSchema,
  properties: Readonly<Record<string, StoredSchema>>,
  presence: Presence,
): fc.Arbitrary<unknown> {
  const members = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, valuesOf(properties[name] ?? {}, presence)]));
  const names = Object.keys(properties);
  // One of several, as selectors are.
  if (maxProperties === 1)
    return fc.constantFrom(...names).chain((name) => fc.record(members([name]), { noNullPrototype: true }));
  const keys = presence === 'all' ? {} : { requiredKeys: [...required] };
  return fc.record(members(names), { ...keys, noNullPrototype: true });
}

type Path = readonly (string | number)[];

/** One thing changed in a value, and what every server must make of it. */
export type Deviation = {
  readonly what: string;
  readonly value: unknown;
  readonly answer: { readonly stored: unknown } | { readonly refusedAt: string };
};

/** Every single deviation of a value, at each place that a structural schema guards. `at` names the root. */
export function deviationsOf(schema: StoredSchema, value: unknown, at: string): readonly Deviation[] {
  return sitesOf(schema, value, []).flatMap(({ path, schema: here, member, inner }) => {
    const field = fieldOf(at, path);
    const stored = (what: string, changed: unknown, kept: unknown): Deviation => ({
      what: `${field}: ${what}`,
      value: withValue(value, path, changed),
      answer: { stored: withValue(value, path, kept) },
    });
    const refused = (what: string, changed: unknown, refusedAt = field): Deviation => ({
      what: `${field}: ${what}`,
      value: withValue(value, path, changed),
      answer: { refusedAt },
    });
    const above = fieldOf(at, path.slice(0, -1));
    return [
      ...beyond(here, inner).map(([what, changed]) => refused(what, changed)),
      ...(isClosed(here)
        ? [stored('an unknown member', { ...(inner as object), unknownToAll: 1 }, inner)]
        : []),
      ...(member === 'required' ? [refused('missing', undefined), refused('null', null)] : []),
      ...(member === 'only' ? [refused('missing', undefined, above), refused('null', null, above)] : []),
      ...(member === 'optional'
        ? [stored('null', null, undefined), stored('absent', undefined, undefined)]
        : []),
      ...(member === 'item' ? [refused('null', null)] : []),
      ...(member === 'value' ? [stored('null', null, undefined)] : []),
    ];
  });
}

function fieldOf(root: string, path: Path): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : `${text}.${key}`),
    root,
  );
}

type Site = {
  readonly path: Path;
  readonly schema: StoredSchema;
  /** What it is to what it lies in. `nullable`: a null is one of its values. `only`: of an object that must have one. */
  readonly member: 'root' | 'only' | 'required' | 'optional' | 'item' | 'value' | 'nullable';
  readonly inner: unknown;
};

/** Where a structural schema has a say: not below a union of different shapes, nor in what may be anything. */
function sitesOf(
  schema: StoredSchema,
  inner: unknown,
  path: Path,
  member: Site['member'] = 'root',
): readonly Site[] {
  if (inner === null || inner === undefined) return [];
  const { anyOf, properties, items, patternProperties } = schema;
  if (anyOf !== undefined) {
    const real = anyOf.filter(({ type }) => type !== 'null');
    if (real.every((one) => typeof one.const === 'string')) return [{ path, schema, member, inner }];
    const [only] = real;
    return real.length === 1 && only !== undefined ? sitesOf(only, inner, path, 'nullable') : [];
  }
  if (schema.type === undefined && schema.enum === undefined && schema.const === undefined) return [];
  const below: Site[] = [];
  if (properties !== undefined)
    for (const [name, property] of Object.entries(properties)) {
      const isRequired = schema.required?.includes(name) === true;
      const isOnly = schema.minProperties === Object.keys(inner as object).length;
      const value = (inner as Record<string, unknown>)[name];
      const membership = isRequired ? 'required' : isOnly ? 'only' : 'optional';
      below.push(...sitesOf(property, value, [...path, name], membership));
    }
  if (items !== undefined)
    for (const [at, item] of (inner as unknown[]).entries())
      below.push(...sitesOf(items, item, [...path, at], 'item'));
  const [value] = Object.values(patternProperties ?? {});
  if (value !== undefined)
    for (const [key, one] of Object.entries(inner as object))
      below.push(...sitesOf(value, one, [...path, key], 'value'));
  return [{ path, schema, member, inner }, ...below];
}

function isClosed({ properties }: StoredSchema): boolean {
  return properties !== undefined;
}

/** Values that the place itself must refuse: of another type, not in the enum, one beyond each bound. */
function beyond(schema: StoredSchema, inner: unknown): readonly (readonly [string, unknown])[] {
  const { type, minimum, maximum, minLength = 0, maxLength, minItems = 0, maxItems, pattern } = schema;
  const rows: (readonly [string, unknown])[] = [
    ['of another type', typeof inner === 'boolean' ? 'true' : true],
    ['an empty object for no object', typeof inner === 'object' && !Array.isArray(inner) ? [] : {}],
  ];
  if (schema.enum !== undefined || schema.const !== undefined || schema.anyOf !== undefined) {
    if (typeof inner === 'string')
      rows.push(['not in the enum', `${inner} `], ['empty, not in the enum', '']);
    return rows;
  }
  if (type === 'integer') rows.push(['a fraction', (minimum ?? 0) + 0.5]);
  if (minimum !== undefined) rows.push(['below the minimum', minimum - 1]);
  if (maximum !== undefined) rows.push(['above the maximum', maximum + 1]);
  if (minLength > 0) rows.push(['too short', '😀'.repeat(minLength - 1)]);
  if (maxLength !== undefined) rows.push(['too long', '1s'.repeat(maxLength)]);
  if (pattern !== undefined) rows.push(['off the pattern', '!']);
  if (minItems > 0) rows.push(['too few', []]);
  const [item] = Array.isArray(inner) ? inner : [];
  if (maxItems !== undefined && item !== undefined) rows.push(['too many', Array(maxItems + 1).fill(item)]);
  if (schema.minProperties === 1) rows.push(['none of them', {}]);
  return rows;
}

/** A copy with another value at one place; undefined takes a member away. */
function withValue(root: unknown, [key, ...rest]: Path, value: unknown): unknown {
  if (key === undefined) return value;
  if (Array.isArray(root)) return root.map((item, at) => (at === key ? withValue(item, rest, value) : item));
  const { [key]: inner, ...others } = root as Record<string, unknown>;
  const changed = withValue(inner, rest, value);
  return changed === undefined ? others : { ...others, [key]: changed };
}
