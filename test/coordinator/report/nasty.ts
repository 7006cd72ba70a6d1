import { experimentReport } from '../../../coordinator/report/build.ts';
import type { SuiteDrill } from '../../../coordinator/report/model.ts';
import type { Experiment, Injection } from '../../../coordinator/store/store.ts';

/** What somebody may put into a name or a message to be obeyed by whoever shows it. */
const hostile = [
  '<img src=x onerror=alert(1)>',
  '</title><script>alert(1)</script>',
  '"><svg onload=alert(1)>',
  "' onmouseover='alert(1)",
  ']]> --> &lt; &#0;',
  '\u001b]0;title\u0007\u001b[31mred\u001b[0m',
  'gpu\u202e1-upg\u2066',
  '\u0000\u0008\u000b\ufffe\uffff\ud800',
  '| a | b |\n# heading\n[x](javascript:alert(1)) `code` ``` <b>',
  '\u{e0041}tag',
];
/** All of it in one text. */
export const nasty = hostile.join(' ');

const at = '2026-03-04T05:06:07.000Z';
const evidence = [{ source: nasty, observed: nasty, at }];
/** An explanation whose texts are hostile. */
export const explanation = {
  code: 'arm64-gate',
  link: 'detection',
  summary: nasty,
  evidence,
  remedy: nasty,
  commands: [nasty, 'kubectl get nodes'],
  refuted: [{ code: nasty, because: nasty }],
  alsoFound: [{ code: nasty, summary: nasty, remedy: nasty, commands: [nasty, 'kubectl get pods'] }],
};

/** An experiment in which every text that somebody else chose is hostile. */
export function nastyExperiment(): readonly [Experiment, readonly Injection[]] {
  const experiment: Experiment = {
    metadata: { name: nasty },
    spec: { fault: { name: nasty, parameters: { [nasty]: nasty } } },
    status: {
      phase: 'Completed',
      verdict: 'fail',
      explanation,
      startedAt: at,
      endedAt: '2026-03-04T05:16:07.000Z',
      skipped: [{ node: nasty, code: 'busy', because: nasty }],
    },
  };
  const order = { method: 'InjectXid', body: { xid: 79 } };
  const link = (id: string, name: string) => ({ id, link: name, role: 'fault' as const, expected: nasty });
  const injection: Injection = {
    metadata: { name: nasty },
    spec: {
      experiment: nasty,
      node: nasty,
      nodeUid: nasty,
      pool: nasty,
      fault: nasty,
      parameters: {},
      chain: [
        { ...link(nasty, 'order'), order: order as never },
        link('detection', 'detection'),
        link('replacement', nasty),
      ],
    },
    status: {
      phase: 'Completed',
      verdict: 'fail',
      explanation,
      links: [
        {
          id: nasty,
          link: 'order',
          state: 'reached',
          expected: nasty,
          since: at,
          at,
          clock: 'node',
          seconds: 0.4,
          evidence,
          receipt: {
            orderId: nasty,
            node: nasty,
            method: nasty,
            asked: {},
            state: 'ended',
            acceptedAt: at,
            endedAt: at,
            replayed: false,
            surfaces: [
              {
                surface: 'kernel-log',
                outcome: 'injected',
                written: nasty,
                readBack: { sequence: 1, record: nasty, priority: 3, microseconds: 1 },
                undo: nasty,
                notes: [nasty],
              },
            ],
          },
        },
        {
          id: 'detection',
          link: 'detection',
          state: 'missed',
          expected: nasty,
          since: at,
          dueAt: '2026-03-04T05:16:07.000Z',
          because: nasty,
          evidence: [],
        },
      ],
      timeline: [{ at, clock: 'node', kind: 'event', source: nasty, text: nasty, match: true }],
    },
  };
  return [experiment, [injection]];
}

/** As a suite has it: run, not run, and one that could not be created. */
export function nastySuite(): readonly SuiteDrill[] {
  const drill = { experiment: nasty, tags: [nasty], skipped: null, error: null, report: null };
  return [
    { ...drill, name: nasty, report: experimentReport(...nastyExperiment()) },
    { ...drill, name: 'left', skipped: nasty },
    { ...drill, name: 'refused', error: nasty },
  ];
}
