import t from 'tap';
import type { EngineGpuOptions } from '../../../coordinator/rehearsal/host-engine/readings.ts';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';
import type { Reach } from '../../../shared/schemas/order-members.ts';
import { refusalOf } from '../../agent/dcgm/refused.ts';
import { inSeconds, recipeOn, rig } from './recipe-rig.ts';

const h100: EngineGpuOptions = {
  id: 0,
  name: 'NVIDIA H100 80GB HBM3',
  pci: '00000000:01:00.0',
  uuid: 'GPU-0',
  nvlink: true,
};
/** Has no NVLink: each of its counters is "not supported". */
const t4: EngineGpuOptions = { id: 0, name: 'Tesla T4', pci: '00000000:00:1E.0', uuid: 'GPU-1' };
const b200: EngineGpuOptions = { ...h100, name: 'NVIDIA B200', uuid: 'GPU-2' };
const gpus = [h100, t4, b200];
/** Checks that only some generations have (dcgm.md §3). */
const onlyOn: Readonly<Record<number, readonly EngineGpuOptions[]>> = {
  393: [h100, b200],
  497: [h100, t4],
  498: [h100, t4],
  499: [h100, t4],
  1211: [b200],
  1212: [b200],
};
const engines = ['4.5.3', '4.6.0'] as const;
/** Where in a second it begins: dcgmi stamps whole ones. */
const beginnings = [0, 499, 999];

t.test('every policy is told exactly once, on both engines', async (t) => {
  // dcgm.md §2, dcgm-measured.md §3
  const rows: [field: number, value: string, violation: object][] = [
    [319, '4', { policy: 'DBE', errors: 4 }],
    [202, '7', { policy: 'PCIe', replays: 7 }],
    [409, '7', { policy: 'NVLink', fieldId: 409, errors: 7 }],
    [419, '1', { policy: 'NVLink', fieldId: 419, errors: 1 }],
    [429, '1', { policy: 'NVLink', fieldId: 429, errors: 1 }],
    [439, '9', { policy: 'NVLink', fieldId: 439, errors: 9 }],
    [391, '11', { policy: 'MaxRtPg', sbePages: 0, dbePages: 11 }],
    [390, '11', { policy: 'MaxRtPg', sbePages: 11, dbePages: 0 }],
    [150, '101', { policy: 'Thermal', celsius: 101 }],
    [155, '251', { policy: 'Power', watts: 251 }],
    [155, '600.9', { policy: 'Power', watts: 600 }],
    [230, '79', { policy: 'XID', xid: 79 }],
    [230, '13', { policy: 'XID', xid: 13 }],
    [230, '0', { policy: 'XID', xid: 0 }],
  ];
  for (const engine of engines)
    for (const gpu of gpus)
      for (const beginning of beginnings)
        for (const asked of [true, false])
          for (const reach of ['policy', undefined] as const)
            for (const [field, value, violation] of rows) {
              const at = rig({ version: engine, gpu, beginning });
              at.to(12_345);
              const hasSample = asked ? at.hasSample(field) : undefined;
              at.carryOut(recipeOn({ field, value, reach, engine, hasSample }));
              at.run(120_000);
              t.match(
                at.heard,
                [violation],
                `${field} = ${value} on ${engine}, ${gpu.name}, +${beginning} ms`,
              );
              t.equal(at.heard.length, 1);
            }
  const covered = new Set(rows.map(([field]) => field));
  const missing = fieldRows.filter(
    (row) => row.effects?.some(({ kind }) => kind === 'policy') === true && !covered.has(row.id),
  );
  t.same(missing, [], 'every field of a policy is in the table');
});

