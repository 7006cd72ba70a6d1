import { randomUUID } from 'node:crypto';
import t from 'tap';
import { faults } from '../../coordinator/catalogue/catalogue.ts';
import { exampleParameters, findFault } from '../../coordinator/catalogue/parameters.ts';
import { createClusterClient } from '../../coordinator/cluster/client.ts';
import { serveNodes } from '../../coordinator/rehearsal/accounts.ts';
import { namespace, startRehearsal } from '../../coordinator/rehearsal/cluster.ts';
import { untilAgentListens } from '../../coordinator/rehearsal/story.ts';
import type { ExperimentAnswer } from '../../coordinator/routes/answers.ts';
import { customResourceDefinitions } from '../../coordinator/store/crds.ts';
import { injectionName } from '../../coordinator/store/store.ts';
import { createScaledClock } from '../../shared/clock.ts';
import { createSilentLog } from '../../shared/log.ts';
import { established } from '../contract/cluster.ts';
import { startControlPlane } from './controlplane/start.ts';
import { until } from './processes.ts';
import { drill, experimentAt, injectionsAt } from './rig.ts';

/**
 * Every channel of the catalogue on a real API server: what is written, and stored, while a drill of each kind goes on
 * and when it ends. Agents, NMA and host engines are the rehearsal's, so that health checks of five minutes fit in here.
 */
type Row = {
  readonly drill: string;
  readonly fault: string;
  readonly parameters?: object;
  readonly body?: object;
  readonly answer: object;
  /** Of the receipt's first surface. */
  readonly surface?: object;
};

const passes = { phase: 'Completed', verdict: 'pass' };
const short = { forSeconds: 390 };

const rows: readonly Row[] = [
  { drill: 'kernel', fault: 'task-blocked', answer: passes },
  { drill: 'journal', fault: 'kubelet-failed', answer: passes },
  { drill: 'file', fault: 'ipamd-not-ready', answer: passes },
  { drill: 'several-lines', fault: 'readiness-probe-failures', answer: passes },
  { drill: 'event', fault: 'xid', parameters: { xid: 31 }, answer: passes },
  { drill: 'condition', fault: 'xid', parameters: { xid: 109 }, answer: passes },
  {
    drill: 'both-surfaces',
    fault: 'xid',
    parameters: { xid: 109, surfaces: ['kernel-log', 'dcgm'] },
    answer: passes,
  },
  { drill: 'cascade', fault: 'cascade', answer: passes },
  {
    drill: 'switch',
    fault: 'sxid',
    body: { expectation: { kind: 'event', type: 'AcceleratedHardwareReady', reason: 'None', within: '20s' } },
    answer: { phase: 'Completed', verdict: 'fail' },
  },
  {
    drill: 'inject-only',
    fault: 'sxid',
    body: { expectation: { detection: 'ignore' } },
    answer: { ...passes, explanation: { code: 'injected' } },
  },
  {
    drill: 'inject-only-sustained',
    fault: 'health-row-remap-limit',
    parameters: short,
    body: { expectation: { detection: 'ignore' } },
    answer: { ...passes, explanation: { code: 'injected' } },
    surface: { outcome: 'injected', sustained: { ended: 'deadline' } },
  },
  { drill: 'field', fault: 'dcgm-field', answer: passes },
  { drill: 'policy', fault: 'page-retirement', answer: passes },
  {
    drill: 'health',
    fault: 'health-pending-retirement',
    parameters: short,
    answer: passes,
    surface: { outcome: 'injected', sustained: { beats: Number, ended: /^(deadline|stopped)$/ } },
  },
  {
    drill: 'watched',
    fault: 'fabric-health',
    answer: passes,
    surface: { sustained: { ended: /^(deadline|stopped)$/ } },
  },
  {
    drill: 'paused',
    fault: 'engine-loss',
    answer: passes,
    surface: { surface: 'host-engine', sustained: { everySeconds: null, ended: /^(deadline|stopped)$/ } },
  },
  {
    drill: 'negative',
    fault: 'xid',
    parameters: { xid: 43 },
    body: { expectation: { none: true, for: '60s' } },
    answer: passes,
  },
];

t.setTimeout(900_000);
const plane = await startControlPlane();
t.teardown(() => plane.stop());
const log = createSilentLog();
const cluster = createClusterClient({
  kubeconfig: { path: plane.kubeconfigPath },
  userAgent: 'xidrill-rehearsal',
  fieldManager: 'xidrill-rehearsal',
  log,
});
await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
for (const definition of customResourceDefinitions()) {
  await cluster.create('customresourcedefinitions', definition);
  await established(cluster, definition.metadata.name);
}
/** Drills that do not come to their own end. */
const cut = ['aborted', 'expired', 'orphaned'];
const rehearsal = await startRehearsal(
  // Nothing of a container's output is kept where no kubelet runs.
  { cluster, appendPodLog: () => undefined },
  {
    rows: [...rows.map((row) => row.drill), ...cut].map((name) => ({ ...serveNodes.gpu, name })),
    clock: createScaledClock({ factor: 15, startAt: Date.now() }),
    random: Math.random,
    newId: randomUUID,
    coordinatorPort: 0,
    firstAgentPort: 0,
    log,
  },
);
t.teardown(() => rehearsal.close());
await rehearsal.installNma({ version: '1.7.2', credentials: 'healthy' });
await Promise.all([...rehearsal.nodes.values()].map(({ url }) => untilAgentListens(url)));

