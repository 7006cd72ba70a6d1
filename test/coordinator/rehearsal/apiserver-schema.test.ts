import t from 'tap';
import { prune } from '../../../coordinator/rehearsal/apiserver/pruning.ts';
import type { Schema } from '../../../coordinator/rehearsal/apiserver/schema.ts';
import { unjudgedCauses } from '../../../coordinator/rehearsal/apiserver/schema-checks.ts';

t.test('what would not be judged as the real server does is refused in a definition', async (t) => {
  const within = (schema: object): Schema => ({
    type: 'object',
    properties: { a: { type: 'array', items: { additionalProperties: { oneOf: [schema as Schema] } } } },
  });
  const path = 'spec.properties[a].items.additionalProperties.oneOf[0]';
  const rows: readonly (readonly [object, string])[] = [
    [{ 'x-kubernetes-validations': [{ rule: 'self' }] }, 'x-kubernetes-validations'],
    [{ 'x-kubernetes-list-type': 'set' }, 'x-kubernetes-list-type'],
    [{ multipleOf: 2 }, 'multipleOf'],
    [{ uniqueItems: true }, 'uniqueItems'],
    [{ format: 'ipv4' }, 'format'],
    [{ pattern: '^(?=a)' }, 'pattern'],
  ];
  for (const [schema, keyword] of rows)
    t.match(unjudgedCauses(within(schema), 'spec'), [
      { reason: 'FieldValueInvalid', field: `${path}.${keyword}`, message: /not judged/ },
    ]);
  const plain = { type: 'string', format: 'date-time', pattern: '^a$', nullable: true, description: '' };
  t.strictSame(unjudgedCauses(within(plain), 'spec'), []);
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
