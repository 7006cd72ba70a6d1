import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import {
  cpuNode,
  httpAgents,
  only,
  type Rig,
  recordsWith,
  startCoordinator,
  startRig,
  until,
} from '../rig.ts';

/** Two coordinators of one namespace, with leases that are short on a fast clock. */
async function place(rig: Rig, namespace: string) {
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  return {
    namespace,
    holder: () =>
      (
        rig.apiServer.store.read('leases', { namespace, name: 'xidrill-coordinator' })?.spec as
          | { holderIdentity?: string }
          | undefined
      )?.holderIdentity,
    injection: () =>
      rig.apiServer.store.list('injections').find(({ metadata }) => metadata.namespace === namespace) as
        | { status?: { phase?: string; receipt?: object } }
        | undefined,
  };
}

t.test('a coordinator dies, and another one goes on', async (t) => {
  const nodes = ['selected', 'before', 'after', 'verifying', 'passed', 'silent', 'pair', 'handed'];
  const rig = await startRig(t, { rows: nodes.map((name) => cpuNode(name)) });
  const real = httpAgents(rig);
  const body = (node: string, more: object = {}) => ({
    name: 'drill',
    fault: { name: 'task-blocked' },
    target: only(node),
    ...more,
  });

  type Stage = {
    readonly node: string;
    readonly name: string;
    readonly first: (reached: () => void) => { readonly agents?: Agents; readonly cluster?: Cluster };
    readonly phase: string | undefined;
    readonly records: number;
  };
  /** An answer that does not come. */
  const untilAborted = (signal: AbortSignal | undefined) =>
    new Promise<never>((_resolve, reject) => {
      if (signal?.aborted === true) reject(signal.reason);
      else signal?.addEventListener('abort', () => reject(signal.reason));
    });
  const stages: readonly Stage[] = [
    {
      node: 'selected',
      name: 'while it is prepared',
      first: (reached) => ({
        agents: {
          ...real,
          inventory: async (_node, signal) => {
            reached();
            return untilAborted(signal);
          },
        },
      }),
      phase: undefined,
      records: 0,
    },
    {
      node: 'before',
      name: 'before the order arrives',
      first: (reached) => ({
        agents: {
          ...real,
          order: async (_node, _order, signal) => {
            reached();
            return untilAborted(signal);
          },
        },
      }),
      phase: 'Injecting',
      records: 0,
    },
    {
      node: 'after',
      name: 'after the order was carried out and before that was written down',
      first: (reached) => ({
        agents: {
          ...real,
          order: async (node, order, signal) => {
            await real.order(node, order, signal);
            reached();
            return untilAborted(signal);
          },
        },
      }),
      phase: 'Injecting',
      records: 1,
    },
  ];
  for (const stage of stages)
    await t.test(stage.name, async (t) => {
      const { namespace, injection } = await place(rig, stage.node);
      let isReached = false;
      const given = stage.first(() => {
        isReached = true;
      });
      const first = await startCoordinator(t, rig, {
        namespace,
        leaseSeconds: 30,
        identity: 'first',
        ...given,
      });
      await first.rest.create(body(stage.node));
      await until(t, 'it got there', () => isReached);
      await first.kill();
      const phase = injection()?.status?.phase;
      if (stage.phase !== undefined) t.equal(phase, stage.phase);
      else t.ok(phase === undefined || phase === 'Injecting', String(phase));
      t.equal(recordsWith(rig, stage.node, 'blocked'), stage.records);
      const second = await startCoordinator(t, rig, { namespace, leaseSeconds: 30, identity: 'second' });
      t.match(await second.rest.ended('drill'), {
        phase: 'Completed',
        verdict: 'pass',
        explanation: { code: 'reacted' },
      });
      t.equal(recordsWith(rig, stage.node, 'blocked'), 1, 'exactly one record in the kernel log');
      t.equal((await second.rest.injections('drill')).length, 1);
    });

  await t.test('while the reaction is awaited, and it comes when nobody looks', async (t) => {
    const { namespace, injection } = await place(rig, 'verifying');
    await rig.node('verifying').stopNma();
    const first = await startCoordinator(t, rig, { namespace, leaseSeconds: 30, identity: 'first' });
    await first.rest.create({
      ...body('verifying'),
      fault: { name: 'conntrack-full' },
      expectation: { within: '30m' },
    });
    await until(t, 'it waits', () => injection()?.status?.phase === 'Verifying');
    await first.kill();
    await rig.cluster.create('events', {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'verifying.1', namespace: 'default' },
      involvedObject: { kind: 'Node', name: 'verifying', apiVersion: 'v1' },
      type: 'Warning',
      reason: 'KernelReady',
      message: 'ConntrackExceededKernel: Connection tracking exceeded the maximum for the kernel',
      count: 1,
      source: { component: 'eks-node-monitoring-agent' },
    });
    const second = await startCoordinator(t, rig, { namespace, leaseSeconds: 30, identity: 'second' });
    t.match(await second.rest.ended('drill'), {
      verdict: 'pass',
      latency: { to: /when the coordinator looked/ },
    });
    t.equal(recordsWith(rig, 'verifying', 'conntrack'), 1);
    const [ended] = await second.rest.injections('drill');
    t.ok(
      ended?.status?.timeline?.some(({ kind, text }) => kind === 'gap' && text.includes('started again')),
      'that nobody looked is told',
    );
  });

  await t.test('silence that nobody watched in full proves nothing', async (t) => {
    const { namespace, injection } = await place(rig, 'silent');
    const first = await startCoordinator(t, rig, { namespace, leaseSeconds: 30, identity: 'first' });
    await first.rest.create(body('silent', { expectation: { message: 'never', within: '60s' } }));
    await until(t, 'it waits', () => injection()?.status?.phase === 'Verifying');
    await first.kill();
    const second = await startCoordinator(t, rig, { namespace, leaseSeconds: 30, identity: 'second' });
    const answer = await second.rest.ended('drill');
    t.match(answer, { verdict: 'inconclusive' });
    t.equal(recordsWith(rig, 'silent', 'blocked'), 1);
  });

  await t.test('two at the same time: one works, both answer', async (t) => {
    const { namespace, holder } = await place(rig, 'pair');
    const orders: string[] = [];
    const agentsOf = (who: string): Agents => ({
      ...real,
      order: (node, order, signal) => {
        orders.push(who);
        return real.order(node, order, signal);
      },
    });
    const one = await startCoordinator(t, rig, {
      namespace,
      leaseSeconds: 600,
      identity: 'one',
      agents: agentsOf('one'),
    });
    const two = await startCoordinator(t, rig, {
      namespace,
      leaseSeconds: 600,
      identity: 'two',
      agents: agentsOf('two'),
    });
    await until(t, 'one of them leads', () => holder() !== undefined);
    const leader = holder() ?? '';
    const other = leader === 'one' ? two : one;
    await other.rest.create(body('pair'));
    const [ended, seen] = await Promise.all([one.rest.ended('drill'), two.rest.ended('drill')]);
    t.match(ended, { verdict: 'pass' });
    t.strictSame(seen, ended, 'the same answer from both');
    t.strictSame(orders, [leader], 'one order, by the one that holds the lease');
    t.equal(recordsWith(rig, 'pair', 'blocked'), 1);
  });

  await t.test('a coordinator that is told to stop hands over at once', async (t) => {
    const { namespace, holder, injection } = await place(rig, 'handed');
    const options = { namespace, leaseSeconds: 120 };
    const first = await startCoordinator(t, rig, { ...options, identity: 'first' });
    await first.rest.create(body('handed', { expectation: { message: 'never', within: '20m' } }));
    await until(t, 'it waits', () => injection()?.status?.phase === 'Verifying');
    const second = await startCoordinator(t, rig, { ...options, identity: 'second' });
    await first.stop();
    await until(t, 'the second leads', () => holder() === 'second');
    await second.rest.ask('POST', '/api/v1/experiments/drill/abort');
    t.match(await second.rest.ended('drill'), {
      phase: 'Aborted',
      explanation: { summary: /after the injection/ },
    });
    t.equal(recordsWith(rig, 'handed', 'blocked'), 1);
  });
});
