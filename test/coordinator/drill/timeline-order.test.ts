import t from 'tap';
import { inTimeOrder } from '../../../coordinator/drill/timeline.ts';
import type { TimelineEntry } from '../../../coordinator/store/timeline.ts';

const entry = (time: string, clock: TimelineEntry['clock'], kind: TimelineEntry['kind'], text: string) => ({
  at: `2026-03-04T${time}Z`,
  clock,
  kind,
  source: '',
  text,
  match: false,
});

/** Rows in the order in which they came to the coordinator; the texts in the order in which they have to stand. */
const rows = [
  {
    why: 'a stamp of whole seconds is that of its end: the reaction came in the second of its order',
    came: [
      entry('05:06:07.400', 'coordinator', 'ordered', 'order'),
      entry('05:06:07.000', 'node', 'condition', 'reaction'),
      entry('05:06:07.450', 'node', 'injected', 'written'),
    ],
    stands: ['order', 'written', 'reaction'],
  },
  {
    why: 'a node whose clock is two minutes behind',
    came: [
      entry('05:06:07.400', 'coordinator', 'ordered', 'order'),
      entry('05:04:09.000', 'node', 'event', 'reaction'),
      entry('05:04:07.450', 'node', 'injected', 'written'),
    ],
    stands: ['order', 'written', 'reaction'],
  },
  {
    why: 'what came late is put where it belongs, behind the order that it follows from',
    came: [
      entry('05:06:01.000', 'coordinator', 'note', 'before'),
      entry('05:06:02.000', 'coordinator', 'ordered', 'control'),
      entry('05:06:09.000', 'api-server', 'event', 'late'),
      entry('05:06:04.000', 'api-server', 'event', 'early'),
      entry('05:06:20.000', 'coordinator', 'ordered', 'fault'),
      entry('05:06:21.500', 'coordinator', 'note', 'after'),
    ],
    stands: ['before', 'control', 'early', 'late', 'fault', 'after'],
  },
];

t.test('N5: no reaction stands before its order', async (t) => {
  for (const { why, came, stands } of rows)
    t.same(
      inTimeOrder(came).map(({ text }) => text),
      stands,
      why,
    );
});
