import t from 'tap';
import { abortedSummary, type SummedInjection, summarize } from '../../../coordinator/drill/summary.ts';
import type { Injected } from '../../../coordinator/store/injected.ts';
import type { Verdict } from '../../../coordinator/store/timeline.ts';

function ended(node: string, verdict: Verdict, code: string, injected: Injected = 'yes'): SummedInjection {
  const explanation = {
    code,
    summary: `On ${node}, ${code}.`,
    evidence: [{ source: 's', observed: 'o', at: '2026-11-23T03:00:00Z' }],
    remedy: `Mend ${code}.`,
    refuted: [],
    alsoFound: [],
  };
  return {
    name: `drill-${node}`,
    spec: { node },
    status: { phase: 'Completed', verdict, injected, explanation, endedAt: '2026-11-23T03:05:00Z' },
  };
}

t.test('one node speaks for itself', async (t) => {
  const row = ended('gpu-1', 'fail', 'wrong-engine');
  const { explanation, causes, injected } = summarize([row]);
  t.strictSame(explanation, row.status?.explanation);
  t.strictSame(causes, [
    { node: 'gpu-1', verdict: 'fail', code: 'wrong-engine', summary: 'On gpu-1, wrong-engine.' },
  ]);
  t.equal(injected, 'yes');
});

t.test('N4: several nodes have a sentence of their own, and a cause each', async (t) => {
  const summary = summarize([
    ended('gpu-1', 'pass', 'reacted'),
    ended('gpu-broken', 'fail', 'arm64-gate', 'none'),
    ended('gpu-2', 'pass', 'reacted'),
  ]);
  t.match(summary, {
    verdict: 'fail',
    counts: { total: 3, pass: 2, fail: 1, other: 0 },
    injected: 'yes',
    explanation: {
      code: 'arm64-gate',
      summary: '2 of 3 passed; gpu-broken: arm64-gate.',
      remedy: 'gpu-broken: Mend arm64-gate.',
      alsoFound: [],
    },
  });
  t.strictSame(
    summary.causes.map(({ node, verdict, code }) => [node, verdict, code]),
    [
      ['gpu-broken', 'fail', 'arm64-gate'],
      ['gpu-1', 'pass', 'reacted'],
      ['gpu-2', 'pass', 'reacted'],
    ],
    'the worst first',
  );
  t.match(summary.explanation?.evidence[0], {
    source: 'injections/drill-gpu-broken status.explanation',
    observed: 'fail, arm64-gate: On gpu-broken, arm64-gate.',
    at: '2026-11-23T03:05:00Z',
  });
});

t.test('N4: nodes with the same cause are named together, other causes are found besides', async (t) => {
  const many = ['a', 'b', 'c', 'd', 'e'].map((node) => ended(node, 'fail', 'nobody-listens', 'none'));
  const { explanation } = summarize([
    ...many,
    ended('x', 'error', 'agent-unknown', 'none'),
    ended('y', 'pass', 'reacted'),
  ]);
  t.equal(explanation?.summary, '1 of 7 passed; x: agent-unknown; a, b, c and 2 more: nobody-listens.');
  t.equal(explanation?.remedy, 'x: Mend agent-unknown. a, b, c and 2 more: Mend nobody-listens.');
  t.match(explanation?.alsoFound, [
    { code: 'nobody-listens', summary: 'a, b, c and 2 more: On a, nobody-listens.' },
  ]);
});

t.test('all passed, none injected, and a thousand nodes', async (t) => {
  t.match(summarize([ended('a', 'pass', 'reacted'), ended('b', 'pass', 'reacted')]).explanation, {
    code: 'reacted',
    summary: '2 of 2 passed.',
    remedy: 'a, b: Mend reacted.',
  });
  const none = [ended('a', 'error', 'agent-unknown', 'none'), ended('b', 'fail', 'arm64-gate', 'none')];
  t.equal(summarize(none).injected, 'none');
  t.equal(
    summarize([...none, ended('c', 'inconclusive', 'injection-not-proven', 'perhaps')]).injected,
    'perhaps',
  );
  const thousand = Array.from({ length: 1000 }, (_, index) => ended(`n${index}`, 'pass', 'reacted'));
  const summary = summarize([...thousand, ended('last', 'fail', 'arm64-gate')]);
  t.equal(summary.causes.length, 100, 'cut, as an object may hold 1.5 MiB only');
  t.equal(summary.causes[0]?.node, 'last', 'and the failure is not what is cut');
  t.equal(summary.explanation?.summary, '1000 of 1001 passed; last: arm64-gate.');
});

t.test('an abort is told by what it cut short, also beside a worse end', async (t) => {
  const rows = [ended('a', 'fail', 'arm64-gate', 'none'), ended('b', 'aborted', 'aborted', 'perhaps')];
  t.match(abortedSummary(rows), {
    phase: 'Aborted',
    verdict: 'aborted',
    injected: 'perhaps',
    explanation: { code: 'aborted', summary: '0 of 2 passed; b: aborted; a: arm64-gate.' },
  });
  t.equal(abortedSummary([]).explanation, undefined);
  t.notOk(abortedSummary([ended('a', 'pass', 'reacted')]).explanation, 'nothing was cut short');
});
