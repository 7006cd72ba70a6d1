import { randomUUID } from 'node:crypto';
import { createScaledClock } from '../../shared/clock.ts';
import type { OptionTable } from '../../shared/config.ts';
import { Refusal } from '../../shared/errors.ts';
import { createLog, type LogLevel } from '../../shared/log.ts';
import { configOrExit, exitWith, logLevelRow, onStop } from '../../shared/program.ts';
import { storyNodes } from './accounts.ts';
import { startRehearsalCluster } from './cluster.ts';
import { createPaint, renderEnd, renderStep, renderTitle } from './screen.ts';
import { checkServePort, renderServed, startServed } from './serve.ts';
import { faultsOf, playStory, type StoryStep } from './story.ts';

// The scripts of package.json say which: `npm start` plays the story, `npm run serve` keeps the cluster running.
const isServe = process.argv[2] === 'serve';
const serveRows = {
  port: {
    kind: 'number',
    value: 'N',
    default: 8475,
    check: checkServePort,
    help: 'of REST; one below it is the reset, one above the API server, agents from 1000 above; 0: free ones',
  },
  kubeconfig: {
    kind: 'text',
    value: 'FILE',
    help: 'where the kubeconfig of the embedded API server is written; absent: in a temporary folder',
  },
} as const satisfies OptionTable;
const config = configOrExit(
  `npm ${isServe ? 'run serve' : 'start'} --`,
  {
    json: {
      kind: 'switch',
      help: isServe ? 'print the addresses as one line of JSON' : 'print the story as JSON',
    },
    ...serveRows,
    speed: {
      kind: 'number',
      value: 'N',
      default: isServe ? 10 : 60,
      check: (text) => (Number(text) >= 1 && Number(text) <= 100 ? undefined : 'from 1 to 100'),
      help: 'how many times as fast as the real clock the rehearsal runs',
    },
    'log-level': { ...logLevelRow, default: 'silent' },
  },
  process.argv.slice(3),
);
const stop = new AbortController();
onStop(() => stop.abort());
// `npm start | head` is no failure: who reads has seen enough.
process.stdout.on('error', () => process.exit());

// Colours only where somebody looks, and not where they are not wanted (https://no-color.org: set and not empty).
const isColoured = process.stdout.isTTY === true && (process.env.NO_COLOR ?? '') === '';

const options = {
  clock: createScaledClock({ factor: config.speed, startAt: Date.now() }),
  random: Math.random,
  newId: randomUUID,
  log: createLog({ name: 'xidrill-rehearsal', level: config['log-level'] as LogLevel }),
};

try {
  process.exitCode = isServe ? await serve() : await story();
} catch (thrown) {
  process.stderr.write(
    `xidrill: the rehearsal failed: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}\n`,
  );
  process.exitCode = 4;
}

/** Exit code = verdict of the story: 0 when every step is explained as it has to be and the last drill passes. */
async function story(): Promise<number> {
  const cluster = await startRehearsalCluster({
    ...options,
    rows: Object.values(storyNodes),
    coordinatorPort: 0,
    firstAgentPort: 0,
    needsLease: true,
  });
  const paint = createPaint(isColoured);
  // A pipe has no width: what reads it breaks lines itself.
  const width =
    process.stdout.isTTY === true ? Math.max(process.stdout.columns, 40) : Number.POSITIVE_INFINITY;
  const steps: StoryStep[] = [];
  const startedAt = performance.now();
  if (!config.json) process.stdout.write(renderTitle(paint, width, config.speed));
  try {
    for await (const step of playStory(cluster)) {
      steps.push(step);
      if (!config.json) process.stdout.write(renderStep(step, paint, width));
      if (stop.signal.aborted) break;
    }
  } finally {
    await cluster.close();
  }
  const wrong = steps.filter((step) => faultsOf(step).length > 0);
  const passed = steps.at(-1)?.verdict === 'pass' && wrong.length === 0;
  const seconds = (performance.now() - startedAt) / 1000;
  if (config.json)
    process.stdout.write(
      `${JSON.stringify({ verdict: passed ? 'pass' : 'fail', seconds, steps }, null, 2)}\n`,
    );
  else {
    const all = steps.length;
    process.stdout.write(renderEnd({ right: all - wrong.length, all, seconds, passed }, paint, width));
  }
  return passed ? 0 : 1;
}

async function serve(): Promise<number> {
  try {
    const { port, kubeconfig } = config;
    const served = await startServed({
      ...options,
      port,
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
    });
    const { addresses } = served;
    const paint = createPaint(isColoured);
    process.stdout.write(
      config.json
        ? `${JSON.stringify({ speed: config.speed, ...addresses })}\n`
        : renderServed(addresses, config.speed, paint.bold),
    );
    await new Promise<void>((resolve) => {
      if (stop.signal.aborted) resolve();
      stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await served.close();
    return 0;
  } catch (thrown) {
    if (thrown instanceof Refusal) exitWith('xidrill', thrown);
    throw thrown;
  }
}
