import t from 'tap';
import { Compile } from 'typebox/compile';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { explain, explainPass, preflight } from '../../../coordinator/diagnosis/explain.ts';
import { explainQuiet } from '../../../coordinator/diagnosis/negative.ts';
import type { Cause, Rule } from '../../../coordinator/diagnosis/rule.ts';
import { irrelevant, likely, proven, refuted, unknown } from '../../../coordinator/diagnosis/rule.ts';
import { explainRequest } from '../../../coordinator/drill/cut-short.ts';
import { planTarget } from '../../../coordinator/plan/plan.ts';
import { Explanation } from '../../../coordinator/store/explanation.ts';
import { type Reason, Refusal } from '../../../shared/errors.ts';
import {
  before,
  type Change,
  dcgmResult,
  entry,
  facts,
  planned,
  pod,
  reacted,
  receipt,
  silent,
  silentLockup,
  staleConditions,
  withCondition,
} from './builder.ts';

const shape = Compile(Explanation);

function rule(code: string, judgement: ReturnType<Rule['judge']>, link = 'detection'): Rule {
  return { code, title: `title of ${code}`, link, verdict: 'fail', judge: () => judgement };
}

function finding(code: string): Pick<Cause, 'summary' | 'evidence' | 'remedy'> {
  return {
    summary: `${code} is so`,
    evidence: [{ source: 's', observed: 'o', at: '2026-11-23T00:00:00Z' }],
    remedy: 'do this',
  };
}

t.test('which cause is the explanation', async (t) => {
  const a = rule('a', likely(finding('a')));
  const b = rule('b', proven(finding('b')));
  const c = rule('c', proven({ ...finding('c'), blocks: true }));
  const incidental = rule('d', proven({ ...finding('d'), incidental: true }));
  const ruledOut = rule('e', refuted('no e'));
  const repair = rule('r', proven(finding('r')), 'taint');
  const open = rule('u', unknown('u was not read'));
  const rows: [string, readonly Rule[], string, readonly string[]][] = [
    ['the first proven one', [a, b, c], 'b', ['a', 'c']],
    ['the first likely one', [a, ruledOut], 'a', []],
    ['never one that is only broken besides', [incidental, a], 'a', ['d']],
    ['never a repair while the reaction is missing', [repair, a], 'a', ['r']],
    ['none', [ruledOut, open, rule('i', irrelevant), incidental], 'unexplained', ['d']],
  ];
  for (const [name, rules, code, also] of rows) {
    const explanation = explain(facts({ drill: silent() }), rules);
    t.equal(explanation.code, code, name);
    t.same(
      explanation.alsoFound.map((found) => found.code),
      also,
      `${name}: besides`,
    );
    t.ok(shape.Check(explanation), `${name}: has the documented shape`);
  }
  t.same(explain(facts({ drill: silent() }), [a, ruledOut]).refuted, [{ code: 'e', because: 'no e' }]);
  t.match(explain(facts(), [a]).summary, /^Likely, not proven: a is so/);
  t.equal(
    explain(facts({ drill: reacted() }), [b, repair]).code,
    'r',
    'after the reaction it is the repair that is missing',
  );
});

t.test('the honest last one', async (t) => {
  const explanation = explain(facts({ drill: silent() }));
  t.equal(explanation.code, 'unexplained');
  t.match(
    explanation.summary,
    /no reaction, and no known cause fits: \d+ were checked, \d+ are ruled out\. Everything .* could be read/,
  );
  t.ok(
    explanation.evidence.some(({ source }) => source.includes('readBack')),
    'the injection itself',
  );
  t.ok(
    explanation.evidence.some(
      ({ source }) => source === 'nodes/n1 status.conditions[AcceleratedHardwareReady]',
    ),
  );
  t.ok(explanation.refuted.some(({ code }) => code === 'nma-not-writing'));
  const blind = explain(facts({ nma: { log: { unread: 'pods/log is forbidden' } }, drill: silent() }));
  t.match(blind.summary, /Not decided: .*NMA’s log: pods\/log is forbidden/);
  t.match(blind.remedy, /Grant access/);
  const noCondition = explain(facts({ node: { conditions: [] }, drill: silent() }), []);
  t.match(noCondition.evidence, [{}, { observed: 'no AcceleratedHardwareReady' }, {}]);
});

