import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import t from 'tap';
import { parse } from 'yaml';
import { ExperimentName } from '../../../coordinator/store/experiment.ts';
import { experimentName } from '../../../coordinator/suite/experiments.ts';
import { parseSuite, SuiteFile, withTags } from '../../../coordinator/suite/file.ts';
import { Refusal } from '../../../shared/errors.ts';

const whole = `name: nightly
parallel: 2
stopOnFail: true
defaults:
  target: {selector: {matchLabels: {pool: gpu}}, mode: all}
  expectation: {within: 60s}
  restore: auto
drills:
  - name: first
    tags: [smoke, gpu]
    fault: {name: xid, parameters: {xid: 79}}
  - name: second
    fault: {name: task-blocked}
    target: {mode: one}
    expectation: {repair: expect}
`;

/** What is refused, line by line; undefined: nothing is. */
function refused(text: string): string | undefined {
  try {
    parseSuite(text, 's.yaml');
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Refusal && thrown.reason === 'malformed_request') return thrown.message;
    throw thrown;
  }
}

t.test('a suite with its defaults', async (t) => {
  const suite = parseSuite(whole, 's.yaml');
  t.match(suite, { name: 'nightly', parallel: 2, stopOnFail: true });
  t.strictSame(
    suite.drills.map(({ name, tags, spec }) => ({ name, tags, spec })),
    [
      {
        name: 'first',
        tags: ['smoke', 'gpu'],
        spec: {
          target: { selector: { matchLabels: { pool: 'gpu' } }, mode: 'all' },
          expectation: { within: '60s' },
          restore: 'auto',
          fault: { name: 'xid', parameters: { xid: 79 } },
        },
      },
      {
        name: 'second',
        tags: [],
        spec: {
          target: { selector: { matchLabels: { pool: 'gpu' } }, mode: 'one' },
          expectation: { within: '60s', repair: 'expect' },
          restore: 'auto',
          fault: { name: 'task-blocked' },
        },
      },
    ],
  );
  t.same(
    withTags(suite, ['smoke', 'other']).drills.map(({ name }) => name),
    ['first'],
  );
  t.throws(() => withTags(suite, ['no']), { details: { allowed: ['gpu', 'smoke'] } } as never);
  t.match(parseSuite('name: a\ndrills: [{name: b, fault: {name: task-blocked}}]', 'x'), {
    parallel: 1,
    stopOnFail: false,
  });
  t.match(
    parseSuite(`{"name":"j","drills":[{"name":"b","fault":{"name":"task-blocked"}}]}`, 'x').drills[0],
    { name: 'b' },
    'JSON is YAML',
  );
});

