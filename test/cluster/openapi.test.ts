import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { createScaledClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { findPython, folder, installSchemathesis } from './schemathesis/install.ts';

/** For one program; what it has not ended by then is a failure. */
const longestMs = 300_000;

const shownLines = 300;
const shownColumns = 500;

const python = await findPython();
const skip = 'because' in python ? python.because : false;

t.test('schemathesis finds nothing in either program', { skip, timeout: 900_000 }, async (t) => {
  if ('because' in python) return;
  const executable = await installSchemathesis(python.version);
  // As `npm run serve` starts it.
  const cluster = await startRehearsalCluster({
    clock: createScaledClock({ factor: 10, startAt: Date.now() }),
    random: Math.random,
    newId: randomUUID,
    log: createSilentLog(),
    rows: Object.values(serveNodes),
    coordinatorPort: 0,
    firstAgentPort: 0,
  });
  t.teardown(() => cluster.close());
  await cluster.installNma({ version: '1.6.4', credentials: 'healthy' });
  for (const [name, url] of [
    // Before drills of the coordinator work on its node.
    ['agent', cluster.node(serveNodes.gpu.name).url],
    ['coordinator', cluster.url],
  ] as const) {
    const startedAt = performance.now();
    const { code, output } = await explore(executable, url);
    const lines = output.split('\n').filter((line) => line.trim() !== '');
    t.comment(`${name}: ${((performance.now() - startedAt) / 1000).toFixed(0)} s, ${lines.at(-1)}`);
    t.match(output, /\d+ generated/, `${name}: requests were made`);
    t.strictSame(code === 0 ? [] : [`exit ${code}`, ...findingsIn(lines)], [], `${name}: nothing is found`);
  }
});

/** The same requests each time: by a seed, with nothing learnt from an earlier run. */
async function explore(executable: string, url: string): Promise<{ code: number | null; output: string }> {
  const work = mkdtempSync(join(tmpdir(), 'xidrill-schemathesis-'));
  try {
    const child = spawn(
      executable,
      [
        ...['-m', 'schemathesis.cli', '--config-file', join(folder, 'schemathesis.toml'), 'run'],
        ...['--phases', 'examples,coverage,fuzzing,stateful', '--max-examples', '10', '--seed', '20'],
        ...['--request-timeout', '10', '--continue-on-failure', '--no-color', '--warnings', 'off'],
        `${url}/openapi.json`,
      ],
      {
        cwd: work,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          ...process.env,
          PYTHONPATH: folder,
          SCHEMATHESIS_HOOKS: 'hooks',
          PYTHONDONTWRITEBYTECODE: '1',
        },
        timeout: longestMs,
        killSignal: 'SIGKILL',
      },
    );
    const ended = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    const [code, ...outputs] = await Promise.all([ended, text(child.stdout), text(child.stderr)]);
    return { code, output: outputs.join('\n') };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** From its list of failures on; long values are cut. */
function findingsIn(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => /^=+ (ERRORS|FAILURES) =+$/.test(line));
  return lines
    .slice(Math.max(first, 0))
    .slice(0, shownLines)
    .map((line) => line.slice(0, shownColumns));
}
