import t from 'tap';
import { parsePolicies } from '../../../coordinator/catalogue/repair/given-policies.ts';
import { policiesFor } from '../../../coordinator/catalogue/repair/policies.ts';

const condition = { type: 'AcceleratedHardwareReady', status: 'False' } as const;
const given = (...reasons: (string | undefined)[]) =>
  parsePolicies(
    JSON.stringify(reasons.map((reason) => ({ ...condition, reason, waitSeconds: 600, action: 'replace' }))),
  );

t.test('a reason is matched as Go does, whatever stands there', async (t) => {
  const long = 'a'.repeat(1024);
  for (const [pattern, reason, isMatch] of [
    ['^NvidiaXID(64|79)Error$', 'NvidiaXID79Error', true],
    ['XID7', 'NvidiaXID79Error', true],
    ['^XID7', 'NvidiaXID79Error', false],
    ['(?i)nvidiaxid', 'NvidiaXID79Error', true],
    ['\\AN[[:alpha:]]+\\z', 'Neuron', true],
    // JavaScript's own would not end within the life of the machine.
    ['(a+)+$', `${long}!`, false],
    ['(a+)+$', long, true],
    ['^(a|a)*$', `${long}!`, false],
    ['(a|aa)+$', `${long}!`, false],
    ['^(([a-z])+.)+[A-Z]([a-z])+$', long, false],
  ] as const) {
    const [own, rest] = given(pattern, undefined);
    t.same(
      policiesFor(given(pattern, undefined), { ...condition, reason }).map(({ reason }) => reason?.source),
      [isMatch ? own?.reason?.source : rest?.reason?.source],
      `${pattern} on ${reason.slice(0, 20)}`,
    );
  }
});

t.test('what is no pattern in Go is refused by its place', async (t) => {
  for (const pattern of ['(', '(?=a)', '(?!a)', '(a)\\1', 'a{1001}', '((a{100}){100}){100}', 'x*+'])
    t.throws(
      () => given(undefined, pattern),
      { reason: 'parameter_invalid', message: /^repair policies: \/1\/reason / },
      pattern,
    );
});
