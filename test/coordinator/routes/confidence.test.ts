import t from 'tap';
import type { Agents } from '../../../coordinator/agents/port.ts';
import type { Confidence } from '../../../coordinator/catalogue/confidence.ts';
import type { PlanPreview } from '../../../coordinator/preview/schema.ts';
import {
  cpuNode,
  gpuNode,
  httpAgents,
  type Json,
  only,
  type Rest,
  startCoordinator,
  startRig,
} from '../rig.ts';

type Shown = { readonly confidence: Confidence | null };

/** The confidence of a drill wherever it is shown: before it in the dry run, then as it is stored and answered. */
async function shownBy(rest: Rest, name: string, body: object) {
  const dry = await rest.ask<{ targets: readonly PlanPreview[] }>(
    'POST',
    '/api/v1/experiments?dryRun=All',
    body,
  );
  const before = dry.body.targets[0]?.confidence;
  const answer = await rest.drill({ name, ...body });
  const [stored] = await rest.injections(name);
  return { before, answered: answer.injections[0]?.confidence, stored: stored?.status?.confidence };
}

t.test('N5: one confidence in dry run, preflight and the stored drill', async (t) => {
  const rig = await startRig(t, {
    rows: [gpuNode('sure'), gpuNode('harmless'), gpuNode('alone'), cpuNode('unread')],
    // Slow, so that a busy machine does not age a heartbeat between two of the answers.
    factor: 15,
  });
  const drills = [
    ['sure', { fault: { name: 'xid', parameters: { xid: 79 } } }, 'high', /version 1\.6\.4/],
    [
      'harmless',
      { fault: { name: 'xid', parameters: { xid: 43 } }, expectation: { none: true, for: '90s' } },
      'high',
      /./,
    ],
    [
      'alone',
      { fault: { name: 'xid', parameters: { xid: 79 } }, expectation: { detection: 'ignore' } },
      'high',
      /only the injection is judged/,
    ],
    // What the first one left behind hides the next reaction.
    ['sure', { fault: { name: 'xid', parameters: { xid: 109 } } }, 'low', /^already-false: /],
    // A drill that is refused keeps it too: the refusal says the rest.
    ['sure', { fault: { name: 'xid', parameters: { xid: 109 } } }, 'high', /./],
  ] as const;
  for (const [at, [node, body, level, because]] of drills.entries()) {
    const asked = encodeURIComponent(JSON.stringify(body.fault.parameters));
    const preflight = await rig.rest.ask<Shown>(
      'GET',
      `/api/v1/nodes/${node}/preflight?fault=${body.fault.name}&parameters=${asked}`,
    );
    const { before, answered, stored } = await shownBy(rig.rest, `drill-${at}`, {
      ...body,
      target: only(node),
    });
    t.match(before, { level }, `${node}: ${JSON.stringify(before)}`);
    t.match(before?.because.join('; '), because, node);
    t.strictSame(answered, before, `${node}: answered as it was planned`);
    t.strictSame(stored, before, `${node}: stored as it was planned`);
    // A preflight has no expectation of its own.
    if (!('expectation' in body))
      t.strictSame(preflight.body.confidence, before, `${node}: the same preflight`);
  }
  const bare = await rig.rest.ask<Shown>('GET', '/api/v1/nodes/sure/preflight');
  t.equal(bare.body.confidence, null, 'without a fault there is nothing to be sure of');

  await t.test('doubts are stored as they were shown', async (t) => {
    const all = httpAgents(rig);
    const silent: Agents = {
      ...all,
      inventory: async () => {
        throw new Error('no answer');
      },
    };
    await rig.cluster.create('namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'silent' },
    } as Json & { apiVersion: string; kind: string; metadata: { name: string } });
    const { rest } = await startCoordinator(t, rig, { namespace: 'silent', agents: silent });
    const { before, answered, stored } = await shownBy(rest, 'doubted', {
      fault: { name: 'conntrack-full' },
      target: only('unread'),
    });
    t.match(before, { level: 'medium', because: [/could not be read: no answer/] });
    t.strictSame(answered, before);
    t.strictSame(stored, before);
  });
});
