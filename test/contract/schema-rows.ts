import type { Test } from 'tap';
import type { Cluster, KubeObject } from '../../coordinator/cluster/port.ts';
import type { Schema } from '../../coordinator/rehearsal/apiserver/schema.ts';
import { Refusal } from '../../shared/errors.ts';
import { established, removeDefinition } from './cluster.ts';

/** What a server makes of a value: what it stores, undefined for nothing, or its words about the first thing wrong. */
type Answer = { readonly stored: unknown } | { readonly refused: string; readonly field: string };

type Row = readonly [name: string, schema: Schema, value: unknown, answer: Answer];

const text: Schema = { type: 'string' };
const open: Schema = { 'x-kubernetes-preserve-unknown-fields': true };
const openObject: Schema = { type: 'object', ...open };
const objectOf = (properties: Readonly<Record<string, Schema>>, more: Schema = {}): Schema => ({
  type: 'object',
  properties,
  ...more,
});
const stored = (value: unknown): Answer => ({ stored: value });
/** The real server names no field for what a combination of schemas refuses. */
const refused = (message: string, field = '<nil>'): Answer => ({ refused: message, field });
const ofType = (wanted: string, is: string, at = 'x') =>
  refused(`Invalid value: "${is}": ${at} in body must be of type ${wanted}: "${is}"`, at);
const notIn = (value: unknown, ...values: readonly string[]) =>
  refused(`Unsupported value: ${JSON.stringify(value)}: supported values: ${values.join(', ')}`, 'x');
const wrong = (value: unknown, what: string, at = 'x') =>
  refused(`Invalid value: ${JSON.stringify(value)}: ${at} in body ${what}`, at);
const dateTime: Schema = { type: 'string', format: 'date-time' };
const notDateTime = (value: string) => wrong(value, `must be of type date-time: ${JSON.stringify(value)}`);

