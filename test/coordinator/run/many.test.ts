import t from 'tap';
import { cpuNode, startRig } from '../rig.ts';

t.test('more nodes than are begun at a time: who only waits keeps nobody from being begun', async (t) => {
  const names = Array.from({ length: 66 }, (_, index) => `n${index}`);
  const { rest } = await startRig(t, { rows: names.map((name) => cpuNode(name)) });
  await rest.drill({
    name: 'many',
    fault: { name: 'conntrack-full' },
    target: { selector: { names }, mode: 'all' },
    expectation: { message: 'never', within: '10m' },
  });
  const injections = await rest.injections('many');
  t.equal(injections.length, 66);
  const millis = (times: readonly (string | null | undefined)[]) =>
    times.map((time) => Date.parse(time ?? ''));
  const accepted = millis(injections.map(({ status }) => status?.receipt?.acceptedAt));
  const ended = millis(injections.map(({ status }) => status?.endedAt));
  t.ok(Math.max(...accepted) < Math.min(...ended), 'all are injected before one has ended');
});
