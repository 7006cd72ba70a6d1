import { randomUUID } from 'node:crypto';
import t from 'tap';
import { faults } from '../../coordinator/catalogue/catalogue.ts';
import { exampleParameters, findFault } from '../../coordinator/catalogue/parameters.ts';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { startRehearsalCluster } from '../../coordinator/rehearsal/cluster.ts';
import { untilAgentListens } from '../../coordinator/rehearsal/story.ts';
import { createScaledClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { closeUntouched } from '../coordinator/untouched.ts';

/** Faults that no drill on a node with an NVIDIA GPU can be expected to pass by itself. */
const notHere: Readonly<Record<string, string>> = {
  sxid: 'no version of the monitoring agent reads it, so that the caller has to say what is expected',
  'kernel-message': 'the caller has to say what is expected',
  'neuron-error': 'only nodes with a Neuron accelerator react',
};

const rows = faults.filter(({ name }) => notHere[name] === undefined);
const nodeOf = (fault: string) => `node-${fault}`;

/** Checks that came with Blackwell. */
const onBlackwell = ['health-nvlink-recovered', 'health-nvlink-not-recovered'];

function gpuFor(fault: string) {
  const { gpu } = serveNodes.gpu;
  return onBlackwell.includes(fault) ? { ...gpu, name: 'NVIDIA B200' } : gpu;
}

/** A node for each name: conditions latch, and a second fault on one node would find them False. */
async function start(names: readonly string[], version: string) {
  const started = await startRehearsalCluster({
    rows: names.map((name) => ({ ...serveNodes.gpu, name: nodeOf(name), gpu: gpuFor(name) })),
    // Not one that jumps: forty nodes with timers of their own make jumps of milliseconds, each with a look at all connections.
    clock: createScaledClock({ factor: 30, startAt: Date.now() }),
    random: Math.random,
    newId: randomUUID,
    coordinatorPort: 0,
    firstAgentPort: 0,
    log: createSilentLog(),
  });
  const untouched = closeUntouched(t, started);
  await started.installNma({ version, credentials: 'healthy' });
  await Promise.all(names.map((name) => untilAgentListens(started.node(nodeOf(name)).url)));
  await untouched.remember();
  return started;
}

const cluster = await start(
  rows.map(({ name }) => name),
  '1.7.2',
);

type Drilled = { readonly name: string; readonly parameters?: object };

async function drill(
  { name, parameters = exampleParameters(findFault(name)) }: Drilled,
  { node = nodeOf(name), on = cluster }: { node?: string; on?: typeof cluster } = {},
): Promise<Record<string, unknown>> {
  const response = await fetch(`${on.url}/api/v1/experiments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=240' },
    body: JSON.stringify({ fault: { name, parameters }, target: { selector: { names: [node] } } }),
  });
  return (await response.json()) as Record<string, unknown>;
}

const answers = await Promise.all(rows.map(async ({ name }) => ({ name, answer: await drill({ name }) })));

t.test('every fault of the catalogue passes where everything is right', async (t) => {
  t.same(
    Object.keys(notHere).filter((name) => faults.every((row) => row.name !== name)),
    [],
    'what is left out exists',
  );
  for (const { name, answer } of answers) t.match(answer, { verdict: 'pass' }, name);
});

t.test('a Neuron fault on a node with a GPU: the monitor was never registered', async (t) => {
  const answer = await drill({ name: 'neuron-error' }, { node: nodeOf('task-blocked') });
  t.match(answer, {
    verdict: 'fail',
    explanation: {
      code: 'monitor-not-registered',
      summary: /NvidiaGPUIsReady.*nothing shows a Neuron device/,
      remedy: /inf\* or trn\*/,
    },
  });
});

t.test('what only a health check of an older version sees is kept up until it comes', async (t) => {
  // Its own reading of the fabric fields came with 1.6.6 (nma.md §7).
  const older = await start(['fabric-manager', 'fabric-health', 'dcgm-field'], '1.6.4');
  const drills: readonly Drilled[] = [
    { name: 'fabric-manager' },
    { name: 'fabric-health' },
    { name: 'dcgm-field', parameters: { field: 311, value: 1 } },
  ];
  const found = await Promise.all(drills.map((one) => drill(one, { on: older })));
  for (const [index, answer] of found.entries())
    t.match(answer, { verdict: 'pass' }, String(drills[index]?.name));
});
