import t from 'tap';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { diagnose, explainPass, preflight } from '../../../coordinator/diagnosis/explain.ts';
import { planTarget } from '../../../coordinator/plan/plan.ts';
import type { ExpectationInput } from '../../../coordinator/store/experiment.ts';
import type { TimelineEntry } from '../../../coordinator/store/timeline.ts';
import type { DrillFacts } from '../../../coordinator/view/facts.ts';
import {
  before,
  type Change,
  condition,
  dcgmResult,
  entry,
  facts,
  kernelResult,
  planned,
  receipt,
  silent,
  version,
  withCondition,
} from './builder.ts';

const gpuCondition = 'AcceleratedHardwareReady';

function eventEntry(message: string, over: Partial<TimelineEntry> = {}, type = gpuCondition): TimelineEntry {
  const event = {
    uid: message,
    type: 'Warning',
    reason: type,
    message,
    count: 1,
    component: 'eks-node-monitoring-agent',
  };
  return entry('event', `Warning ${type} "${message}"`, { event, ...over });
}

function conditionEntry(
  reason: string,
  message: string,
  over: Partial<TimelineEntry> = {},
  type = gpuCondition,
): TimelineEntry {
  return entry('condition', `${type}=False ${reason} "${message}"`, {
    condition: { type, status: 'False', reason, message },
    ...over,
  });
}

/** A drill as a plan makes it of fault and expectation, injected on the engine (or the kernel log) and waited for. */
function drilled(
  nma: string,
  fault: { readonly name: string; readonly parameters?: Readonly<Record<string, unknown>> },
  expectation: ExpectationInput,
  timeline: readonly TimelineEntry[],
  isKernel = false,
): Change {
  const plan = planTarget({
    spec: { fault: { name: fault.name, parameters: fault.parameters ?? {} }, expectation },
    node: 'n1',
    orderId: 'o-1',
    marker: 'abc123',
    context: { nma: findNmaVersion(nma) },
  });
  return {
    nma: { version: version(`v${nma}`) },
    drill: silent({
      fault: fault.name,
      order: plan.order,
      expectation: plan.expectation,
      receipt: receipt([isKernel ? kernelResult('x') : dcgmResult()]),
      conditionBefore: condition(plan.expectation.type),
      timeline,
    }),
  };
}

type Row = readonly [
  name: string,
  change: Change,
  code: string,
  verdict: string,
  summary: readonly RegExp[],
  not?: RegExp,
];

