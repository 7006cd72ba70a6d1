import t from 'tap';
import { inventoryFrom } from '../../../coordinator/agents/inventory.ts';
import { engine, inventory } from '../diagnosis/builder.ts';

const read = (answer: unknown) => inventoryFrom(answer, 'the agent of n1');

t.test('an agent of another version is understood', (t) => {
  const ours = inventory();
  t.same(read(ours), ours);
  const [gpu] = ours.gpus;
  const [host] = ours.engines;
  const newer = {
    ...ours,
    gpus: [{ ...gpu, fabric: 'up' }],
    engines: [{ ...host, modules: ['policy'], nma: { ...host?.nma, since: 'now' } }],
    capabilities: [...ours.capabilities, { name: 'nvswitch', available: true }],
    logFiles: [...ours.logFiles, { path: '/var/log/new', state: 'rotated' }],
    switches: [],
  };
  t.same(read(newer), ours, 'what only a newer one knows is left out');
  const { unreadableGpus: _, ...older } = engine({ unreadableGpus: [] });
  t.same(read({ ...ours, engines: [older] }), ours, 'what an older one does not know is absent');
  t.end();
});

t.test('half an inventory is none: it would prove that something is missing', (t) => {
  const ours = inventory();
  const rows: readonly (readonly [answer: unknown, because: RegExp])[] = [
    [null, /the agent of n1 answered GetInventory in a form that this coordinator cannot read/],
    ['hello', /cannot read/],
    [[], /cannot read/],
    [{}, /cannot read/],
    [{ ...ours, engines: undefined }, /cannot read/],
    [{ ...ours, engines: [{ pid: 7 }] }, /cannot read: \/engines\/0/],
    [{ ...ours, engines: [engine(), null] }, /cannot read: \/engines\/1/],
    [{ ...ours, gpus: {} }, /cannot read: \/gpus/],
  ];
  for (const [answer, message] of rows)
    t.throws(
      () => read(answer),
      { reason: 'agent_unreachable', message },
      JSON.stringify(answer)?.slice(0, 40),
    );
  t.end();
});