const { url } = rehearsal;
const bodyOf = ({ drill: name, fault, parameters, body }: Omit<Row, 'answer'>) => ({
  name,
  fault: { name: fault, parameters: { ...exampleParameters(findFault(fault)), ...parameters } },
  target: { selector: { names: [name] } },
  ...body,
});

async function statusOf(name: string) {
  return (await injectionsAt(url, name))[0]?.status;
}

const ended = new Map<string, Promise<ExperimentAnswer>>(
  rows.map((row) => [row.drill, drill(url, bodyOf(row)).then(({ body }) => body)]),
);

t.test('aborted while a value is held', async (t) => {
  const { status } = await drill(url, bodyOf({ drill: 'aborted', fault: 'health-pending-retirement' }), {});
  t.equal(status, 202);
  await until('the receipt of the value is stored while it is held', async () => {
    const sustained = (await statusOf('aborted'))?.receipt?.surfaces[0]?.sustained;
    return sustained !== undefined && sustained.ended === undefined;
  });
  t.match(await statusOf('aborted'), { phase: 'Verifying', receipt: { state: 'running', endedAt: null } });
  const answer = await fetch(`${url}/api/v1/experiments/aborted/abort`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  t.equal(answer.status, 202);
  t.match(await experimentAt(url, 'aborted'), { phase: 'Aborted', verdict: 'aborted' });
  t.match(await statusOf('aborted'), { receipt: { surfaces: [{ sustained: { ended: 'stopped' } }] } });
});

t.test(
  'orphaned while an engine is paused: the agent is asked to end it, and the node is free',
  async (t) => {
    const lasting = { fault: 'engine-loss', parameters: { forSeconds: 3600 }, body: { deadline: '3000s' } };
    const { status } = await drill(url, bodyOf({ drill: 'orphaned', ...lasting }), {});
    t.equal(status, 202);
    await until(
      'it is paused',
      async () => (await statusOf('orphaned'))?.receipt?.surfaces[0]?.sustained !== undefined,
    );
    const name = injectionName('orphaned', 'orphaned');
    const key = { name, namespace };
    const kubectl = async (...args: string[]) =>
      t.equal((await plane.kubectl(['-n', namespace, ...args])).stderr, '');
    await kubectl('delete', 'experiment', 'orphaned', '--cascade=orphan', '--wait=false');
    // What the garbage collector does then: it takes the owner from the dependents, and its finalizer from the owner (garbagecollector.go,
    // attemptToOrphanWorker). This control plane runs no controllers.
    await cluster.patch('injections', key, { metadata: { ownerReferences: null } });
    await cluster.patch('experiments', { name: 'orphaned', namespace }, { metadata: { finalizers: null } });
    await until(
      'the experiment is gone',
      async () => (await cluster.read('experiments', { name: 'orphaned', namespace })) === undefined,
    );
    const injection = async () => (await cluster.read('injections', key)) as { status?: object } | undefined;
    await until('it has ended', async () => {
      const { phase } = ((await injection())?.status ?? {}) as { phase?: string };
      return phase === 'Completed' || phase === 'Aborted';
    });
    t.match(await injection(), { status: { verdict: 'aborted' } });
    t.match(
      JSON.stringify(await injection()),
      /"sustained":\{[^}]*"ended":"stopped"/,
      'with the last receipt',
    );
    const metrics = await (await fetch(`${rehearsal.node('orphaned').url}/metrics`)).text();
    t.match(metrics, /^xidrill_running_orders 0$/m, 'nothing goes on at the agent');
    const next = await drill(
      url,
      { ...bodyOf({ drill: 'orphaned', ...lasting }), name: 'orphaned-next' },
      {},
    );
    t.equal(next.status, 202, JSON.stringify(next.body));
    await until('the next drill has the node', async () => {
      return (await statusOf('orphaned-next'))?.receipt?.surfaces[0]?.sustained !== undefined;
    });
    await kubectl('patch', 'experiment', 'orphaned-next', '--type=merge', '-p', '{"spec":{"abort":true}}');
    t.match(await experimentAt(url, 'orphaned-next'), { verdict: 'aborted' });
  },
);

t.test('past its deadline while a value is held', async (t) => {
  // As kubectl would: the API server checks nothing but the schema.
  await cluster.create('experiments', {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    metadata: { name: 'expired', namespace },
    spec: {
      fault: { name: 'health-pending-retirement' },
      target: { selector: { names: ['expired'] } },
      // The shortest that is accepted; the window begins later, when the order was carried out.
      expectation: { within: '30s' },
      deadline: '30s',
    },
  });
  await until('it is known', async () => (await fetch(`${url}/api/v1/experiments/expired`)).ok);
  t.match(await experimentAt(url, 'expired'), { verdict: 'error', explanation: { code: 'deadline-passed' } });
});

for (const row of rows)
  t.test(`${row.fault}: ${row.drill}`, async (t) => {
    const answer = await ended.get(row.drill);
    t.match(answer, row.answer, JSON.stringify(answer));
    const status = await statusOf(row.drill);
    t.match(status, { phase: 'Completed', receipt: { state: /^(ended|running)$/ } });
    if (row.surface !== undefined) t.match(status?.receipt?.surfaces[0], row.surface);
    if (row.drill === 'negative')
      t.ok(
        (status?.links ?? []).filter(({ id, receipt }) => id.startsWith('control-') && receipt !== undefined)
          .length >= 2,
        'controls before and after',
      );
  });

t.test('every kind of channel was drilled', async (t) => {
  const drilled = new Set(rows.map(({ fault }) => findFault(fault).channel.kind));
  t.strictSame(
    [...new Set(faults.map(({ channel }) => channel.kind))].filter((kind) => !drilled.has(kind)),
    [],
  );
});