t.test('preflight', async (t) => {
  const healthy = preflight(facts({ drill: planned() }));
  t.equal(healthy.blocking, undefined);
  t.ok(healthy.checks.length > 10);
  t.same(
    healthy.checks.filter(({ result }) => result === 'cause'),
    [],
  );
  t.ok(healthy.checks.every(({ title, text }) => title !== '' && text !== ''));
  const withoutFault = preflight(facts({ node: { conditions: staleConditions(4000) } }));
  t.equal(withoutFault.blocking, undefined, 'without a drill nothing is blocked');
  t.match(
    withoutFault.checks.find(({ code }) => code === 'nma-not-writing'),
    { result: 'cause', blocks: false },
  );
  const noNma = preflight(
    facts({
      nma: { pod: undefined, daemonSet: undefined },
      node: { conditions: [] },
      drill: silentLockup({ receipt: undefined, waitedUntil: undefined }),
    }),
  );
  t.equal(noNma.blocking, undefined, 'a missing pod never blocks');
  t.match(
    noNma.checks.find(({ code }) => code === 'nma-not-installed'),
    { result: 'cause', blocks: false },
  );
  const unreadable = preflight(facts({ agent: { inventory: { unread: 'timeout' } } }));
  t.match(
    unreadable.checks.find(({ code }) => code === 'engine-without-gpus'),
    { result: 'unknown', text: /timeout/ },
  );
});

t.test('a pass says what was seen, and what is broken besides', async (t) => {
  const conditions = withCondition('AcceleratedHardwareReady', {
    status: 'False',
    reason: 'NvidiaXID79Error',
    message: 'detected XID-79',
  });
  const explanation = explainPass(
    facts({ node: { conditions }, repair: { nodePool: undefined }, drill: reacted() }),
    {
      text: 'False NvidiaXID79Error: detected XID-79',
      latencySeconds: 7.9512,
      source: 'nodes/n1 status.conditions[AcceleratedHardwareReady]',
    },
  );
  t.equal(explanation.code, 'reacted');
  t.match(explanation.summary, /after 8 s: NvidiaXID79Error/);
  t.match(explanation.remedy, /stays False/);
  t.ok(explanation.evidence.some(({ observed }) => observed.includes('detected XID-79')));
  t.same(
    explanation.alsoFound.map(({ code }) => code),
    ['repair-not-enabled'],
  );
  t.ok(shape.Check(explanation));

  const fresh = explainPass(
    facts({ node: { conditions }, nma: { pod: pod('nma-a', { startedAt: before(100) }) }, drill: silent() }),
    {
      text: 'False NvidiaXID79Error',
      latencySeconds: 8,
      source: 'status.conditions[AcceleratedHardwareReady]',
    },
  );
  t.same(
    fresh.alsoFound.map(({ code }) => code),
    [],
    'nothing that explains a silence, although the timeline does not hold the reaction',
  );

  const event = explainPass(
    facts({
      drill: silentLockup({ timeline: [entry('event', 'SoftLockup: CPU stuck for 23s', { match: true })] }),
    }),
    {
      text: 'SoftLockup: CPU stuck for 23s',
      latencySeconds: 12.4,
      source: 'events/default/n1.1',
    },
  );
  t.match(event.summary, /after 12 s: SoftLockup/);
  t.match(
    event.remedy,
    /^Nothing to restore; what stays\. The records in the ring of the kernel log: until the next reboot\.$/,
  );
  t.same(event.alsoFound, []);
});

