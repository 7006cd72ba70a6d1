import t from 'tap';
import { type DrillWords, specFrom } from '../../../coordinator/drilling/request.ts';
import { parseSelector } from '../../../coordinator/drilling/selector.ts';
import { Refusal } from '../../../shared/errors.ts';

function refusal(run: () => unknown): Refusal {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
  throw new Error('nothing was refused');
}

t.test('label selectors as kubectl takes them', async (t) => {
  const rows: readonly (readonly [string, object])[] = [
    ['a=b', { matchLabels: { a: 'b' } }],
    ['a==b,c=', { matchLabels: { a: 'b', c: '' } }],
    ['a!=b', { matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] }],
    [
      'karpenter.sh/nodepool in (gpu, big),x=y',
      {
        matchLabels: { x: 'y' },
        matchExpressions: [{ key: 'karpenter.sh/nodepool', operator: 'In', values: ['gpu', 'big'] }],
      },
    ],
    ['a notin (b)', { matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['b'] }] }],
    ['nvidia.com/gpu.present', { matchExpressions: [{ key: 'nvidia.com/gpu.present', operator: 'Exists' }] }],
    ['!a', { matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }],
  ];
  for (const [text, selector] of rows) t.strictSame(parseSelector(text), selector, text);
  for (const text of ['', 'a=b,', 'a in b', '=b', 'a b', 'a=b c'])
    t.equal(refusal(() => parseSelector(text)).details.field, 'selector', JSON.stringify(text));
});

t.test('words of a command line become an Experiment', async (t) => {
  const rows: readonly (readonly [string, DrillWords, object])[] = [
    [
      'numbers are numbers, and one node is one target',
      { fault: 'xid', set: ['xid=79'], nodes: ['a'] },
      { fault: { name: 'xid', parameters: { xid: 79 } }, target: { selector: { names: ['a'] } } },
    ],
    [
      'a list of surfaces; text stays text',
      { fault: 'xid', set: ['xid=31', 'surfaces=dcgm,kernel-log', 'detail=42'], nodes: ['a', 'b'] },
      {
        fault: { parameters: { surfaces: ['dcgm', 'kernel-log'], detail: '42' } },
        target: { selector: { names: ['a', 'b'] }, mode: 'all' },
      },
    ],
    [
      'a selector with a mode',
      { fault: 'task-blocked', selector: 'a=b', mode: 'fixed-percent', value: '20%', seed: '7', gpu: '1' },
      {
        target: {
          selector: { matchLabels: { a: 'b' } },
          mode: 'fixed-percent',
          value: 20,
          seed: 7,
          gpu: { index: 1 },
        },
      },
    ],
    [
      'what must follow',
      {
        fault: 'xid',
        set: ['xid=79'],
        nodes: ['a'],
        then: ['taint', 'replacement=20m'],
        repair: 'expect',
        restore: true,
      },
      {
        expectation: { then: [{ link: 'taint' }, { link: 'replacement', within: '20m' }], repair: 'expect' },
        restore: 'auto',
      },
    ],
    [
      'a negative drill',
      { fault: 'xid', set: ['xid=43'], nodes: ['a'], none: '90s' },
      { expectation: { none: true, for: '90s' } },
    ],
  ];
  for (const [name, words, spec] of rows) t.match(specFrom(words), spec, name);
  const words = { fault: 'xid', set: ['xid=79'], selector: 'a=b' };
  const { target } = specFrom(words);
  t.type(target?.seed, 'number');
  t.equal(specFrom(words).target?.seed, target?.seed, 'the same words pick the same nodes');
});

t.test('a mistake is named before anything is written', async (t) => {
  const rows: readonly (readonly [DrillWords, string])[] = [
    [{ fault: 'xidd' }, 'fault_unknown'],
    [{ fault: 'xid', nodes: ['a'] }, 'parameter_invalid'],
    [{ fault: 'xid', set: ['xid=0'] }, 'parameter_invalid'],
    [{ fault: 'xid', set: ['xid=79', 'zzz=1'] }, 'parameter_invalid'],
    [{ fault: 'xid', set: ['xid'] }, 'malformed_request'],
    [{ fault: 'task-blocked', mode: 'some' }, 'malformed_request'],
    [{ fault: 'task-blocked', value: 'x' }, 'malformed_request'],
    [{ fault: 'task-blocked', within: 'soon' }, 'malformed_request'],
    [{ fault: 'task-blocked', repair: 'maybe' }, 'malformed_request'],
  ];
  for (const [words, reason] of rows)
    t.equal(refusal(() => specFrom(words)).reason, reason, JSON.stringify(words));
});
