import t from 'tap';
import { fieldById } from '../../../shared/dcgm-fields/find.ts';
import {
  type Recipe,
  type RecipeInput,
  type RecipeStep,
  recipeFor,
} from '../../../shared/dcgm-fields/recipe.ts';
import { refusalOf } from '../../agent/dcgm/refused.ts';

type Order = Partial<Omit<RecipeInput, 'field'>>;

function recipe(field: number, value: string, order: Order = {}): Recipe {
  return recipeFor({
    field: fieldById(field),
    value,
    reach: undefined,
    engineVersion: '4.6.0',
    hasSample: undefined,
    offsetSeconds: undefined,
    forMs: undefined,
    ...order,
  });
}

/** `319=0 +1050ms @7`: the field, the value, when, and how far ahead; what is usual is left out. */
function shown(steps: readonly RecipeStep[]): string {
  return steps
    .map(({ field, value, afterMs, offsetSeconds }) => {
      const when = afterMs === 0 ? '' : ` +${afterMs}ms`;
      return `${field}=${value}${when}${offsetSeconds === 1 ? '' : ` @${offsetSeconds}`}`;
    })
    .join(', ');
}

const health = { reach: 'health' } as const;
const watch = { reach: 'watch' } as const;
const old = { engineVersion: '4.5.3' } as const;

t.test('what is written', async (t) => {
  const rows: [field: number, value: string, order: Order, steps: string][] = [
    [319, '4', {}, '319=0, 319=4 +1050ms'],
    [319, '4', { engineVersion: null }, '319=0, 319=4 +1050ms'],
    [319, '4', { hasSample: false }, '319=0, 319=4 +1050ms'],
    [319, '4', { hasSample: true }, '319=4'],
    [319, '4', old, '319=4'],
    [409, '4', { offsetSeconds: 7 }, '409=0 @7, 409=4 +1050ms @7'],
    [391, '11', {}, '390=0, 391=11'],
    [391, '11', old, '390=0, 391=11'],
    [390, '11', { hasSample: true }, '391=0, 390=11'],
    [150, '101', {}, '150=101'],
    [155, '600.5', {}, '155=600.5'],
    [230, '79', {}, '230=79'],
    [230, '79', { ...health, forMs: 60_000 }, '230=79'],
    [311, '1', health, '311=1'],
    [241, '5', health, '241=0, 241=5'],
    [1214, '1', health, '1214=0, 1214=1'],
    [84, '0', health, '84=0'],
    [202, '500', health, '202=0 @389, 202=500 @390'],
    [202, '500', { ...health, ...old }, '202=0 @389, 202=500 @390'],
    [202, '500', { ...health, forMs: 60_500 }, '202=0 @60, 202=500 @61'],
    [202, '500', { ...health, forMs: 900_000 }, '202=0 @598, 202=500 @599'],
    [202, '500', { ...health, forMs: 60_000, offsetSeconds: 330 }, '202=0 @329, 202=500 @330'],
    [202, '500', { ...health, forMs: 60_000, everyMs: 8000 }, '202=0, 202=500'],
    [390, '63', health, '391=0 @390, 390=63 @390'],
    [391, '20', health, '391=20 @390'],
    [155, '140737488355328', {}, '155=140737488355328'],
    [155, '140737488355328', { forMs: 60_000 }, '155=140737488355328 @60'],
    [170, '4', watch, '170=4'],
    [174, '16', { ...watch, offsetSeconds: 0 }, '174=16 @0'],
    [191, '5', {}, '191=5'],
  ];
  for (const [field, value, order, steps] of rows)
    t.equal(shown(recipe(field, value, order).steps), steps, `${field} = ${value} ${JSON.stringify(order)}`);
});

