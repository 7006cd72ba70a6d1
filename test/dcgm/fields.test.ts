import t from 'tap';
import { explainNoEffect, notesOn, policiesOf, reactionsTo } from '../../shared/dcgm-fields/effect.ts';
import { fieldById, findField } from '../../shared/dcgm-fields/find.ts';
import { fieldRows } from '../../shared/dcgm-fields/rows.ts';
import { exampleOf, isMatch } from '../../shared/dcgm-fields/rule.ts';
import { assertFieldValue } from '../../shared/dcgm-fields/value.ts';
import { refusalOf } from './refused.ts';

t.test('a field is found by number, by its names and by its tag', async (t) => {
  const rows: [number | string, number][] = [
    [230, 230],
    ['230', 230],
    ['DCGM_FI_DEV_XID_ERROR', 230],
    ['dcgm_fi_dev_xid_errors', 230],
    ['XID_ERRORS', 230],
    ['DCGM_FI_DEV_CLOCK_THROTTLE_REASONS', 112],
    ['DCGM_FI_DEV_GPU_TEMP', 150],
  ];
  for (const [name, id] of rows) t.equal(findField(name).id, id, String(name));
});

t.test('an unknown field is refused with what is near', async (t) => {
  const rows: [number | string, RegExp][] = [
    ['xid', /"xid" is no DCGM field of the catalogue; near it: 230 DCGM_FI_DEV_XID_ERROR/],
    ['gpu_temperature', /near it: 150 DCGM_FI_DEV_GPU_TEMP_CELSIUS/],
    ['ecc_dbe', /_ECC_DBE_/],
    [397, /397 is defined in no DCGM version; near it: 396/],
    [850, /850 is defined in no DCGM version/],
    [9999, /"9999" is no DCGM field/],
    ['', /"" is no DCGM field/],
    ['constructor', /"constructor" is no DCGM field/],
  ];
  for (const [name, message] of rows) {
    const refusal = await refusalOf(() => findField(name));
    t.equal(refusal.reason, 'field_unknown');
    t.match(refusal.message, message);
    t.match(refusal.details, { field: 'field', value: name, allowed: { length: 3 } });
  }
});

t.test('a value is checked strictly against the type', async (t) => {
  const good: [number, number | string, string][] = [
    [230, 79, '79'],
    [230, '079', '79'],
    [230, 0, '0'],
    [202, '9223372036854775807', '9223372036854775807'],
    [202, '-9223372036854775808', '-9223372036854775808'],
    [155, 251, '251'],
    [155, 250.5, '250.5'],
    [155, '1e3', '1e3'],
    [155, '.5', '.5'],
    [1502, 'DOWN', 'DOWN'],
  ];
  for (const [id, value, text] of good)
    t.equal(assertFieldValue(fieldById(id), value), text, `${id} = ${value}`);
  const bad: [number, number | string, string, RegExp][] = [
    [
      230,
      'abc',
      'field_value_type',
      /field 230 \(the last Xid of the GPU, int64\) wants a whole number.*not "abc"/,
    ],
    [230, '48abc', 'field_value_type', /not "48abc"/],
    [230, '0x30', 'field_value_type', /not "0x30"/],
    [230, '', 'field_value_type', /not ""/],
    [230, ' 79', 'field_value_type', /not " 79"/],
    [230, 1.5, 'field_value_type', /not 1.5/],
    [230, 2 ** 60, 'field_value_type', /decimal digits in a text/],
    [202, '9223372036854775808', 'field_value_type', /within 64 bits/],
    [202, '99999999999999999999', 'field_value_type', /within 64 bits/],
    [155, 'nan', 'field_value_type', /the board power draw, averaged, double in W/],
    [155, '1e999', 'field_value_type', /finite/],
    [155, Number.POSITIVE_INFINITY, 'field_value_type', /Infinity/],
    [155, '0x10', 'field_value_type', /0x10/],
    [1502, 5, 'field_value_type', /printable ASCII/],
    [1502, 'a\nb', 'field_value_type', /on one line/],
    [1502, 'ü', 'field_value_type', /ASCII/],
    [1502, 'x'.repeat(256), 'field_value_type', /1 to 255/],
    [61, 1, 'field_not_injectable', /is binary/],
    [54, 'GPU-1', 'field_not_injectable', /never set to GPU-1: clients find their GPU by it/],
    [57, '00000000:01:00.0', 'field_not_injectable', /clients find their GPU/],
    [237, 0, 'field_not_injectable', /never set to 0/],
    [238, '0', 'field_not_injectable', /never set to 0/],
    [150, -1, 'field_not_injectable', /4294967295/],
  ];
  for (const [id, value, reason, message] of bad) {
    const refusal = await refusalOf(() => assertFieldValue(fieldById(id), value));
    t.equal(refusal.reason, reason, `${id} = ${value}`);
    t.match(refusal.message, message);
    t.match(refusal.details, { field: 'value', fieldId: id, type: String });
  }
});

