import t from 'tap';
import { faults } from '../../../coordinator/catalogue/catalogue.ts';
import { type LogSource, linesNeeded, matchLogRules } from '../../../coordinator/catalogue/nma/log-rules.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { exampleParameters } from '../../../coordinator/catalogue/parameters.ts';
import { compareVersions } from '../../../shared/compare-versions.ts';
import { Refusal } from '../../../shared/errors.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import { scriptOf } from '../../../shared/orders/script.ts';
import type { AgentOrder } from '../../../shared/schemas/order.ts';
import { rehearse } from '../catalogue/nma/rehearsal.ts';

/** Whatever NMA learns without DCGM's policies: from logs, and from an engine that is away. */
const kinds = ['kernel-message', 'journal', 'log-file', 'engine-loss'];
const rows = faults.filter(({ channel }) => kinds.includes(channel.kind));

for (const nma of ['1.6.0', '1.6.3', '1.6.4', '1.6.5', '1.6.6', '1.7.0', '1.7.1', '1.7.2']) {
  t.test(`logs and engine loss with NMA ${nma}: each comes as planned, within its window`, async (t) => {
    const silent: string[] = [];
    for (const row of rows) {
      const accelerator = row.name.startsWith('neuron') ? 'neuron' : 'nvidia';
      const rehearsal = rehearse(t, { nma, accelerator });
      await rehearsal.settle();
      const before = await rehearsal.look();
      let plan: ReturnType<typeof rehearsal.plan>;
      try {
        plan = rehearsal.plan(row.name, exampleParameters(row));
      } catch (thrown) {
        if (!(thrown instanceof Refusal) || thrown.reason !== 'expectation_invalid') throw thrown;
        silent.push(row.name);
        continue;
      }
      await rehearsal.carryOut(plan.order);
      const took = await rehearsal.secondsUntil(plan.expectation, before);
      const [first] = plan.reactions;
      t.equal(first?.reason, plan.expectation.reason);
      t.ok(took !== undefined && took <= (first?.window?.worstSeconds ?? 0), `${row.name}: ${took} s`);
    }
    // The first is a text of the caller's own; the second is a rule that came with 1.7.0.
    const isOld = compareVersions(nma, '1.7.0') < 0;
    t.same(silent.toSorted(), isOld ? ['block-device-io-error', 'kernel-message'] : ['kernel-message']);
  });
}

t.test('one line less than needed leads to nothing', async (t) => {
  const version = findNmaVersion('1.7.0').row;
  const needing = rows.flatMap((row) => {
    if (row.name === 'kernel-message') return [];
    const { order } = rehearse(t, { nma: version.version }).plan(row.name, exampleParameters(row));
    const [part] = scriptOf(order, {});
    const source: LogSource | undefined =
      part?.surface === 'journal'
        ? { kind: 'journal', identifier: part.identifier === 'systemd' ? 'systemd' : 'kubelet' }
        : part?.surface === 'log-file'
          ? { kind: 'file', path: part.path }
          : undefined;
    if (source === undefined || part === undefined || !('text' in part)) return [];
    const [match] = matchLogRules(version, source, part.text);
    return match === undefined || linesNeeded(match.rule) === 1 ? [] : [{ row, rule: match.rule }];
  });
  t.same(
    needing.map(({ rule }) => [rule.id, linesNeeded(rule)]),
    [
      ['PodStuckTerminating', 3],
      ['ReadinessProbeFailures', 6],
      ['LivenessProbeFailures', 6],
      ['IPAMDRepeatedlyRestart', 6],
      ['RapidCron', 2],
    ],
  );
  for (const { row, rule } of needing) {
    const { plan, carryOut, secondsUntil, look, settle } = rehearse(t, { nma: version.version });
    await settle();
    const before = await look();
    const { order, expectation } = plan(row.name, exampleParameters(row));
    const write = (times: number) =>
      carryOut({ ...order, ...parseCall(order.method, { ...order.body, times }) } as AgentOrder);
    await write(linesNeeded(rule) - 1);
    t.equal(await secondsUntil(expectation, before), undefined, `${row.name}: one line less`);
    await write(1);
    const isLate = rule.gate?.kind === 'over-rate';
    const took = await secondsUntil(expectation, before);
    t.equal(took === undefined, isLate, isLate ? 'the last comes too late' : 'the last may come late');
  }
});