t.test('how long it is kept up', async (t) => {
  type Lasting = { every: number; for: number } | { held: number; undo: string } | undefined;
  const tick = { every: 20, for: 390 };
  const rows: [field: number, value: string, order: Order, lasting: Lasting][] = [
    [319, '4', {}, undefined],
    [319, '4', { forMs: 60_000 }, { every: 20, for: 60 }],
    [319, '4', { forMs: 60_000, everyMs: 7000 }, { every: 7, for: 60 }],
    [230, '79', { forMs: 60_000 }, { every: 20, for: 60 }],
    [230, '79', { ...health, forMs: 60_000 }, undefined],
    [311, '1', {}, undefined],
    [311, '1', { forMs: 60_000 }, { every: 20, for: 60 }],
    [311, '1', health, tick],
    [1214, '1', health, tick],
    [1523, '1', { ...health, forMs: 3_600_000 }, { every: 20, for: 3600 }],
    [84, '0', health, { held: 390, undo: '84=1' }],
    [202, '500', health, { held: 390, undo: '202=0 @391' }],
    [202, '500', { ...health, forMs: 900_000 }, { held: 599, undo: '202=0 @600' }],
    [202, '500', { ...health, forMs: 60_000, everyMs: 8000 }, { every: 8, for: 60 }],
    [390, '63', health, { held: 390, undo: '390=0 @391' }],
    [155, '140737488355328', health, { held: 390, undo: '155=60 @391' }],
    [170, '4', watch, undefined],
    [170, '4', { ...watch, engineVersion: '4.5.0' }, undefined],
    [170, '4', { ...watch, engineVersion: '4.4.2' }, tick],
    [170, '4', { ...watch, forMs: 60_000 }, { every: 20, for: 60 }],
    [170, '4', health, tick],
    [191, '5', { forMs: 60_000 }, { every: 20, for: 60 }],
  ];
  for (const [field, value, order, lasting] of rows) {
    const { repeat, hold } = recipe(field, value, order);
    const found =
      hold === undefined
        ? repeat && { every: repeat.everyMs / 1000, for: repeat.forMs / 1000 }
        : { held: hold.forMs / 1000, undo: shown(hold.undo) };
    t.same(found, lasting, `${field} = ${value} ${JSON.stringify(order)}`);
    t.notOk(hold && repeat, 'one or the other');
  }
});

t.test('why', async (t) => {
  const rows: [field: number, value: string, order: Order, because: RegExp[]][] = [
    [
      319,
      '4',
      {},
      [/^host engine 4\.6\.0: .*increase.*where the engine has none, 0 goes first, a second before/],
    ],
    [319, '4', { hasSample: false }, [/and the engine has none, 0 goes first/]],
    [319, '4', { hasSample: true }, [/the engine has one: the value has to be above it$/]],
    [319, '4', { engineVersion: null }, [/^an engine of unknown version, taken as the newest:/]],
    [319, '4', old, [/^host engine 4\.5\.3: every value above 0 fires/]],
    [391, '11', {}, [/so 390 = 0 goes first$/]],
    [230, '79', {}, []],
    [230, '79', health, [/stays in the history .* until the engine restarts/]],
    [311, '1', health, [/asks every 5 min .* after 30 s, so it is written again every 20 s$/]],
    [1214, '1', {}, [/first and the last sample of a minute/]],
    [
      202,
      '500',
      health,
      [/first and the last sample/, /every 10 s, so one sample 6 min 30 s ahead stands for it/],
    ],
    [
      202,
      '500',
      { ...health, forMs: 900_000 },
      [/first/, /9 min 59 s ahead/, /held for 9 min 59 s, not 15 min/],
    ],
    [
      202,
      '500',
      { ...health, forMs: 60_000, everyMs: 20_000 },
      [/first/, /itself after 10 s, so .* between two beats/],
    ],
    [202, '500', { ...health, forMs: 60_000, everyMs: 8000 }, [/first/]],
    [84, '0', health, [/every 1 h only, so one sample stays; 84 = 1 takes it back$/]],
    [170, '4', watch, [/keeps the sample for 10 min.*once is enough$/]],
    [170, '4', { ...watch, engineVersion: '4.4.2' }, [/about 33 s.*again every 20 s$/]],
    [170, '4', { ...watch, offsetSeconds: 60 }, [/sees this only in 1 min$/, /10 min/]],
  ];
  for (const [field, value, order, because] of rows) {
    const found = recipe(field, value, order).because;
    t.match(found, because, `${field} = ${value} ${JSON.stringify(order)}`);
    t.equal(found.length, because.length);
  }
});

