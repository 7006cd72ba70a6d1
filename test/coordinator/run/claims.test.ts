import t from 'tap';
import { type LinkRow, links } from '../../../coordinator/drill/links.ts';
import { cpuNode, only, startCoordinator, startRig } from '../rig.ts';

/** Reached by the one new Node that there is, unless that stands for another drilled node. */
const spare: LinkRow = {
  name: 'spare',
  title: 'a spare node is there',
  phase: 'Verifying',
  by: 'watch',
  onRequest: true,
  endsWithNode: true,
  plan: ({ asked }) =>
    asked.then?.some(({ link }) => link === 'spare') === true
      ? [{ id: 'spare', expected: 'a spare node' }]
      : [],
  find(_link, _seen, { claimed, isDue, at }) {
    if (claimed.has('uid-1')) return isDue ? { state: 'missed', because: 'it is taken' } : undefined;
    const source = 'nodes/spare';
    const entry = {
      at,
      clock: 'coordinator',
      kind: 'node',
      source,
      text: 'a spare node',
      match: true,
    } as const;
    return { state: 'reached', match: { entry, source, how: 'new' }, claims: 'uid-1' };
  },
};

t.test('a new node stands for one drilled node, whichever coordinator found it', async (t) => {
  const rig = await startRig(t, { rows: ['a', 'b', 'c'].map((name) => cpuNode(name)) });
  const namespace = 'drills';
  await rig.cluster.create('namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: namespace },
  });
  const more = { namespace, links: [...links, spare] };
  const body = (node: string) => ({
    name: node,
    fault: { name: 'task-blocked' },
    target: only(node),
    expectation: { then: [{ link: 'spare', within: '1m' }] },
  });
  const first = await startCoordinator(t, rig, { identity: 'first', ...more });
  t.match(await first.rest.drill(body('a')), { verdict: 'pass' });
  t.match(await first.rest.drill(body('b')), { verdict: 'fail' }, 'it found the node itself');
  await first.kill();
  const second = await startCoordinator(t, rig, { identity: 'second', ...more });
  t.match(await second.rest.drill(body('c')), { verdict: 'fail' }, 'the one before it found the node');
  const [injection] = await second.rest.injections('c');
  t.match(injection?.links.at(-1), { id: 'spare', state: 'missed', because: 'it is taken' });
});
