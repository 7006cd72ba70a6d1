import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { root } from './suite.ts';

/**
 * What makes a test depend on how fast the machine is, and the files that need it. Waits end with the limit that all tests have
 * (.taprc); stories run on a clock that jumps (jumping-clock.ts); a promise in real time is measured beside lateness.ts.
 */
const rows: readonly (readonly [what: string, pattern: RegExp, allowed: readonly string[]])[] = [
  [
    'a time limit of its own',
    /\bt\.setTimeout\(|\btimeout: \d/,
    // As many rounds or requests as are asked for; the registry's answer.
    [
      'test/agent/requests-fuzz.test.ts',
      'test/bench/kill-switch.test.ts',
      'test/coordinator/routes/requests-fuzz.test.ts',
      'test/supply-chain/audit.ts',
    ],
  ],
  ['a wait that is given up within a minute', /AbortSignal\.timeout\(\d{1,2}(_?\d{3})?\)/, []],
  [
    'a clock that runs too fast',
    /\bcreateScaledClock\(/,
    // For tests that are about real time too, or have too many timers for a clock that jumps, and the clock's own.
    [
      'test/coordinator/rig.ts',
      'test/shared/clock.test.ts',
      'test/bench/reach.ts',
      'test/stories/catalogue.test.ts',
    ],
  ],
  [
    'an upper bound on real time',
    /\b(took|tookMs|\w+\.now\(\) - \w+) <=? [\d_]+[,)]/,
    // 110 s, against two minutes that Node itself would take; processor time.
    ['test/shared/http/tls.test.ts', 'test/coordinator/why/hostile.test.ts'],
  ],
];

/** Real clusters have a runner of their own, with a machine's whole time. */
const files = globSync('test/**/*.ts', { cwd: root }).filter(
  (file) => !/^test\/(cluster|node|soak|gpu)\/|^test\/real-time\.test\.ts$/.test(file),
);

for (const [what, pattern, allowed] of rows)
  t.test(what, async (t) => {
    const found = files.filter((file) => pattern.test(readFileSync(join(root, file), 'utf8')));
    t.same(found.toSorted(), allowed.toSorted());
  });