const rows: readonly Row[] = [
  [
    'other reason, as the version gives it (the case of the page)',
    drilled(
      '1.7.0',
      { name: 'dcgm-field', parameters: { field: 395, value: 1 } },
      { kind: 'condition', reason: 'NvidiaRowRemapFailure', type: gpuCondition },
      [conditionEntry('DCGMHealthCode80', 'DCGM detected issues in health check system with error code 80')],
    ),
    'other-reaction',
    'fail',
    [
      /NMA did react/,
      /DCGMHealthCode80/,
      /what NMA v1\.7\.0 gives/,
      /No known version of NMA has the reason NvidiaRowRemapFailure; the nearest/,
    ],
    /was NvidiaRowRemapFailure/,
  ],
  [
    'an event under another reason',
    drilled(
      '1.7.0',
      { name: 'xid', parameters: { xid: 13, surfaces: ['dcgm'] } },
      { kind: 'event', reason: 'NvidiaXID13Error', type: gpuCondition },
      [
        eventEntry(
          'NvidiaXID13Warning: detected unknown XID-13 on the instance, review kernel logs for additional information.',
        ),
      ],
    ),
    'other-reaction',
    'fail',
    [/NMA did react/, /NvidiaXID13Warning/],
    /was NvidiaXID13Error/,
  ],
  [
    'a mistyped reason, and the condition turned',
    drilled(
      '1.6.5',
      { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } },
      { kind: 'condition', reason: 'NvidiaXidError', type: gpuCondition },
      [
        conditionEntry(
          'NvidiaXID79Error',
          'detected XID-79 on the instance, review kernel logs for additional information.',
        ),
      ],
    ),
    'other-reaction',
    'fail',
    [
      /NMA did react.*NvidiaXID79Error/,
      /No known version of NMA has the reason NvidiaXidError; the nearest that one has is NvidiaXID79Error/,
    ],
    /was NvidiaXidError|NvidiaXidError before/,
  ],
  [
    'a mistyped reason of another spelling',
    drilled(
      '1.6.5',
      { name: 'xid', parameters: { xid: 109, surfaces: ['dcgm'] } },
      { kind: 'condition', reason: 'NvidiaXid109Error', type: gpuCondition },
      [
        conditionEntry(
          'NvidiaXID109Error',
          'detected XID-109 on the instance, review kernel logs for additional information.',
        ),
      ],
    ),
    'other-reaction',
    'fail',
    [
      /No known version of NMA has the reason NvidiaXid109Error; the nearest that one has is NvidiaXID109Error/,
    ],
    /was NvidiaXid109Error/,
  ],
  [
    'sibling: a kernel rule, a reason of another one expected',
    drilled(
      '1.7.2',
      { name: 'soft-lockup' },
      { kind: 'event', reason: 'KernelBug', type: 'KernelReady' },
      [eventEntry('SoftLockup: CPU stuck for 23s', {}, 'KernelReady')],
      true,
    ),
    'other-reaction',
    'fail',
    [/NMA did react.*SoftLockup/, /Expected was event KernelReady KernelBug/],
    /No known version/,
  ],
  [
    'sibling: the condition of another type',
    drilled(
      '1.6.5',
      { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } },
      { kind: 'condition', reason: 'NvidiaXID79Error', type: 'KernelReady' },
      [
        conditionEntry(
          'NvidiaXID79Error',
          'detected XID-79 on the instance, review kernel logs for additional information.',
        ),
      ],
    ),
    'other-reaction',
    'fail',
    [
      /NMA did react.*condition AcceleratedHardwareReady False, reason NvidiaXID79Error/,
      /Expected was condition KernelReady/,
    ],
  ],
  [
    'sibling: a health fault that shows as an event, expected as a condition',
    drilled(
      '1.7.2',
      { name: 'health-inforom' },
      { kind: 'condition', reason: 'DCGMHealthCode9', type: gpuCondition },
      [eventEntry('DCGMHealthCode9: DCGM detected issues in health check system with error code 9')],
    ),
    'event-instead-of-condition',
    'fail',
    [/NMA did react, with an event: .*DCGMHealthCode9/],
  ],
  [
    'sibling: a double bit error, expected as an event',
    drilled(
      '1.7.2',
      { name: 'double-bit-error' },
      { kind: 'event', reason: 'NvidiaDoubleBitError', type: gpuCondition },
      [conditionEntry('NvidiaDoubleBitError', 'detected 1 Nvidia Double Bit error(s) on location Device')],
    ),
    'condition-instead-of-event',
    'fail',
    [/NMA did react, with a condition: .*NvidiaDoubleBitError/],
  ],
  [
    'sibling: a text that the message does not have',
    drilled(
      '1.6.5',
      { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } },
      { kind: 'condition', reason: 'NvidiaXID79Error', type: gpuCondition, message: 'fallen off the bus' },
      [
        conditionEntry(
          'NvidiaXID79Error',
          'detected XID-79 on the instance, review kernel logs for additional information.',
        ),
      ],
    ),
    'other-reaction',
    'fail',
    [/NMA did react.*NvidiaXID79Error/, /with "fallen off the bus"/],
  ],
  [
    'sibling: another fault’s reaction is named, and not taken for this one’s',
    drilled('1.6.5', { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } }, {}, [
      conditionEntry(
        'NvidiaXID48Error',
        'detected XID-48 on the instance, review kernel logs for additional information.',
      ),
    ]),
    'other-reaction',
    'fail',
    [
      /^Likely, not proven: NMA did react.*NvidiaXID48Error/,
      /The catalogue does not have NvidiaXID48Error for this fault/,
    ],
  ],
  [
    'later than the window, in the timeline',
    drilled('1.6.5', { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } }, {}, [
      conditionEntry(
        'NvidiaXID79Error',
        'detected XID-79 on the instance, review kernel logs for additional information.',
        { at: before(-30) },
      ),
    ]),
    'late-reaction',
    'fail',
    [/NMA did react, after the wait: .*NvidiaXID79Error.*2 min after the injection/],
  ],
  [
    'later than the window, on the node when it was read at the end',
    {
      ...drilled('1.6.5', { name: 'xid', parameters: { xid: 79, surfaces: ['dcgm'] } }, {}, []),
      node: {
        conditions: withCondition(gpuCondition, {
          status: 'False',
          reason: 'NvidiaXID79Error',
          message: 'detected XID-79 on the instance, review kernel logs for additional information.',
          lastTransitionTime: before(2),
          lastHeartbeatTime: before(2),
        }),
      },
    },
    'late-reaction',
    'fail',
    [/after the wait: condition AcceleratedHardwareReady False, reason NvidiaXID79Error/],
  ],
  [
    'later than a wait that was shorter than the reaction may take',
    drilled('1.7.2', { name: 'health-inforom' }, {}, [
      eventEntry('DCGMHealthCode9: DCGM detected issues in health check system with error code 9', {
        at: before(-200),
      }),
    ]),
    'late-reaction',
    'inconclusive',
    [/This reaction may take/],
  ],
  [
    'before the baseline',
    drilled(
      '1.7.2',
      { name: 'soft-lockup' },
      {},
      [eventEntry('SoftLockup: CPU stuck for 23s', { at: before(600) }, 'KernelReady')],
      true,
    ),
    'earlier-reaction',
    'inconclusive',
    [/NMA had reported it 8 min 30 s before the injection/],
  ],
];