t.test('a value that changes nothing is explained, with what was meant', async (t) => {
  const rows: [number, string, RegExp, [number, string][]][] = [
    [
      150,
      '48',
      /^field 150 is the GPU temperature in °C; 48 °C is healthy \(the Thermal policy wants more than 100 °C\)$/,
      [
        [230, '48'],
        [150, '101'],
      ],
    ],
    [
      111,
      '999',
      /^field 111 is the application memory clock in MHz; nobody reacts to it$/,
      [
        [319, '999'],
        [311, '999'],
      ],
    ],
    [155, '250.5', /250.5 W is healthy/, [[155, '251']]],
    [
      310,
      '1',
      /single-bit ECC errors.*nobody reacts/,
      [
        [319, '1'],
        [311, '1'],
      ],
    ],
    [
      856,
      '7',
      /it belongs to a switch; on a GPU nobody looks at the value/,
      [
        [230, '7'],
        [429, '7'],
      ],
    ],
    [
      112,
      '8',
      /only at the status of a sample/,
      [
        [241, '8'],
        [240, '8'],
      ],
    ],
    [319, '0', /an increase, so a value above 0/, [[319, '1']]],
    [170, '3', /3 is healthy/, [[170, '4']]],
    [174, '2', /one of the fault bits/, [[174, '1']]],
    [1217, '4095', /an error rate above 1e-12/, [[1217, '262']]],
    [1502, 'UP', /a text other than UP/, [[1502, 'DOWN']]],
    [191, '5', /fan speed/, []],
    [230, '9223372036854775807', /reads 9223372036854775807 as "no value"/, []],
  ];
  for (const [id, value, summary, meant] of rows) {
    const found = explainNoEffect(fieldById(id), value);
    t.match(found?.summary, summary, `${id} = ${value}`);
    t.same(
      found?.didYouMean.map((hint) => [hint.field, hint.value]),
      meant,
    );
  }
});

t.test('a value that somebody reacts to needs no explanation', async (t) => {
  const rows: [number, string, string[]][] = [
    [230, '79', ['the XID policy', 'the Xid health check (code 101, FAIL)']],
    [230, '0', ['the XID policy']],
    [150, '101', ['the Thermal policy']],
    [155, '140737488355328', ['the Power health check (code 11, WARN)']],
    [319, '4', ['the DBE policy']],
    [311, '1', ['the Memory health check (code 4, FAIL)']],
    [84, '0', ['the InfoROM health check (code 9, WARN)']],
    [
      174,
      '512',
      ['the node monitoring agent (NvidiaFabricError)', 'the NVLink health check (code 33, FAIL)'],
    ],
    [170, '2', ['the NVLink health check (code 123, WARN)']],
    [1217, '262', ['the NVLink health check (code 119, FAIL)']],
    [1217, '3084', ['the NVLink health check (code 119, FAIL)']],
    [1217, '0', ['the NVLink health check (code 119, FAIL)']],
    [1523, '3', ['the Driver health check (code 127, WARN)']],
  ];
  for (const [id, value, expected] of rows) {
    t.equal(explainNoEffect(fieldById(id), value), undefined, `${id} = ${value}`);
    t.same(reactionsTo(fieldById(id), value), expected);
  }
  t.same(policiesOf(fieldById(409)), [{ kind: 'policy', policy: 'NVLink', rule: { op: 'increase' } }]);
  t.match(notesOn(fieldById(391), '11'), [/inject 390 = 0 first/]);
});

t.test('the catalogue hangs together', async (t) => {
  const ids = fieldRows.map((row) => row.id);
  t.same(
    ids,
    [...new Set(ids)].toSorted((a, b) => a - b),
    'in order, each id once',
  );
  for (const row of fieldRows) {
    for (const other of row.confusedWith ?? [])
      t.ok(fieldById(other.field).effects, `${row.id}: ${other.field} has effects`);
    for (const effect of row.effects ?? [])
      t.ok(isMatch(effect.rule, exampleOf(effect.rule)), `${row.id}: an example`);
    if (row.type === 'binary') t.notOk(row.effects, `${row.id} cannot be injected`);
  }
});