/** `x` stands for the member that has the schema. */
const rows: readonly Row[] = [
  ['a null is dropped', text, null, stored(undefined)],
  ['a null that is allowed stays', { ...text, nullable: true }, null, stored(null)],
  ['null and an enum', { ...text, nullable: true, enum: ['a', 'b'] }, null, notIn(null, '"a"', '"b"')],
  ['null in an enum', { ...text, nullable: true, enum: ['a', null] }, null, notIn(null, '"a"', '"null"')],
  ['null under an enum that does not admit it is dropped', { ...text, enum: ['a'] }, null, stored(undefined)],
  ['a null of any type is dropped', open, null, stored(undefined)],
  ['a null of any type that is allowed stays', { ...open, nullable: true }, null, stored(null)],
  ['a null deep in something open stays', openObject, { a: null, b: [null] }, stored({ a: null, b: [null] })],
  ['a null in a map is dropped', { type: 'object', additionalProperties: text }, { a: null }, stored({})],
  [
    'a null that a map allows stays',
    { type: 'object', additionalProperties: { ...text, nullable: true } },
    { a: null },
    stored({ a: null }),
  ],
  ['an item is not dropped', { type: 'array', items: text }, ['a', null], ofType('string', 'null', 'x[1]')],
  ['an item that may be null', { type: 'array', items: { ...text, nullable: true } }, [null], stored([null])],
  ['an item of any type', { type: 'array', items: open }, [null, 1, 'a'], stored([null, 1, 'a'])],
  [
    'a null that is required is missing',
    objectOf({ a: text }, { required: ['a'] }),
    { a: null },
    refused('Required value', 'x.a'),
  ],
  ['a null takes the default', { ...text, default: 'd' }, null, stored('d')],
  ['a null that is allowed does not', { ...text, nullable: true, default: 'd' }, null, stored(null)],
  ['an item takes the default', { type: 'array', items: { ...text, default: 'd' } }, [null], stored(['d'])],
  [
    'what is dropped does not count',
    objectOf({ a: text, b: text }, { minProperties: 1, maxProperties: 1 }),
    { a: 'a', b: null },
    stored({ a: 'a' }),
  ],
  [
    'and leaves too little',
    objectOf({ a: text }, { minProperties: 1 }),
    { a: null },
    wrong(0, 'should have at least 1 properties'),
  ],
  ['int or string', { 'x-kubernetes-int-or-string': true }, '50%', stored('50%')],
  ['int or string: an int', { 'x-kubernetes-int-or-string': true }, 5, stored(5)],
  ['int or string: a null', { 'x-kubernetes-int-or-string': true }, null, stored(undefined)],
  [
    'int or string: neither',
    { 'x-kubernetes-int-or-string': true },
    true,
    ofType('integer,string', 'boolean'),
  ],

  ['an integer', { type: 'integer' }, 1, stored(1)],
  ['no integer', { type: 'integer' }, 1.5, ofType('integer', 'number')],
  ['an integer of 64 bits', { type: 'integer' }, 2 ** 62, stored(2 ** 62)],
  ['an integer beyond', { type: 'integer' }, 2 ** 63, ofType('integer', 'number')],
  ['a number', { type: 'number' }, 1, stored(1)],
  ['an array', { type: 'array', items: text }, {}, ofType('array', 'object')],
  ['wrong in two ways', { ...text, enum: ['a'] }, 1, ofType('string', 'integer')],
  ['at the minimum', { type: 'number', minimum: 2 }, 2, stored(2)],
  ['below it', { type: 'number', minimum: 2 }, 1, wrong(1, 'should be greater than or equal to 2')],
  [
    'at an exclusive minimum',
    { type: 'number', minimum: 2, exclusiveMinimum: true },
    2,
    wrong(2, 'should be greater than 2'),
  ],
  ['above the maximum', { type: 'integer', maximum: 2 }, 3, wrong(3, 'should be less than or equal to 2')],
  [
    'at an exclusive maximum',
    { type: 'integer', maximum: 2, exclusiveMaximum: true },
    2,
    wrong(2, 'should be less than 2'),
  ],
  [
    'a character is no code unit',
    { ...text, minLength: 2 },
    '😀',
    wrong('😀', 'should be at least 2 chars long'),
  ],
  ['nor a byte', { ...text, maxLength: 2 }, '😀é', stored('😀é')],
  ['too long', { ...text, maxLength: 2 }, 'abc', refused('Too long: may not be more than 2 bytes', 'x')],
  ['a pattern', { ...text, pattern: '^a|b$' }, 'ac', stored('ac')],
  ['no match', { ...text, pattern: '^a$' }, 'b', wrong('b', "should match '^a$'")],
  ['the end is no line end', { ...text, pattern: '^a$' }, 'a\n', wrong('a\n', "should match '^a$'")],
  ['only ASCII digits', { ...text, pattern: '^\\d$' }, '٣', wrong('٣', "should match '^\\d$'")],
  ['an enum', { ...text, enum: ['a', 'b'] }, 'b', stored('b')],
  ['not in the enum', { ...text, enum: ['a', 'b'] }, 'c', notIn('c', '"a"', '"b"')],
  ['the empty string is a value', { ...text, enum: ['a'] }, '', notIn('', '"a"')],
  ['a date and time', dateTime, '2026-01-02T03:04:05.123Z', stored('2026-01-02T03:04:05.123Z')],
  ['with an offset', dateTime, '2026-01-02t03:04:05+05:30', stored('2026-01-02t03:04:05+05:30')],
  ['a comma before the fraction', dateTime, '2026-01-02T03:04:05,5Z', stored('2026-01-02T03:04:05,5Z')],
  ['without a zone', dateTime, '2026-01-02T03:04:05', notDateTime('2026-01-02T03:04:05')],
  ['no such day', dateTime, '2026-02-30T03:04:05Z', notDateTime('2026-02-30T03:04:05Z')],
  ['no such hour', dateTime, '2026-02-03T24:04:05Z', notDateTime('2026-02-03T24:04:05Z')],
  ['a leap second', dateTime, '2026-12-31T23:59:60Z', notDateTime('2026-12-31T23:59:60Z')],
  ['no time', dateTime, 'noon', notDateTime('noon')],
  ['no items', { type: 'array', items: text, minItems: 1 }, [], wrong(0, 'should have at least 1 items')],
  [
    'too many items',
    { type: 'array', items: text, maxItems: 1 },
    ['a', 'b'],
    refused('Too many: 2: must have at most 1 item', 'x'),
  ],
  [
    'too many properties',
    { type: 'object', additionalProperties: text, maxProperties: 1 },
    { a: 'a', b: 'b' },
    refused('Too many: 2: must have at most 1 item', 'x'),
  ],
  ['a wrong item', { type: 'array', items: text }, ['a', 1], ofType('string', 'integer', 'x[1]')],
  [
    'a wrong value in a map',
    { type: 'object', additionalProperties: text },
    { a: 1 },
    ofType('string', 'integer', 'x.a'),
  ],
  ['an unknown member', objectOf({ a: text }), { a: 'a', b: 'b' }, stored({ a: 'a' })],
  ['an unknown member of something open', { ...objectOf({ a: text }), ...open }, { b: 1 }, stored({ b: 1 })],
  [
    'a known one of something open',
    { ...objectOf({ a: objectOf({}) }), ...open },
    { a: { b: 1 } },
    stored({ a: {} }),
  ],
  [
    'all of',
    { type: 'integer', allOf: [{ minimum: 1 }] },
    0,
    wrong(0, 'should be greater than or equal to 1'),
  ],
  [
    'any of',
    { ...text, anyOf: [{ maxLength: 1 }, { pattern: '^a+$' }] },
    'bb',
    refused('Invalid value: "": "x" must validate at least one schema (anyOf)'),
  ],
  ['any of: one', { ...text, anyOf: [{ maxLength: 1 }, { pattern: '^a+$' }] }, 'aa', stored('aa')],
  [
    'one of',
    { type: 'integer', oneOf: [{ minimum: 1 }, { maximum: 5 }] },
    3,
    refused(
      'Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ),
  ],
  [
    'not',
    { ...text, not: { enum: ['a'] } },
    'a',
    refused('Invalid value: "": "x" must not validate the schema (not)'),
  ],
  ['a null is held against nothing else', { ...text, nullable: true, minLength: 3 }, null, stored(null)],
];

/** Whatever a schema of ours can say, judged alike by every API server: one row a case. */
export async function schemaContract(t: Test, cluster: Cluster): Promise<void> {
  const properties = Object.fromEntries(rows.map(([, schema], at) => [`r${at}`, schema]));
  const openAPIV3Schema = objectOf({ spec: objectOf(properties) });
  const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'injections.xidrill.dev' },
    spec: {
      group: 'xidrill.dev',
      scope: 'Namespaced',
      names: { kind: 'Injection', listKind: 'InjectionList', plural: 'injections', singular: 'injection' },
      versions: [{ name: 'v1alpha1', served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  };
  await cluster.create('customresourcedefinitions', definition as KubeObject);
  await established(cluster, definition.metadata.name);
  for (const [at, [name, , value, answer]] of rows.entries()) {
    const member = `r${at}`;
    const written = cluster.create('injections', {
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Injection',
      metadata: { name: `row-${at}`, namespace: 'default' },
      spec: { [member]: value },
    });
    const given = await written.then(
      ({ spec }): Answer => ({ stored: (spec as Record<string, unknown>)[member] }),
      (thrown: unknown) => answerFrom(thrown, member),
    );
    t.strictSame(given, answer, name);
  }
  await removeDefinition(cluster, definition.metadata.name);
}

/** The words of the first cause, with the member's own name put back. */
function answerFrom(thrown: unknown, member: string): Answer {
  if (!(thrown instanceof Refusal) || thrown.reason !== 'object_invalid') throw thrown;
  const renamed = (words: string) => words.replaceAll(`spec.${member}`, 'x');
  const { causes, field } = thrown.details as { causes?: { message: string }[]; field?: string };
  return { refused: renamed(causes?.[0]?.message ?? thrown.message), field: renamed(field ?? '') };
}