t.test('F2: a reaction that came is never called none', async (t) => {
  for (const [name, change, code, verdict, summary, not] of rows) {
    const found = diagnose(facts(change));
    const { explanation } = found;
    t.equal(explanation.code, code, `${name}: ${explanation.summary}`);
    t.equal(found.verdict, verdict, `${name}: verdict`);
    for (const text of summary) t.match(explanation.summary, text, name);
    t.notMatch(explanation.summary, /no reaction/i, name);
    if (not !== undefined) t.notMatch(JSON.stringify(explanation), not, `${name}: nothing that was not seen`);
    for (const shown of change.drill?.timeline ?? [])
      t.ok(
        explanation.evidence.some(({ observed }) => observed === shown.text),
        `${name}: it is evidence`,
      );
  }
});

t.test('F2: what the version gives is said before anything is injected', async (t) => {
  const drill = (parameters: Readonly<Record<string, unknown>>, reason: string): DrillFacts =>
    planned({
      parameters,
      expectation: { kind: 'condition', type: gpuCondition, reason, withinSeconds: 60 },
    });
  const checkOf = (given: DrillFacts) =>
    preflight(facts({ drill: given })).checks.find(({ code }) => code === 'reason-not-given');
  t.match(checkOf(drill({ xid: 79 }, 'NvidiaXidError')), {
    result: 'cause',
    blocks: false,
    text: /shows condition NvidiaXID79Error.*No known version of NMA has the reason NvidiaXidError/,
  });
  t.match(checkOf(drill({ xid: 79 }, 'NvidiaXID79Error')), { result: 'ok' });
  t.match(checkOf(drill({ field: 395, value: 1 }, 'NvidiaRowRemapFailure')), {
    result: 'cause',
    text: /DCGMHealthCode80/,
  });
  t.match(checkOf(drill({ xid: 79 }, 'NvidiaXID48Error')), {
    result: 'cause',
    text: /which it does not have for it\. $/,
  });
});

t.test('F2: of a pass the reason that was seen is named, not the expected one', async (t) => {
  const message = 'detected XID-79 on the instance, review kernel logs for additional information.';
  const seen = conditionEntry(
    'DCGMHealthCode120',
    `${message}; DCGM detected issues in health check system with error code 120`,
    { match: true },
  );
  const { summary } = explainPass(facts({ drill: silent({ timeline: [seen] }) }), {
    text: seen.text,
    latencySeconds: 9,
    source: seen.source,
    entry: seen,
  });
  t.match(summary, /after 9 s: DCGMHealthCode120, whose message has the text expected of NvidiaXID79Error/);
});
