import fc from 'fast-check';
import t from 'tap';
import { isConcluded } from '../../../coordinator/drill/ended.ts';
import { type InjectionState, nextExperimentStep } from '../../../coordinator/drill/summary.ts';
import {
  type ExperimentSpec,
  type ExperimentStatus,
  experimentPhases,
  type InjectionStatus,
  injectionPhases,
} from '../../../coordinator/store/experiment.ts';
import type { Explanation } from '../../../coordinator/store/explanation.ts';
import type { RestoreState } from '../../../coordinator/store/restore.ts';
import { type Verdict, verdicts } from '../../../coordinator/store/timeline.ts';
import { simpleChain } from '../chained.ts';

const spec: ExperimentSpec = { fault: { name: 'conntrack-full' } };
const now = Date.parse('2026-01-01T00:10:00Z');
const later = '2026-01-01T01:00:00.000Z';
const earlier = '2026-01-01T00:00:00.000Z';

const explanation = (code: string): Explanation => ({
  code,
  summary: code,
  evidence: [],
  remedy: '',
  refuted: [],
  alsoFound: [],
});
const state = (node: string, status?: InjectionStatus): InjectionState => ({
  name: `i-${node}`,
  spec: {
    experiment: 'e',
    node,
    nodeUid: `uid-${node}`,
    fault: 'conntrack-full',
    parameters: {},
    chain: simpleChain(
      { orderId: `o-${node}`, method: 'WriteKernelMessage', body: { text: 'x' } },
      { kind: 'event', type: 'KernelReady', reason: 'X', withinSeconds: 5 },
    ),
  },
  status,
});
const ended = (node: string, verdict: Verdict, code = 'reacted', seconds?: number) =>
  state(node, {
    phase: 'Completed',
    verdict,
    explanation: explanation(code),
    ...(seconds && { latency: { seconds, clock: 'coordinator', from: 'a', to: 'b' } }),
  });
const restored = (injection: InjectionState, restoreState: RestoreState, request = 0): InjectionState => ({
  ...injection,
  status: {
    phase: 'Completed',
    ...injection.status,
    restore: {
      request,
      state: restoreState,
      startedAt: earlier,
      conditions: [],
      reasons: [],
      since: earlier,
      lastOrderAt: earlier,
      steps: [],
      left: [],
    },
  },
});
const running = (selected: string[], deadlineAt = later): ExperimentStatus => ({
  phase: 'Running',
  selected,
  deadlineAt,
});

t.test('where an experiment goes from each state', async (t) => {
  const step = (
    given: ExperimentSpec,
    status: ExperimentStatus | undefined,
    injections: readonly InjectionState[] = [],
  ) => nextExperimentStep(given, status, injections, now);
  const abort = { ...spec, abort: true };
  t.strictSame(step(spec, undefined), { step: 'select' });
  t.strictSame(step(spec, { phase: 'Pending' }), { step: 'select' });
  t.strictSame(step(spec, running(['a', 'b'])), { step: 'create', nodes: ['a', 'b'] });
  t.strictSame(
    step(spec, running(['a', 'b']), [state('a')]),
    { step: 'create', nodes: ['b'] },
    'what is missing',
  );
  t.strictSame(step(spec, running(['a', 'b']), [ended('a', 'pass'), state('b')]), {
    step: 'work',
    injections: ['i-b'],
    restore: [],
  });
  t.strictSame(
    step(spec, running(['a'], earlier), [state('a')]),
    { step: 'expire', injections: ['i-a'] },
    'the deadline is over',
  );
  t.match(
    step(spec, running(['a', 'b'], earlier), [ended('a', 'pass')]),
    { step: 'conclude', summary: { phase: 'Completed', verdict: 'error' } },
    'what was never begun is no pass',
  );
  t.match(step(spec, running(['a'], earlier), [ended('a', 'pass')]), {
    step: 'conclude',
    summary: { verdict: 'pass' },
  });
  t.strictSame(step(abort, running(['a']), [state('a')]), { step: 'abort', injections: ['i-a'] });
  t.match(step(abort, undefined), { step: 'conclude', summary: { phase: 'Aborted', verdict: 'aborted' } });
  t.match(
    step(abort, running(['a', 'b']), [ended('a', 'fail', 'arm64-gate'), ended('b', 'aborted', 'aborted')]),
    {
      step: 'conclude',
      summary: { verdict: 'aborted', explanation: { code: 'aborted' }, counts: { fail: 1, other: 1 } },
    },
    'told by what was cut short',
  );
  for (const phase of ['Completed', 'Aborted'] as const)
    t.strictSame(step(abort, { phase }, [state('a')]), { step: 'rest' }, `${phase} is the end`);
});