type Codes = string | { readonly '4.5.3': string | null; readonly '4.6.0': string | null };
/** dcgm.md §3 and §4, dcgm-measured.md §4: the incident that each version has; null: it has none. */
const healthRows: readonly (readonly [field: number, value: string, codes: Codes])[] = [
  [202, '500', '3 WARN'],
  [311, '1', '4 FAIL'],
  [392, '1', '6 WARN'],
  [390, '63', '7 FAIL'],
  [391, '16', '8 FAIL'],
  [391, '62', '8 FAIL'],
  [395, '1', '80 FAIL'],
  [393, '512', { '4.5.3': null, '4.6.0': '132 WARN' }],
  [1507, '1', '52 FAIL'],
  [84, '0', '9 WARN'],
  [241, '1000000000', '10 WARN'],
  [240, '1000000000', '12 WARN'],
  [155, '140737488355328', '11 WARN'],
  [409, '1', '13 WARN'],
  [419, '5999', '13 WARN'],
  [409, '6000', '70 FAIL'],
  [419, '6000', '70 FAIL'],
  [429, '1', '71 FAIL'],
  [439, '1', '71 FAIL'],
  [1204, '1', '71 FAIL'],
  [1205, '1', '71 FAIL'],
  [1206, '1', '71 FAIL'],
  [1207, '1', '71 FAIL'],
  [1208, '1', '71 FAIL'],
  [1209, '1', '71 FAIL'],
  [1213, '1', '71 FAIL'],
  [1214, '1', '71 FAIL'],
  [1219, '1', '71 FAIL'],
  [1220, '1', '71 FAIL'],
  [1217, '262', '119 FAIL'],
  [1217, '3084', '119 FAIL'],
  [1217, '0', '119 FAIL'],
  [1215, '262', '121 FAIL'],
  [497, '1', '71 FAIL'],
  [498, '1', '71 FAIL'],
  [499, '1', '71 FAIL'],
  [1211, '1', '71 WARN'],
  [1212, '1', '71 FAIL'],
  [174, '1', '33 FAIL'],
  [174, '4', '33 FAIL'],
  [174, '16', '33 FAIL'],
  [174, '64', '33 FAIL'],
  [174, '512', '33 FAIL'],
  [170, '2', '123 WARN'],
  [170, '1', '123 FAIL'],
  [170, '4', '123 FAIL'],
  [1523, '1', '125 FAIL'],
  [1523, '2', '126 FAIL'],
  [1523, '3', '127 WARN'],
  [1523, '4', '128 FAIL'],
];
/** Between the first writing and a health tick, in seconds; the tick comes again after 300. */
const phases = [0.2, 1.5, 9.9, 10.5, 20.01, 29, 31, 59.5, 60.5, 61.02, 80.3, 150.3, 240.7, 299.9];

function codesOf(codes: Codes, engine: '4.5.3' | '4.6.0'): string | null {
  return typeof codes === 'string' ? codes : codes[engine];
}

t.test('every health check is seen by a tick, whenever that comes, and is gone afterwards', async (t) => {
  for (const engine of engines)
    for (const gpu of gpus)
      for (const [field, value, codes] of healthRows) {
        const expected = codesOf(codes, engine);
        const name = `${field} = ${value} on ${engine}, ${gpu.name}`;
        const order = { field, value, reach: 'health', engine, gpuName: gpu.name } as const;
        const isOnGpu = onlyOn[field]?.includes(gpu) !== false;
        if (expected === null || !isOnGpu) {
          const refusal = await refusalOf(() => recipeOn(order));
          t.equal(refusal.reason, 'field_value_no_effect', name);
          t.match(
            refusal.message,
            /exists (from host engine 4\.6\.0 on|on .* GPUs|on GPUs) ?.*, and this one is /,
            name,
          );
          const at = rig({ version: engine, gpu, beginning: 0 });
          at.carryOut(recipeOn({ ...order, force: true }));
          at.run(20_000);
          t.same(at.codes(), [], `${name}, forced`);
          continue;
        }
        const found = phases.map((phase, index) => {
          const at = rig({ version: engine, gpu, beginning: beginnings[index % beginnings.length] ?? 0 });
          at.to(400_000);
          const before = at.codes();
          at.carryOut(recipeOn(order));
          at.everyTick(phase);
          // The longest that an order can be told to last by itself, and the minute that a check looks back.
          at.run(390_000);
          const during = [...new Set(at.seen)];
          at.run(100_000);
          return { phase, before, during, after: at.codes() };
        });
        t.same(
          found,
          phases.map((phase) => ({ phase, before: [], during: [expected], after: [] })),
          name,
        );
      }
  const covered = new Set(healthRows.map(([field]) => field));
  const isChecked = (row: (typeof fieldRows)[number]) =>
    row.effects?.some((effect) => effect.kind === 'health' && effect.code !== 122) === true;
  const missing = fieldRows.filter((row) => isChecked(row) && row.id !== 230 && !covered.has(row.id));
  t.same(missing, [], 'every field of a health check is in the table');
});

