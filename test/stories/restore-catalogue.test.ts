import { randomUUID } from 'node:crypto';
import t from 'tap';
import { faults } from '../../coordinator/catalogue/catalogue.ts';
import { channelOf } from '../../coordinator/catalogue/channels.ts';
import { findNmaVersion } from '../../coordinator/catalogue/nma/versions.ts';
import { exampleParameters, findFault, resolveParameters } from '../../coordinator/catalogue/parameters.ts';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { untilAgentListens } from '../../coordinator/rehearsal/story.ts';
import { conditionsOf } from '../../coordinator/view/node.ts';
import { createSilentLog } from '../../shared/log.ts';
import { createRest } from '../coordinator/rig.ts';
import { closeUntouched } from '../coordinator/untouched.ts';
import { afterNextJump, createJumpingClock } from '../jumping-clock.ts';

/** Every fault of the catalogue that leaves a condition or something in the host engine is taken back, and stays gone. */

const version = '1.7.2';
const nma = findNmaVersion(version).row;
/** No drill on a node with an NVIDIA GPU can be expected to pass by itself (test/stories/catalogue.test.ts). */
const notHere = ['sxid', 'kernel-message', 'neuron-error'];
const onBlackwell = ['health-nvlink-recovered', 'health-nvlink-not-recovered'];

/** What a fault shows, the conditions as well that come minutes after its event. */
function conditionsFrom(name: string): readonly string[] {
  const row = findFault(name);
  const parameters = resolveParameters(row, exampleParameters(row), 'marker');
  const work = { channel: row.channel, parameters, gpu: undefined, marker: 'marker' };
  const gpuName = onBlackwell.includes(name) ? 'NVIDIA B200' : serveNodes.gpu.gpu.name;
  return channelOf(row.channel)
    .reactions(work, { nma, engineVersion: nma.engineVersion, gpuName })
    .flatMap(({ reaction }) => (reaction.appearsAs === 'condition' ? [reaction.conditionType] : []));
}

const latching = faults
  .map(({ name }) => name)
  .filter((name) => !notHere.includes(name) && conditionsFrom(name).length > 0);

const nodeOf = (fault: string) => `node-${fault}`;
const clock = createJumpingClock(Date.now());
const cluster = await startRehearsalCluster({
  rows: latching.map((name) => ({
    ...serveNodes.gpu,
    name: nodeOf(name),
    gpu: { ...serveNodes.gpu.gpu, ...(onBlackwell.includes(name) ? { name: 'NVIDIA B200' } : {}) },
    labels: { 'xidrill.dev/drill': 'allowed' },
  })),
  clock,
  random: Math.random,
  newId: randomUUID,
  coordinatorPort: 0,
  firstAgentPort: 0,
  log: createSilentLog(),
});
const untouched = closeUntouched(t, cluster);
await cluster.installNma({ version, credentials: 'healthy' });
await Promise.all(latching.map((name) => untilAgentListens(cluster.node(nodeOf(name)).url, afterNextJump)));
await untouched.remember();
const rest = createRest(cluster.url);

const answers = await Promise.all(
  latching.map(async (name) => {
    const fault = { name, parameters: exampleParameters(findFault(name)) };
    const target = { selector: { names: [nodeOf(name)] } };
    return [name, await rest.drill({ name: `drill-${name}`, fault, target, restore: 'auto' })] as const;
  }),
);
// A health check and a report after the restore has ended.
await clock.sleep(7 * 60_000);

t.test('every fault that latches is restored, and seven minutes later it is still so', async (t) => {
  t.ok(latching.length > 15, `${latching.length} faults latch`);
  for (const [name, answer] of answers) {
    t.match(
      answer,
      { verdict: 'pass', restore: { state: 'restored' } },
      `${name}: ${answer.explanation?.code}: ${answer.explanation?.summary}`,
    );
    const node = await cluster.cluster.read('nodes', { name: nodeOf(name) });
    const conditions = node === undefined ? [] : conditionsOf(node);
    for (const type of conditionsFrom(name)) {
      const found = conditions.find((one) => one.type === type);
      t.match(found, { status: 'True' }, `${name}: ${type} ${found?.reason}`);
    }
  }
});
