import t from 'tap';
import { prune, type Schema, validate } from '../../../coordinator/rehearsal/apiserver/schema.ts';

t.test('validation: one row a keyword', async (t) => {
  const rows: readonly (readonly [Schema, unknown, string | undefined])[] = [
    [{ type: 'integer' }, 1, undefined],
    [{ type: 'number' }, 1, undefined],
    [{ type: 'integer' }, 1.5, 'Invalid value: "number": x in body must be of type integer: "number"'],
    [{ type: 'string' }, null, 'Invalid value: "null": x in body must be of type string: "null"'],
    [{ type: 'string', nullable: true }, null, undefined],
    [{ type: 'array' }, {}, 'Invalid value: "object": x in body must be of type array: "object"'],
    [{ minimum: 2 }, 1, 'Invalid value: 1: x in body should be greater than or equal to 2'],
    [{ minimum: 2, exclusiveMinimum: true }, 2, 'Invalid value: 2: x in body should be greater than 2'],
    [{ maximum: 2 }, 3, 'Invalid value: 3: x in body should be less than or equal to 2'],
    [{ maximum: 2, exclusiveMaximum: true }, 2, 'Invalid value: 2: x in body should be less than 2'],
    [{ minLength: 2 }, '😀', 'Invalid value: "😀": x in body should be at least 2 chars long'],
    [{ maxLength: 2 }, 'abc', 'Too long: may not be more than 2 bytes'],
    [{ pattern: '^a$' }, 'b', `Invalid value: "b": x in body should match '^a$'`],
    [{ format: 'date-time' }, 'noon', 'Invalid value: "noon": x in body must be of type date-time: "noon"'],
    [{ format: 'date-time' }, '2026-01-02T03:04:05.123Z', undefined],
    [{ enum: ['a', 1] }, 2, 'Unsupported value: 2: supported values: "a", 1'],
    [{ minItems: 1 }, [], 'Invalid value: 0: x in body should have at least 1 items'],
    [{ maxItems: 1 }, [1, 2], 'Too many: 2: must have at most 1 item'],
    [
      { items: { type: 'string' } },
      ['a', 1],
      'Invalid value: "integer": x[1] in body must be of type string: "integer"',
    ],
    [{ minProperties: 1 }, {}, 'Invalid value: 0: x in body should have at least 1 properties'],
    [{ maxProperties: 1 }, { a: 1, b: 2 }, 'Too many: 2: must have at most 1 item'],
    [{ required: ['a'] }, {}, 'Required value'],
    [
      { additionalProperties: { type: 'string' } },
      { a: 1 },
      'Invalid value: "integer": x.a in body must be of type string: "integer"',
    ],
    [{ additionalProperties: true }, { a: 1 }, undefined],
    [{ allOf: [{ minimum: 1 }] }, 0, 'Invalid value: 0: x in body should be greater than or equal to 1'],
    [
      { anyOf: [{ type: 'string' }, { type: 'integer' }] },
      true,
      'Invalid value: "": "x" must validate at least one schema (anyOf)',
    ],
    [
      { oneOf: [{ minimum: 1 }, { maximum: 5 }] },
      3,
      'Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives',
    ],
    [{ not: { enum: ['a'] } }, 'a', 'Invalid value: "": "x" must not validate the schema (not)'],
    [{ 'x-kubernetes-int-or-string': true }, '50%', undefined],
    [
      { 'x-kubernetes-int-or-string': true },
      true,
      'Invalid value: "boolean": x in body must be of type integer,string: "boolean"',
    ],
  ];
  for (const [schema, value, message] of rows) {
    t.equal(validate(schema, value, 'x')[0]?.message, message, JSON.stringify([schema, value]));
  }
});

t.test('pruning keeps what is known, free, or the type and metadata of a resource', async (t) => {
  const free = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } as const;
  const schema: Schema = {
    properties: {
      spec: {
        properties: {
          known: { type: 'object' },
          nothing: { type: 'string' },
          free,
          map: { additionalProperties: { properties: { a: {} } } },
          on: { type: 'boolean', default: true },
        },
      },
      inner: { 'x-kubernetes-embedded-resource': true, properties: {} },
      closed: { additionalProperties: false },
    },
  };
  const root = {
    kind: 'X',
    metadata: { name: 'x', odd: 1 },
    spec: {
      known: { deep: 1 },
      nothing: null,
      free: { any: 1 },
      map: { one: { a: 1, b: 2 } },
      on: null,
      gone: 1,
    },
    inner: { kind: 'Y', metadata: {}, gone: 1 },
    closed: { gone: 1 },
  };
  const { object, unknown } = prune(schema, root);
  t.strictSame(object, {
    kind: 'X',
    metadata: { name: 'x', odd: 1 },
    spec: { known: {}, free: { any: 1 }, map: { one: { a: 1 } }, on: true },
    inner: { kind: 'Y', metadata: {} },
    closed: {},
  });
  t.strictSame(unknown, ['spec.known.deep', 'spec.map.one.b', 'spec.gone', 'inner.gone', 'closed.gone']);
});