t.test('when its nodes are restored', async (t) => {
  const step = (
    given: ExperimentSpec,
    status: ExperimentStatus | undefined,
    injections: readonly InjectionState[],
  ) => nextExperimentStep(given, status, injections, now);
  const auto: ExperimentSpec = { ...spec, restore: 'auto' };
  const both = running(['a', 'b']);
  t.strictSame(
    step(auto, both, [ended('a', 'pass'), state('b')]),
    { step: 'work', injections: ['i-b'], restore: ['i-a'] },
    'one node does not wait for the other',
  );
  const going = restored(ended('a', 'pass'), 'running');
  t.strictSame(step(auto, running(['a']), [going]), { step: 'work', injections: [], restore: ['i-a'] });
  t.strictSame(step({ ...auto, abort: true }, running(['a']), [going]), { step: 'cut', injections: ['i-a'] });
  t.match(step({ ...auto, abort: true }, running(['a']), [ended('a', 'aborted')]), { step: 'conclude' });
  t.match(step(auto, running(['a']), [restored(ended('a', 'pass'), 'restored')]), {
    step: 'conclude',
    summary: { restore: { request: 0, state: 'restored', nodes: { restored: 1 } } },
  });
  t.match(
    step(auto, running(['a', 'b']), [
      restored(ended('a', 'pass'), 'restored'),
      restored(ended('b', 'fail'), 'failed'),
    ]),
    { summary: { restore: { state: 'failed', nodes: { restored: 1, failed: 1 } } } },
  );
  const completed: ExperimentStatus = { phase: 'Completed' };
  t.strictSame(step(auto, completed, [ended('a', 'pass')]), { step: 'rest' }, 'it ended without');
  const again = { ...spec, restoreRequest: 1 };
  t.strictSame(step(again, completed, [restored(ended('a', 'pass'), 'restored')]), {
    step: 'work',
    injections: [],
    restore: ['i-a'],
  });
  const done = [restored(ended('a', 'pass'), 'restored', 1)];
  const summary = { request: 1, state: 'restored', nodes: { restored: 1 } } as const;
  t.match(step(again, completed, done), { step: 'restored', restore: summary });
  t.strictSame(step(again, { ...completed, restore: summary }, done), { step: 'rest' });
});

t.test('the worst node decides, the slowest gives the latency', async (t) => {
  const conclude = (...injections: InjectionState[]) => {
    const next = nextExperimentStep(spec, running(injections.map((row) => row.spec.node)), injections, now);
    t.equal(next.step, 'conclude');
    return next.step === 'conclude' ? next.summary : undefined;
  };
  t.match(conclude(ended('a', 'pass', 'reacted', 2), ended('b', 'pass', 'reacted', 9)), {
    verdict: 'pass',
    latency: { seconds: 9 },
    counts: { total: 2, pass: 2, fail: 0, other: 0 },
  });
  t.match(conclude(ended('a', 'pass'), ended('b', 'inconclusive', 'already-false')), {
    verdict: 'inconclusive',
    explanation: { code: 'already-false' },
  });
  t.match(conclude(ended('a', 'inconclusive'), ended('b', 'fail', 'arm64-gate')), { verdict: 'fail' });
  t.match(conclude(ended('a', 'fail'), ended('b', 'error', 'agent-unknown')), { verdict: 'error' });
  t.equal(conclude()?.verdict, 'error', 'no node at all is no pass');
});

t.test('an injection is left alone once it is completed', async (t) => {
  t.notOk(isConcluded(undefined));
  for (const phase of injectionPhases) t.equal(isConcluded({ phase }), phase === 'Completed', phase);
});

/** What the runner makes of a step, without any cluster. */
function perform(
  given: { status: ExperimentStatus | undefined; injections: InjectionState[] },
  step: ReturnType<typeof nextExperimentStep>,
  verdict: Verdict,
): { status: ExperimentStatus | undefined; injections: InjectionState[] } {
  const { status, injections } = given;
  switch (step.step) {
    case 'select':
      return { status: { ...running(['a', 'b', 'c']), phase: 'Running' }, injections };
    case 'create':
      return { status, injections: [...injections, ...step.nodes.map((node) => state(node))] };
    case 'cut':
      return {
        status,
        injections: injections.map((row) =>
          step.injections.includes(row.name) ? restored(row, 'failed') : row,
        ),
      };
    case 'restored':
      return {
        status: { ...status, phase: status?.phase ?? 'Completed', restore: step.restore },
        injections,
      };
    case 'work':
      return {
        status,
        injections: injections.map((row) => {
          if (step.restore.includes(row.name)) return restored(row, 'restored', 1);
          return step.injections.includes(row.name) ? ended(row.spec.node, verdict) : row;
        }),
      };
    case 'abort':
    case 'expire':
      return {
        status,
        injections: injections.map((row) =>
          step.injections.includes(row.name) ? ended(row.spec.node, verdict) : row,
        ),
      };
    case 'conclude':
      return { status: { ...status, ...step.summary }, injections };
    case 'rest':
      return given;
  }
}

t.test('from every state it comes to rest within a few steps', async () => {
  const injectionStatus = fc.option(
    fc.record({ phase: fc.constantFrom(...injectionPhases), verdict: fc.constantFrom(...verdicts) }),
    { nil: undefined },
  );
  const status = fc.option(
    fc.record({
      phase: fc.constantFrom(...experimentPhases),
      selected: fc.subarray(['a', 'b', 'c']),
      deadlineAt: fc.constantFrom(earlier, later),
    }),
    { nil: undefined },
  );
  const injections = fc
    .subarray(['a', 'b', 'c'])
    .chain((nodes) => fc.tuple(...nodes.map((node) => injectionStatus.map((row) => state(node, row)))));
  fc.assert(
    fc.property(
      status,
      injections,
      fc.record({
        abort: fc.boolean(),
        restore: fc.constantFrom('auto', 'never'),
        restoreRequest: fc.constantFrom(0, 1),
      }),
      fc.constantFrom(...verdicts),
      (first, rows, asked, verdict) => {
        let at = { status: first as ExperimentStatus | undefined, injections: rows as InjectionState[] };
        for (let left = 9; left > 0; left -= 1) {
          const step = nextExperimentStep({ ...spec, ...asked }, at.status, at.injections, now);
          if (step.step === 'rest') return true;
          at = perform(at, step, verdict);
        }
        return false;
      },
    ),
  );
});