t.test('one writing is seen only by a tick that comes before the next reading', async (t) => {
  const rows: [field: number, value: number, seenAt: number[], missedAt: number[]][] = [
    // Read every 30 s, for health alone.
    [311, 1, [1, 15, 29], [33, 100, 299]],
    [395, 1, [1, 29], [33, 299]],
    [1523, 1, [1, 29], [33, 299]],
    [1217, 262, [1, 29], [33, 299]],
    // Read every 10 s, because policies look at them too.
    [429, 1, [1, 9], [13, 29, 299]],
    [202, 500, [1, 9], [13, 29, 299]],
    [155, 140737488355328, [1, 9], [13, 29, 299]],
  ];
  for (const version of engines)
    for (const [field, value, seenAt, missedAt] of rows)
      for (const phase of [...seenAt, ...missedAt]) {
        const at = rig({ version, gpu: h100, beginning: 0 });
        at.to(100_000);
        at.inject(field, value);
        at.to(100_000 + phase * 1000);
        t.equal(at.codes().length === 1, seenAt.includes(phase), `${field} on ${version}, ${phase} s later`);
      }
});

t.test('a minute that begins between a 0 and its value shows no change', async (t) => {
  const at = rig({ version: '4.6.0', gpu: h100, beginning: 0 });
  at.to(400_000);
  at.carryOut({
    steps: [
      { field: 1206, value: '0', afterMs: 0, offsetSeconds: 1 },
      { field: 1206, value: '1', afterMs: 1050, offsetSeconds: 1 },
    ],
    repeat: { everyMs: 20_000, forMs: 390_000 },
    because: [],
  });
  at.everyTick(61.5);
  at.run(62_000);
  t.same(at.seen, [], 'a second apart');
  const together = rig({ version: '4.6.0', gpu: h100, beginning: 0 });
  together.to(400_000);
  together.carryOut(recipeOn({ field: 1206, value: '1', reach: 'health', engine: '4.6.0' }));
  together.everyTick(61.5);
  together.run(62_000);
  t.same(together.seen, ['71 FAIL'], 'within one second');
});

t.test('an Xid is in the history of health until the engine restarts', async (t) => {
  // dcgm.md §4, dcgm-measured.md §4; null: in none of the lists.
  const rows: [xid: string, codes: Codes | null][] = [
    ['79', '120 FAIL'],
    ['48', '101 FAIL'],
    ['95', '81 FAIL'],
    ['31', '101 WARN'],
    ['63', '6 WARN'],
    ['57', '12 WARN'],
    ['94', { '4.5.3': '101 FAIL', '4.6.0': '131 WARN' }],
    ['64', { '4.5.3': '80 WARN', '4.6.0': '80 FAIL' }],
    ['42', { '4.5.3': '3 WARN', '4.6.0': '101 WARN' }],
    ['93', { '4.5.3': '9 WARN', '4.6.0': null }],
    ['13', null],
    ['46', null],
    ['109', null],
  ];
  for (const engine of engines)
    for (const [value, codes] of rows) {
      const expected = codes === null ? null : codesOf(codes, engine);
      const order = { field: 230, value, reach: 'health', engine } as const;
      if (expected === null) {
        t.match(
          (await refusalOf(() => recipeOn(order))).message,
          `the health checks of host engine ${engine} have no list with Xid ${value}`,
        );
        continue;
      }
      const recipe = recipeOn(order);
      t.match(recipe, { steps: { length: 1 }, repeat: undefined, hold: undefined });
      const at = rig({ version: engine, gpu: h100, beginning: 0 });
      at.carryOut(recipe);
      at.to(3_600_000);
      t.same(at.codes(), [expected], `Xid ${value} on ${engine}`);
      at.engine.restart();
      at.connect();
      t.same(at.codes(), []);
    }
});

t.test('Xid 93: from 4.6.0 on only Volta has the check', async (t) => {
  // dcgm.md §4
  const rows: [name: string, engine: string, codes: string[]][] = [
    ['Tesla V100-SXM2-16GB', '4.5.3', ['9 WARN']],
    ['Tesla V100-SXM2-16GB', '4.6.0', ['9 WARN']],
    ['Tesla T4', '4.5.3', ['9 WARN']],
    ['Tesla T4', '4.6.0', []],
    ['NVIDIA Z9', '4.6.0', []],
  ];
  for (const [name, engine, codes] of rows) {
    const at = rig({ version: engine, gpu: { ...t4, name }, beginning: 0 });
    const order = { field: 230, value: '93', engine, gpuName: name };
    at.carryOut(recipeOn(order));
    at.run(60_000);
    t.same(at.codes(), codes, `${name} on ${engine}`);
    if (codes.length > 0) t.match(recipeOn({ ...order, reach: 'health' }), { steps: { length: 1 } });
    else
      t.equal(
        (await refusalOf(() => recipeOn({ ...order, reach: 'health' }))).reason,
        'field_value_no_effect',
      );
  }
});