t.test('a check that this engine has not yet', async (t) => {
  const rows: [field: number, value: string, engineVersion: string, since: string][] = [
    [393, '512', '4.5.3', '4.6.0'],
    [1507, '1', '4.4.2', '4.5.0'],
    [1523, '3', '4.4.2', '4.5.0'],
    [170, '2', '4.4.2', '4.5.0'],
    [499, '1', '4.5.2', '4.5.3'],
    [1214, '1', '4.3.0', '4.3.1'],
  ];
  for (const [field, value, engineVersion, since] of rows) {
    const order = { ...health, engineVersion };
    const refusal = await refusalOf(() => recipe(field, value, order));
    t.equal(refusal.reason, 'field_value_no_effect');
    t.match(refusal.message, `exists from host engine ${since} on, and this one is ${engineVersion}`);
    t.match(recipe(field, value, { ...order, force: true }).because, [
      /^forced, although nothing follows: field/,
    ]);
    t.equal(
      recipe(field, value, { ...order, engineVersion: null }).steps.length > 0,
      true,
      'unknown: the newest',
    );
    t.equal(recipe(field, value, { ...order, engineVersion: since }).steps.length > 0, true);
  }
  t.equal(shown(recipe(1217, '276', { ...health, ...old }).steps), '1217=276', 'the check of 4.5');
  const newer = await refusalOf(() => recipe(1217, '276', health));
  t.match(
    newer.message,
    /276 is healthy \(the NVLink health check .* wants an error rate above 1e-12[^;]*\)/,
  );
  const healthy = await refusalOf(() => recipe(1217, '4095', health));
  t.match(healthy.message, /4095 is healthy \(the NVLink health check .* wants an error rate above 1e-12/);
  t.match(healthy.details, { fieldId: 1217, value: '4095', didYouMean: [{ field: 1217, value: '262' }] });
});

t.test('a check that GPUs of this generation have not', async (t) => {
  const rows: [field: number, value: string, gpuName: string, message: RegExp | undefined][] = [
    [1211, '1', 'NVIDIA A10G', /WARN\) exists on Blackwell GPUs and later, and this one is an NVIDIA A10G$/],
    [1212, '1', 'NVIDIA H200', /exists on Blackwell GPUs and later, and this one is an NVIDIA H200$/],
    [1212, '1', 'NVIDIA B200', undefined],
    [499, '1', 'NVIDIA GB200', /exists on GPUs before Blackwell, and this one is an NVIDIA GB200$/],
    [499, '1', 'Tesla V100-SXM2-16GB', undefined],
    [393, '512', 'Tesla T4', /exists on Ampere GPUs and later, and this one is a Tesla T4$/],
    [393, '512', 'NVIDIA A10G', undefined],
    [1211, '1', 'NVIDIA Z9', undefined],
  ];
  for (const [field, value, gpuName, message] of rows) {
    const order = { ...health, gpuName };
    const name = `${field} on ${gpuName}`;
    if (message === undefined) {
      t.equal(shown(recipe(field, value, order).steps), `${field}=${value}`, name);
      continue;
    }
    const refusal = await refusalOf(() => recipe(field, value, order));
    t.equal(refusal.reason, 'field_value_no_effect', name);
    t.match(refusal.message, message);
    t.match(recipe(field, value, { ...order, force: true }).because, [/^forced, although nothing follows/]);
  }
  const both = { ...health, ...old, gpuName: 'Tesla T4' };
  t.match((await refusalOf(() => recipe(393, '512', both))).message, /exists from host engine 4\.6\.0 on/);
});