t.test('what is wrong is said with its line, field, value and what is allowed', async (t) => {
  const drill = (more: string) =>
    `name: a\ndrills:\n  - name: b\n    fault: {name: xid, parameters: {xid: 79}}\n${more}`;
  const rows: readonly (readonly [name: string, text: string, message: RegExp])[] = [
    ['nothing', '', /^s\.yaml:1: the file must be an object, not null$/],
    ['a list', '- a', /^s\.yaml:1: the file must be an object, not a list$/],
    ['no drills', 'name: a', /^s\.yaml:1: drills is missing/],
    ['an empty list', 'name: a\ndrills: []', /^s\.yaml:2: drills must not be empty$/],
    [
      'a wrong name',
      'name: A_b\ndrills: [{name: b}]',
      /^s\.yaml:1: name is "A_b", must be lower case letters/,
    ],
    [
      'a typing error',
      drill('    tagz: [x]'),
      /^s\.yaml:5: drills\[0\]\.tagz is not a known member; did you mean tags\?$/,
    ],
    [
      'a member in target',
      drill('    target:\n      selektor: {}'),
      /^s\.yaml:6: drills\[0\]\.target\.selektor is not a known member; did you mean selector\?$/,
    ],
    [
      'a mode',
      drill('    target: {mode: two}'),
      /^s\.yaml:5: drills\[0\]\.target\.mode is "two", must be one of one, all, fixed, fixed-percent, random-max-percent$/,
    ],
    [
      'a duration',
      drill('    deadline: soon'),
      /^s\.yaml:5: drills\[0\]\.deadline is "soon", must be a duration, as in Go/,
    ],
    [
      'a type',
      drill('    target: {value: many}'),
      /^s\.yaml:5: drills\[0\]\.target\.value must be an integer, not "many"$/,
    ],
    [
      'a number',
      'name: a\nparallel: 99\ndrills: [{name: b, fault: {name: task-blocked}}]',
      /^s\.yaml:2: parallel is 99, must be 20 or less$/,
    ],
    ['no fault', 'name: a\ndrills:\n  - name: b', /^s\.yaml:3: drills\[0\]\.fault is missing/],
    [
      'a fault',
      'name: a\ndrills:\n  - name: b\n    fault:\n      name: xidd',
      /^s\.yaml:5: drills\[0\]\.fault\.name is "xidd": no fault "xidd"; did you mean xid/,
    ],
    [
      'a parameter',
      'name: a\ndrills:\n  - name: b\n    fault:\n      name: xid\n      parameters:\n        xid: 7000\n        nope: 1',
      /^s\.yaml:7: drills\[0\]\.fault\.parameters\.xid must be at most 255\ns\.yaml:8: drills\[0\]\.fault\.parameters\.nope is no parameter of this fault$/,
    ],
    [
      'a missing parameter',
      'name: a\ndrills:\n  - name: b\n    fault:\n      name: xid',
      /^s\.yaml:4: drills\[0\]\.fault\.parameters\.xid is required/,
    ],
    [
      'in the defaults',
      'name: a\ndefaults:\n  fault: {name: nope}\ndrills:\n  - name: b',
      /^s\.yaml:3: defaults\.fault\.name is "nope": no fault "nope".* \(drill b\)$/,
    ],
    [
      'a name twice',
      'name: a\ndefaults: {fault: {name: task-blocked}}\ndrills:\n  - name: b\n  - name: b',
      /^s\.yaml:5: drills\[1\]\.name "b" is also drill 1$/,
    ],
    ['a key twice', 'name: a\nname: b', /^s\.yaml:2: Map keys must be unique/],
    ['a tag', 'name: !secret a\ndrills: []', /^s\.yaml:1: Unresolved tag: !secret/],
    ['no YAML', 'name: [a', /^s\.yaml:1: /],
    [
      'several things',
      'name: A\nparallel: 0\ndrills: [{name: b}]',
      /^s\.yaml:1: name .*\ns\.yaml:2: parallel is 0, must be 1 or more$/,
    ],
  ];
  for (const [name, text, message] of rows) t.match(refused(text), message, name);
  t.match(refused('x'.repeat(1024 * 1024 + 1)), /at most 1048576 are read/);
  const bomb = `a: &a [1,2,3,4,5,6,7,8,9]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]`;
  t.match(refused(bomb), /Excessive alias count/);
});

t.test('an editor that has the schema finds the same', async (t) => {
  const isSuite = new Ajv2020({ strict: false }).compile(SuiteFile);
  t.ok(isSuite(parse(whole)), JSON.stringify(isSuite.errors));
  t.notOk(isSuite({ name: 'a', drills: [{ name: 'b', falt: {} }] }));
});

t.test('any text is a suite or is refused in words', async (t) => {
  const pieces = fc.constantFrom(
    'name: a\n',
    'drills:\n',
    '  - ',
    'fault: ',
    '{',
    '}',
    '[',
    '&a ',
    '*a ',
    'xid',
    ': ',
    '\n',
    '"',
    '!!set ',
    '? ',
    '<<: ',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 5 }))), (parts) => {
      refused(parts.join(''));
    }),
    { numRuns: 300 },
  );
  t.pass('nothing else is thrown');
});

t.test('names follow from suite, drill and run, and from nothing else', async (t) => {
  const isName = new RegExp((ExperimentName as { readonly pattern?: string }).pattern ?? '');
  const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/);
  fc.assert(
    fc.property(name, name, fc.string(), (suite, drill, run) => {
      const made = experimentName(suite, drill, run);
      return made.length <= 52 && isName.test(made) && made === experimentName(suite, drill, run);
    }),
  );
  const different = [
    experimentName('a', 'b-c', '1'),
    experimentName('a-b', 'c', '1'),
    experimentName('a-b', 'c', '2'),
    experimentName('a'.repeat(52), 'b', '1'),
    experimentName('a'.repeat(52), 'c', '1'),
  ];
  t.equal(new Set(different).size, different.length);
});
