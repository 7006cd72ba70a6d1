import t from 'tap';
import { diagnose, preflight } from '../../../coordinator/diagnosis/explain.ts';
import type { Cause, Rule } from '../../../coordinator/diagnosis/rule.ts';
import { rules } from '../../../coordinator/diagnosis/rules.ts';
import type { TimelineEntry } from '../../../coordinator/store/timeline.ts';
import type { Reason, ReasonVerdict } from '../../../shared/errors.ts';
import { dcgmResult, facts, kernelResult, planned, receipt, silentLockup } from './builder.ts';

/** The link that each cause breaks, and what a drill says of which it is the first; written by hand. */
const rows: readonly (readonly [code: string, link: string, verdict: ReasonVerdict])[] = [
  // The drill could not be run.
  ['agent-unknown', 'order', 'error'],
  ['agent-disarmed', 'order', 'error'],
  ['node-not-opted-in', 'order', 'error'],
  ['policy-refused', 'order', 'error'],
  ['kill-switch', 'order', 'error'],
  ['agent-incapable', 'order', 'error'],
  ['injection-refused', 'order', 'error'],
  // Whether the fault was there for all of the time is not known.
  ['agent-unreachable', 'order', 'inconclusive'],
  ['agent-answer-invalid', 'order', 'inconclusive'],
  ['injection-not-proven', 'order', 'inconclusive'],
  ['injection-interrupted', 'order', 'inconclusive'],
  // Nothing that is written there reaches NMA.
  ['field-is-another-quantity', 'order', 'fail'],
  ['wrong-engine', 'order', 'fail'],
  ['engine-elsewhere', 'order', 'fail'],
  ['nobody-listens', 'order', 'fail'],
  ['log-file-missing', 'order', 'fail'],
  ['journal-missing', 'order', 'fail'],
  ['journal-unread', 'order', 'inconclusive'],
  // A reaction may have been there.
  ['observation-gap', 'detection', 'inconclusive'],
  ['node-replaced', 'detection', 'inconclusive'],
  ['reason-replaced', 'detection', 'inconclusive'],
  ['event-combined', 'detection', 'inconclusive'],
  ['earlier-reaction', 'detection', 'inconclusive'],
  ['already-false', 'detection', 'inconclusive'],
  ['nma-just-started', 'detection', 'inconclusive'],
  ['wait-too-short', 'detection', 'inconclusive'],
  // There was none, or another one.
  ['kernel-log-not-read', 'detection', 'fail'],
  ['event-instead-of-condition', 'detection', 'fail'],
  ['condition-instead-of-event', 'detection', 'fail'],
  ['other-reaction', 'detection', 'fail'],
  ['late-reaction', 'detection', 'fail'],
  ['reason-not-given', 'detection', 'fail'],
  ['credentials-broken', 'detection', 'fail'],
  ['nma-not-running', 'detection', 'fail'],
  ['nma-not-installed', 'detection', 'fail'],
  ['arm64-gate', 'detection', 'fail'],
  ['monitor-disabled', 'detection', 'fail'],
  ['monitor-not-registered', 'detection', 'fail'],
  ['nma-not-writing', 'detection', 'fail'],
  ['dcgm-server-missing', 'detection', 'fail'],
  ['engine-lost', 'detection', 'fail'],
  ['engine-without-gpus', 'detection', 'fail'],
  ['gpu-missing', 'detection', 'fail'],
  // No controller takes the node.
  ['karpenter-too-old', 'taint', 'fail'],
  ['karpenter-gate-off', 'taint', 'fail'],
  ['karpenter-not-running', 'taint', 'fail'],
  ['repair-vetoed', 'taint', 'fail'],
  ['repair-budget', 'taint', 'fail'],
  ['repair-no-action', 'taint', 'fail'],
  ['repair-threshold', 'taint', 'fail'],
  ['repair-not-enabled', 'taint', 'fail'],
  ['repair-not-due', 'taint', 'inconclusive'],
  // The link's own objects show it.
  ['condition-recovered', 'taint', 'fail'],
  ['rebooted-instead', 'taint', 'fail'],
  ['removed-by-other', 'taint', 'inconclusive'],
  ['pods-held', 'drain', 'fail'],
  ['pods-terminating', 'drain', 'fail'],
  ['replaced-instead', 'reboot', 'fail'],
  ['not-rebooted', 'reboot', 'fail'],
  ['not-ready-again', 'reboot', 'fail'],
  ['repair-undone', 'termination', 'fail'],
  ['termination-held', 'termination', 'fail'],
  ['instance-not-terminated', 'termination', 'inconclusive'],
  ['no-nodeclaim', 'replacement', 'fail'],
  ['no-capacity', 'replacement', 'fail'],
  ['not-registered', 'replacement', 'fail'],
  ['not-initialized', 'replacement', 'fail'],
  ['new-node-not-ready', 'replacement', 'inconclusive'],
];

