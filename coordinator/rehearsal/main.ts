import { randomUUID } from 'node:crypto';
import { createScaledClock } from '../../shared/clock.ts';
import { createLog, type LogLevel } from '../../shared/log.ts';
import { configOrExit, logLevelRow, onStop } from '../../shared/program.ts';
import { serveNodes, storyNodes } from './accounts.ts';
import { type RehearsalCluster, startRehearsalCluster } from './cluster.ts';
import { createPaint, renderStep } from './screen.ts';
import { faultsOf, playStory, type StoryStep, untilAgentListens } from './story.ts';

// The scripts of package.json say which: `npm start` plays the story, `npm run serve` keeps the cluster running.
const isServe = process.argv[2] === 'serve';
const config = configOrExit(
  `npm ${isServe ? 'run serve' : 'start'} --`,
  {
    json: { kind: 'switch', help: 'print the story as JSON' },
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
  });
  const paint = createPaint(process.stdout.isTTY && process.env.NO_COLOR === undefined);
  const width = Math.min(Math.max(process.stdout.columns ?? 140, 80), 160);
  const steps: StoryStep[] = [];
  const startedAt = performance.now();
  if (!config.json)
    process.stdout.write(
      `${paint.bold('"Fault injection does not work. Why?"')} One user’s six steps, rehearsed at ${config.speed} times real speed.\n`,
    );
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
  else
    process.stdout.write(
      `${paint.verdict(passed ? 'pass' : 'fail')}  ${steps.length - wrong.length} of ${steps.length} steps explained as they have to be, in ${seconds.toFixed(1)} s\n`,
    );
  return passed ? 0 : 1;
}

async function serve(): Promise<number> {
  const cluster: RehearsalCluster = await startRehearsalCluster({
    ...options,
    rows: Object.values(serveNodes),
    coordinatorPort: 8475,
    firstAgentPort: 9475,
  });
  try {
    await cluster.installNma({ version: '1.6.4', credentials: 'healthy' });
    await untilAgentListens(cluster.node(serveNodes.gpu.name).url);
    const agents = [...cluster.nodes].map(([name, { url }]) => `  agent ${url}  ${name}`);
    process.stdout.write(
      `a rehearsal cluster at ${config.speed} times real speed; Ctrl-C ends it\n  REST  ${cluster.url}/api/v1\n${agents.join('\n')}\n`,
    );
    await new Promise<void>((resolve) => {
      if (stop.signal.aborted) resolve();
      stop.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    return 0;
  } finally {
    await cluster.close();
  }
}
