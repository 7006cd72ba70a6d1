import t from 'tap';
import { judgeAudit } from './advisories.ts';
import type { Lock } from './lock.ts';

const lock: Lock = {
  lockfileVersion: 3,
  packages: {
    'node_modules/shipped': {},
    'node_modules/tool': { dev: true },
    'node_modules/asked': { peer: true },
  },
};
const report = (...found: readonly (readonly [string, string])[]) =>
  JSON.stringify({
    auditReportVersion: 2,
    vulnerabilities: Object.fromEntries(
      found.map(([name, severity]) => [name, { severity, nodes: [`node_modules/${name}`] }]),
    ),
  });

t.test('serious advisories for what is in an image fail', async (t) => {
  for (const [text, outcome, line] of [
    [report(), 'passed', /^0 packages/],
    [report(['shipped', 'moderate']), 'passed', /shipped: moderate, in an image/],
    [report(['tool', 'critical'], ['asked', 'high']), 'passed', /tool: critical, development only/],
    [report(['tool', 'low'], ['shipped', 'high']), 'failed', /shipped: high, in an image/],
    [report(['shipped', 'critical']), 'failed', /shipped: critical/],
    // A path that the lock file does not have is not taken for harmless.
    [report(['unknown', 'high']), 'failed', /unknown: high, in an image/],
    ['{"message":"405 Method Not Allowed","statusCode":405}', 'skipped', /gives no advisories: 405/],
    ['{}', 'failed', /gave no report/],
    ['', 'failed', /no JSON/],
    ['{"auditReportVersion":3,"vulnerabilities":{}}', 'failed', /version 3 is not known/],
  ] as const) {
    const judged = judgeAudit(text, lock);
    t.equal(judged.outcome, outcome, text);
    t.match(judged.lines.join('\n'), line);
  }
});