t.test('N1: the remedy is that of all reactions and of what stays', async (t) => {
  const remedyOf = (parameters: object, kind: 'event' | 'condition', reason: string, change: Change = {}) =>
    explainPass(
      facts({
        ...change,
        drill: planned({
          parameters: { surfaces: ['dcgm'], ...parameters },
          expectation: { kind, type: 'AcceleratedHardwareReady', reason, withinSeconds: 60 },
        }),
      }),
      { text: reason, latencySeconds: 2, source: 'events/default/n1.1' },
    ).remedy;
  const xid94 = remedyOf({ xid: 94 }, 'event', 'NvidiaXID94Warning');
  t.notMatch(xid94, /Nothing/);
  t.match(xid94, /it turns AcceleratedHardwareReady False with DCGMHealthCode101/);
  t.match(xid94, /Condition AcceleratedHardwareReady False: until the monitoring agent restarts/);
  const conditions = withCondition('AcceleratedHardwareReady', {
    status: 'False',
    reason: 'DCGMHealthCode101',
  });
  t.match(
    remedyOf({ xid: 94 }, 'event', 'NvidiaXID94Warning', { node: { conditions } }),
    /^Restore the node, or let it be repaired: AcceleratedHardwareReady is False with DCGMHealthCode101/,
  );
  t.match(
    remedyOf({ xid: 79 }, 'condition', 'NvidiaXID79Error'),
    /stays False until NMA restarts\. Within minutes its reason becomes DCGMHealthCode120/,
  );
  const xid31 = remedyOf({ xid: 31 }, 'event', 'NvidiaXID31Warning');
  t.match(
    xid31,
    /Nothing to restore; what stays\. Xid 31 .* reported again every 5 min: until the host engine restarts/,
  );
  t.match(
    remedyOf({ xid: 109 }, 'condition', 'NvidiaXID109Error'),
    /^Restore the node.* until NMA restarts\.$/,
  );
  // An Xid that the engine's health system has no code for is an event and nothing else.
  t.equal(
    remedyOf({ xid: 45 }, 'event', 'NvidiaXID45Warning'),
    'Nothing to do: an event leaves nothing on the node.',
  );
  t.match(
    remedyOf({ xid: 45, surfaces: ['kernel-log', 'dcgm'] }, 'event', 'NvidiaXID45Warning'),
    /ring of the kernel log: until the next reboot/,
  );
});

t.test('a request that is refused before any order', async (t) => {
  const at = { source: 'request body', at: '2026-11-23T03:05:00Z' };
  const rows: [Reason, string][] = [
    ['disarmed', 'agent-disarmed'],
    ['kill_switch_engaged', 'kill-switch'],
    ['node_not_opted_in', 'node-not-opted-in'],
    ['policy_refused', 'policy-refused'],
    ['agent_unreachable', 'agent-unreachable'],
    ['field_value_no_effect', 'field-is-another-quantity'],
    ['nobody_listens', 'nobody-listens'],
    ['no_target', 'no-target'],
    ['internal', 'internal'],
  ];
  for (const [reason, code] of rows) {
    const explanation = explainRequest(new Refusal(reason, 'it was so.'), at);
    t.equal(explanation.code, code, reason);
    t.equal(explanation.summary, 'Refused, nothing was injected: it was so.');
    t.same(explanation.evidence, [{ source: 'request body', observed: `${reason}: it was so.`, at: at.at }]);
  }
  const withRemedy = explainRequest(new Refusal('disarmed', 'm', { remedy: 'start it with --arm' }), at);
  t.equal(withRemedy.remedy, 'start it with --arm');
});

t.test('a receipt with a refusal on one surface', async (t) => {
  const refused = dcgmResult({
    outcome: 'refused',
    code: 'nobody_listens',
    message: 'NMA listens on no host engine of this node',
  });
  const explanation = explain(
    facts({ agent: { inventory: { unread: 'timeout' } }, drill: silent({ receipt: receipt([refused]) }) }),
  );
  t.equal(explanation.code, 'nobody-listens');
  t.equal(explanation.evidence[0]?.source, 'agent n1 InjectXid surfaces[dcgm]');
});

t.test('a silence that may be as short as the caller says tells how long a condition could take', (t) => {
  // Nothing but an event follows, which is allowed: no time is too short to be planned.
  const { expectation } = planTarget({
    spec: { fault: { name: 'xid', parameters: { xid: 43 } }, expectation: { none: true, for: '1s' } },
    node: 'node-1',
    orderId: 'order-1',
    marker: 'abc123',
    context: { nma: findNmaVersion('1.7.2') },
  });
  const watched = (withinSeconds: number) =>
    explainQuiet(
      facts({ drill: { ...silent(), expectation: { ...expectation, withinSeconds } } }),
      [],
      undefined,
    ).alsoFound;
  t.match(watched(expectation.withinSeconds), [
    { code: 'wait-too-short', summary: /watched for 1 s .*20 s/ },
  ]);
  t.same(watched(20), []);
  t.end();
});