t.test('watched fields: once is enough where the engine keeps the sample', async (t) => {
  const rows: [field: number, value: string][] = [
    [170, '4'],
    [170, '5'],
    [170, '6'],
    [174, '1'],
    [174, '16'],
    [174, '512'],
  ];
  for (const engine of [...engines, '4.4.2'])
    for (const [field, value] of rows)
      for (const phase of phases) {
        const recipe = recipeOn({ field, value, reach: 'watch', engine });
        t.equal(recipe.repeat === undefined, engine !== '4.4.2', `${field} on ${engine}`);
        t.ok(recipe.steps.every(({ offsetSeconds }) => offsetSeconds <= 1));
        const at = rig({ version: engine, gpu: h100, beginning: 0 });
        at.to(400_000);
        at.carryOut(recipe);
        at.everyTick(phase);
        at.run(390_000);
        t.ok(at.read.includes(`${field}=${value}`), `${field} = ${value} on ${engine}, ${phase} s later`);
      }
});

t.test('watched fields: what is written in vain', async (t) => {
  const old = rig({ version: '4.4.2', gpu: h100, beginning: 0 });
  old.to(100_000);
  old.inject(170, 4);
  old.everyTick(200);
  old.run(201_000);
  t.same(old.read, [], 'an engine before 4.5 has forgotten it');
  const ahead = rig({ version: '4.6.0', gpu: h100, beginning: 0 });
  ahead.to(100_000);
  ahead.inject(170, 4, 600);
  ahead.everyTick(200);
  ahead.run(201_000);
  t.same(ahead.read, [], 'what lies ahead of now is not read');
});

t.test('an increase is wanted from 4.6.0 on', async (t) => {
  // Value by value, six seconds apart (dcgm-measured.md §3).
  const rows: [version: string, values: number[], fired: number[]][] = [
    ['4.6.0', [1, 1, 2, 0, 1, 5], [1, 2, 1, 5]],
    ['4.5.3', [1, 1], [1, 1]],
    ['4.6.0', [1, 1], [1]],
  ];
  for (const [version, values, fired] of rows) {
    const at = rig({ version, gpu: h100, beginning: 0 });
    for (const value of values) {
      at.inject(319, value);
      at.run(6000);
    }
    t.match(
      at.heard,
      fired.map((errors) => ({ errors })),
      `${values.join()} on ${version}`,
    );
    t.equal(at.heard.length, fired.length);
  }
});

t.test('one writing of a counter that the GPU has not', async (t) => {
  for (const field of [409, 419, 429, 439]) {
    for (const [version, times] of [
      ['4.5.3', 1],
      ['4.6.0', 0],
    ] as const) {
      const at = rig({ version, gpu: t4, beginning: 0 });
      at.to(5000);
      at.inject(field, 7);
      at.run(60_000);
      t.equal(at.heard.length, times, `${field} on ${version}`);
    }
  }
});

t.test('the total of the hardware comes back, and may be an increase itself', async (t) => {
  const gpu = { ...h100, readings: { 202: 5000 } };
  const at = rig({ version: '4.6.0', gpu, beginning: 0 });
  at.to(5000);
  at.inject(202, 7);
  t.same(at.heard, [], 'below the real total: no increase');
  at.run(60_000);
  t.match(at.heard, [{ policy: 'PCIe', replays: 5000 }], 'the next reading is one');
  const above = rig({ version: '4.6.0', gpu, beginning: 0 });
  above.to(5000);
  above.inject(202, 6000);
  above.run(60_000);
  t.match(above.heard, [{ replays: 6000 }]);
  t.equal(above.heard.length, 1);
  const old = rig({ version: '4.5.3', gpu, beginning: 0 });
  old.to(5000);
  old.run(30_000);
  t.ok(old.heard.length >= 2, 'up to 4.5.3 every reading of a total above 0 fires');
});

