import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { untilAgentListens } from '../../coordinator/rehearsal/story.ts';
import { createScaledClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { root } from '../suite.ts';

const run = promisify(execFile);

/** Every curl of the README, in order, with what its answer has to contain. */
const examples = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)]
  .flatMap(([, block = '']) => block.replaceAll('\\\n', '').trim().split('\n'))
  .filter((line) => line.startsWith('curl '))
  .map((line) => {
    const [command = '', expected] = line.split(/\s+# → /);
    return { command, expected: expected?.trim() };
  });

const cluster = await startRehearsalCluster({
  rows: Object.values(serveNodes),
  clock: createScaledClock({ factor: 60, startAt: Date.now() }),
  random: Math.random,
  newId: randomUUID,
  coordinatorPort: 0,
  firstAgentPort: 0,
  log: createSilentLog(),
});
t.teardown(() => cluster.close());
await cluster.installNma({ version: '1.6.4', credentials: 'healthy' });
await untilAgentListens(cluster.node('gpu-1').url);

const withoutCurl = await run('curl', ['--version']).then(
  () => false as const,
  () => 'curl is not installed on this machine',
);

t.ok(examples.length >= 10, 'the README has examples');
t.same(
  examples.filter(({ expected }) => expected === undefined),
  [],
  'every example says what to expect',
);

for (const { command, expected = '' } of examples) {
  t.test(command.slice(0, 100), { skip: withoutCurl }, async (t) => {
    const local = command
      .replaceAll('127.0.0.1:8475', cluster.url.slice('http://'.length))
      .replaceAll('127.0.0.1:9475', cluster.node('gpu-1').url.slice('http://'.length));
    const { stdout } = await run('sh', ['-c', local]);
    t.ok(stdout.includes(expected), `${expected} in ${stdout.slice(0, 400)}`);
  });
}