t.test('every rule states its link and its verdict', async (t) => {
  const sorted = (list: readonly (readonly [string, string, string])[]) =>
    list.toSorted(([left], [right]) => left.localeCompare(right));
  t.strictSame(sorted(rules.map(({ code, link, verdict }) => [code, link, verdict])), sorted(rows));
});

const cause: Cause = {
  is: 'cause',
  certainty: 'proven',
  summary: 'it is so',
  evidence: [],
  remedy: 'mend it',
  blocks: true,
  incidental: false,
};

function found(verdict: ReasonVerdict, more: Partial<Cause> = {}): readonly Rule[] {
  return [{ code: 'c', title: 't', link: 'detection', verdict, judge: () => ({ ...cause, ...more }) }];
}

t.test('the first cause says what the drill says', async (t) => {
  const silent = facts({ drill: silentLockup() });
  for (const verdict of ['fail', 'inconclusive', 'error'] as const) {
    t.match(diagnose(silent, found(verdict)), { verdict, explanation: { code: 'c', link: 'detection' } });
    t.equal(
      preflight(silent, found(verdict)).blocking?.verdict,
      verdict,
      'as a reason to inject nothing, too',
    );
  }
  t.equal(
    diagnose(silent, found('error', { verdict: 'fail' })).verdict,
    'fail',
    'a refusal decides by its reason',
  );
  t.match(
    diagnose(silent, []),
    { verdict: 'fail', explanation: { code: 'unexplained' } },
    'silence is a failure',
  );
});

t.test('what came unseen may have been the reaction', async (t) => {
  const entry = (kind: TimelineEntry['kind']): TimelineEntry => ({
    at: '2026-11-23T03:00:30Z',
    clock: 'coordinator',
    kind,
    source: 'watch of nodes',
    text: 'not watching for a while',
    match: false,
  });
  const lost = facts({ drill: silentLockup({ timeline: [entry('gap')] }) });
  const late = facts({ drill: silentLockup({ timeline: [entry('note')] }) });
  t.equal(diagnose(lost, found('fail')).verdict, 'inconclusive');
  t.equal(diagnose(lost, []).verdict, 'inconclusive');
  t.equal(diagnose(late, found('fail')).verdict, 'fail', 'what only came late is not lost');
  t.equal(diagnose(late, []).verdict, 'fail');
});

t.test('an order that was refused as a whole', async (t) => {
  const verdicts: readonly (readonly [Reason, ReasonVerdict])[] = [
    ['nobody_listens', 'fail'],
    ['engine_not_found', 'fail'],
    ['engine_unreachable', 'fail'],
    ['gpu_not_in_engine', 'fail'],
    ['dcgmi_not_found', 'error'],
    ['agent_incapable', 'error'],
    ['log_file_missing', 'fail'],
    ['agent_unreachable', 'inconclusive'],
    ['agent_answer_invalid', 'inconclusive'],
    ['order_interrupted', 'inconclusive'],
    ['read_back_failed', 'inconclusive'],
    ['process_not_paused', 'inconclusive'],
    ['order_stopped', 'inconclusive'],
    ['internal', 'inconclusive'],
    ['log_file_unusable', 'error'],
    ['too_many_running', 'error'],
    ['alert_gap_too_short', 'error'],
    ['disarmed', 'error'],
    ['agent_unknown', 'error'],
    ['gpu_unknown', 'error'],
    ['alert_slot_busy', 'error'],
    ['field_value_no_effect', 'error'],
    ['dcgmi_timeout', 'error'],
  ];
  for (const [reason, verdict] of verdicts) {
    const refusal = { reason, message: 'it was so', details: {} };
    t.equal(diagnose(facts({ drill: planned({ refusal }) })).verdict, verdict, reason);
  }
});

t.test('a fault that one surface took and another did not', async (t) => {
  const half = (code: string, outcome: 'refused' | 'failed') =>
    diagnose(
      facts({
        drill: silentLockup({
          receipt: receipt([kernelResult('a line'), dcgmResult({ outcome, code, message: 'no' })]),
        }),
      }),
    );
  t.equal(half('alert_slot_busy', 'refused').verdict, 'error', 'the drill was not run');
  t.equal(half('gpu_not_in_engine', 'refused').verdict, 'fail', 'a finding about the node');
  t.equal(half('a_new_reason', 'refused').verdict, 'error');
  t.equal(half('a_new_reason', 'failed').verdict, 'inconclusive', 'it may have been written');
  t.equal(half('dcgmi_timeout', 'failed').verdict, 'inconclusive', 'it may have been written');
  t.equal(half('dcgmi_timeout', 'refused').verdict, 'error', 'it was not begun');
});
