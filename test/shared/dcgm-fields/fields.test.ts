import { readFileSync } from 'node:fs';
import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { explainNoEffect, notesOn, policiesOf, reactionsTo } from '../../../shared/dcgm-fields/effect.ts';
import { fieldById, findField } from '../../../shared/dcgm-fields/find.ts';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';
import { exampleOf, isMatch } from '../../../shared/dcgm-fields/rule.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import { refusalOf } from '../../agent/dcgm/refused.ts';

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
    [202, '4294967295', '4294967295'],
    [174, '0', '0'],
    [1503, '-2', '-2'],
    // No hardware draws so much: this is how "no reading" is written, and a rule names it.
    [155, '140737488355328', '140737488355328'],
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
    [150, 999, 'field_value_range', /\(the GPU temperature\) has values from 0 to 200 °C, not 999/],
    [151, -1, 'field_value_range', /from 0 to 200 °C, not -1/],
    [155, 20000, 'field_value_range', /from 0 to 10000 W/],
    [155, '-0.5', 'field_value_range', /not -0.5/],
    [203, 101, 'field_value_range', /from 0 to 100 %/],
    [391, 65, 'field_value_range', /from 0 to 64/],
    [202, '9223372036854775807', 'field_value_range', /from 0 to 4294967295, not 9223372036854775807/],
    [1523, 5, 'field_value_range', /from 0 to 4/],
  ];
  for (const [id, value, reason, message] of bad) {
    const refusal = await refusalOf(() => assertFieldValue(fieldById(id), value));
    t.equal(refusal.reason, reason, `${id} = ${value}`);
    t.match(refusal.message, message);
    t.match(refusal.details, { field: 'value', fieldId: id, type: String });
  }
});

t.test('a value out of range: what was meant, and force', async (t) => {
  const refusal = await refusalOf(() => assertFieldValue(fieldById(84), 79, 'fault.parameters.value'));
  t.match(
    refusal.message,
    /^fault\.parameters\.value: field 84 .* from 0 to 1, not 79; did you mean 230 = 79/,
  );
  t.match(refusal.details, {
    field: 'fault.parameters.value',
    value: '79',
    allowed: { minimum: 0, maximum: 1 },
    didYouMean: [{ field: 230, value: '79', because: 'Xid 79' }],
    remedy: /force: true/,
  });
  const force = { force: true };
  t.equal(assertFieldValue(fieldById(84), 79, 'value', force), '79');
  t.equal(assertFieldValue(fieldById(202), '9223372036854775807', 'value', force), '9223372036854775807');
  const still: [number, number | string, string][] = [
    [84, 'abc', 'field_value_type'],
    [202, '9223372036854775808', 'field_value_type'],
    [150, -1, 'field_not_injectable'],
    [61, 1, 'field_not_injectable'],
  ];
  for (const [id, value, reason] of still) {
    const hard = await refusalOf(() => assertFieldValue(fieldById(id), value, 'value', force));
    t.equal(hard.reason, reason, `${id} = ${value}: force changes nothing`);
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
      /^field 111 is the application memory clock in MHz; nothing reacts to it$/,
      [
        [319, '999'],
        [311, '999'],
      ],
    ],
    [155, '250.5', /250.5 W is healthy/, [[155, '251']]],
    [
      310,
      '1',
      /single-bit ECC errors.*nothing reacts/,
      [
        [319, '1'],
        [311, '1'],
      ],
    ],
    [
      856,
      '7',
      /it belongs to a switch; on a GPU nothing reads the value/,
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
    [
      319,
      '0',
      /an increase, so a value above 0/,
      [
        [311, '1'],
        [319, '1'],
      ],
    ],
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

/** fields.tsv: id, name (4.6), names before, type, unit, scope, note; transcribed from DCGM's own sources. */
const described = readFileSync(new URL('./fields.tsv', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .slice(1)
  .map((line) => line.split('\t'));

/** As people write them. */
const units: Readonly<Record<string, string>> = {
  C: '°C',
  percent: '%',
  ...Object.fromEntries(['MHz', 'W', 'mJ', 'KB/s', 'MB/s', 'MiB', 'ns', 'bytes'].map((unit) => [unit, unit])),
};

t.test('the catalogue is what DCGM has, row by row', async (t) => {
  t.equal(described.length, 137);
  const defined = described.filter(([, name]) => name !== '-');
  t.same(
    fieldRows.map(({ id, name, legacyName, olderName, type, unit }) => {
      const before = legacyName ?? (id === 175 ? '-' : name);
      const names = olderName === undefined ? before : `${before} (3.3: ${olderName})`;
      return [id, name, names, type, unit];
    }),
    defined.map(([id, name, names, type, unit = '']) => [Number(id), name, names, type, units[unit]]),
  );
  for (const [id] of described.filter(([, name]) => name === '-')) {
    const refusal = await refusalOf(() => findField(Number(id)));
    t.match(refusal.message, `${id} is defined in no DCGM version`);
  }
  for (const [id, name = '', names = ''] of defined) {
    const before = names === '-' ? [] : names.replace(')', '').split(' (3.3: ');
    for (const known of [name, ...before]) t.equal(findField(known).id, Number(id), known);
    // A slip of a finger still leads there.
    const slip = `${name.slice(0, -2)}${name.slice(-1)}`;
    const refusal = await refusalOf(() => findField(slip));
    t.match(refusal.details.allowed, new RegExp(`\\b${id} ${name}\\b`), slip);
    t.match(refusal.details.remedy, /^did you mean /);
  }
});

t.test('every number that can be injected has its range, and every rule a value in it', async (t) => {
  for (const row of fieldRows) {
    const isNumber = row.type === 'int64' || row.type === 'double';
    t.equal(row.range !== undefined, isNumber, `${row.id} ${row.name}`);
    if (row.range === undefined) continue;
    t.ok(row.range.minimum < row.range.maximum && Number.isSafeInteger(row.range.maximum), `${row.id}`);
    for (const { rule } of row.effects ?? [])
      t.doesNotThrow(() => assertFieldValue(row, exampleOf(rule)), `${row.id}: ${exampleOf(rule)}`);
    if (row.healthy !== undefined) t.doesNotThrow(() => assertFieldValue(row, row.healthy ?? ''));
  }
});

t.test('what a fault takes, its field has', async (t) => {
  for (const { name, channel, parameters } of faults) {
    if (channel.kind !== 'dcgm-value') continue;
    const valuesOf = (text: string | number): readonly (string | number)[] => {
      const row = parameters[/^\{(.*)\}$/.exec(String(text))?.[1] ?? ''];
      if (row === undefined) return [text];
      const { allowed, minimum = Number.NaN, maximum = Number.NaN } = row;
      return allowed === undefined
        ? [minimum, maximum]
        : allowed.filter((value) => typeof value !== 'boolean');
    };
    for (const field of valuesOf(channel.field))
      for (const value of valuesOf(channel.value))
        t.doesNotThrow(() => assertFieldValue(findField(field), value), `${name}: ${field} = ${value}`);
  }
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