t.test('the slot: one alert a GPU and kind in 5 s of sample time', async (t) => {
  for (const version of engines) {
    const at = rig({ version, gpu: h100, others: [{ ...h100, id: 1, uuid: 'GPU-9' }], beginning: 0 });
    at.inject(230, 13);
    at.run(300);
    at.inject(230, 31);
    at.run(300);
    at.inject(230, 79);
    at.inject(230, 46, 1, 1);
    at.run(3400);
    at.inject(230, 62);
    t.match(at.heard, [{ xid: 13 }, { xid: 46 }], 'another GPU has its own, this one none for 5 s');
    t.equal(at.heard.length, 2);
    at.run(1000);
    at.inject(230, 63);
    t.match(at.heard.at(-1), { xid: 63 }, 'five seconds apart is enough');
    at.heard.pop();
    at.run(60_000);
    t.equal(at.heard.length, 2, 'dropped, not delayed');
    at.inject(230, 46);
    at.run(6000);
    at.inject(230, 46);
    t.equal(at.heard.length, 4, 'equal values fire, six seconds apart');
    at.run(1000);
    at.inject(230, 48, 7);
    t.equal(at.heard.length, 5, 'the stamp counts, not the clock');
    at.inject(150, 101);
    t.match(at.heard.at(-1), { policy: 'Thermal' }, 'another kind has its own');
    at.run(20_000);
    at.inject(230, 79, -100);
    t.equal(at.heard.length, 6, 'a stamp of the past is dropped');
  }
});

t.test('a sample an hour ahead silences its kind on its GPU', async (t) => {
  for (const version of engines) {
    const at = rig({ version, gpu: h100, others: [{ ...h100, id: 1, uuid: 'GPU-9' }], beginning: 0 });
    at.inject(230, 79, 3600);
    t.equal(at.heard.length, 1, 'itself it is told at once');
    at.run(6000);
    at.inject(230, 48);
    t.equal(at.heard.length, 1, 'what follows is not');
    at.inject(230, 48, 1, 1);
    at.inject(319, 3);
    t.match(at.heard.slice(1), [{ policy: 'XID' }, { policy: 'DBE' }], 'another GPU, another kind');
  }
});

t.test('a sample of the past has none before it', async (t) => {
  const at = rig({ version: '4.6.0', gpu: h100, beginning: 0 });
  at.to(5000);
  at.inject(319, 3, -100);
  t.same(at.heard, []);
});

t.test('319 is the policy’s, 311 is health’s, and neither reaches the other', async (t) => {
  for (const engine of engines) {
    const at = rig({ version: engine, gpu: h100, beginning: 0 });
    at.to(5000);
    at.inject(311, 0);
    at.run(1050);
    at.inject(311, 5);
    t.same([at.heard, at.codes()], [[], ['4 FAIL']]);
    at.run(120_000);
    at.inject(319, 5);
    t.match(at.heard, [{ policy: 'DBE' }]);
    t.same(at.codes(), []);
    const wrong: [number, Reach, RegExp, number][] = [
      [311, 'policy', /^field 311 .*no policy reads it; did you mean .*319 = 1/, 319],
      [319, 'health', /^field 319 .*no health check reads it; did you mean .*311 = 1/, 311],
      [311, 'watch', /no field watch of the node monitoring agent reads it/, 319],
    ];
    for (const [field, reach, message, meant] of wrong) {
      const refusal = await refusalOf(() => recipeOn({ field, value: '1', reach, engine }));
      t.equal(refusal.reason, 'field_value_no_effect');
      t.match(refusal.message, message);
      t.match(refusal.details.didYouMean, [{ field: meant }]);
      t.match(recipeOn({ field, value: '1', reach, engine, force: true }).because, [
        /^forced, although nothing follows/,
      ]);
    }
  }
});

t.test('a hold that is stopped is over at once', async (t) => {
  for (const engine of engines)
    for (const gpu of gpus)
      for (const [field, value] of [
        [202, '500'],
        [391, '20'],
        [390, '63'],
        [409, '6000'],
        [439, '1'],
        [155, '140737488355328'],
        [84, '0'],
      ] as const) {
        const at = rig({ version: engine, gpu, beginning: 250 });
        at.to(400_000);
        const recipe = recipeOn({ field, value, reach: 'health', engine });
        at.carryOut(recipe, { stopAfterMs: 100_000 });
        at.run(99_000);
        t.equal(at.codes().length, 1, `${field} on ${engine}, ${gpu.name}`);
        at.run(1500);
        t.same(at.codes(), [], 'healthy again');
        at.run(700_000);
        t.same(at.codes(), []);
      }
});

t.test('no policy without somebody who set it', async (t) => {
  const at = rig({ version: '4.6.0', gpu: h100, beginning: 0, listen: false });
  const heard: unknown[] = [];
  at.engine
    .connect('dcgmi policy --reg')
    .registerPolicies((violation) => heard.push(violation), { set: false });
  at.inject(230, 79);
  t.same(heard, []);
  at.engine.setThresholds({ retiredPages: 5, celsius: 80, watts: 600 });
  at.run(inSeconds(6));
  at.inject(230, 79);
  t.match(heard, [{ xid: 79 }]);
});
