import { Registry } from 'prom-client';
import t from 'tap';
import { createRunnerMetrics } from '../../../coordinator/run/metrics.ts';

t.test('L3 only names of the catalogue become labels', async (t) => {
  const registry = new Registry();
  const metrics = createRunnerMetrics(registry, { faults: ['xid'], causes: ['nobody-listens'] });
  const foreign = ['\u001b[31mred', 'constructor', '__proto__', 'x'.repeat(5000), 'Xid', ''];
  for (const name of foreign) {
    metrics.ended(name, 'error', name);
    metrics.detected(name, 1);
  }
  metrics.ended('xid', 'fail', 'nobody-listens');
  metrics.ended('xid', 'fail', 'agent-answer-invalid');
  metrics.detected('xid', 1);
  const text = await registry.metrics();
  for (const name of foreign.filter((name) => name !== ''))
    t.notOk(text.includes(name), JSON.stringify(name));
  const lines = text.split('\n');
  t.ok(
    lines.includes(`xidrill_experiments_total{fault="other",verdict="error"} ${foreign.length}`),
    'they are counted',
  );
  t.ok(lines.includes(`xidrill_explanations_total{cause="other"} ${foreign.length}`));
  t.ok(lines.includes(`xidrill_detection_seconds_count{fault="other"} ${foreign.length}`));
  t.ok(lines.includes('xidrill_experiments_total{fault="xid",verdict="fail"} 2'));
  t.ok(lines.includes('xidrill_explanations_total{cause="nobody-listens"} 1'));
  t.ok(lines.includes('xidrill_explanations_total{cause="agent-answer-invalid"} 1'), 'a reason of the table');
});
