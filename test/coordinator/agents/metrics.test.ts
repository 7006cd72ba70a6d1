import { Registry } from 'prom-client';
import t from 'tap';
import { registerAgentsUp } from '../../../coordinator/agents/metrics.ts';
import { createManualClock } from '../../manual-clock.ts';

function rig(nodes: readonly string[]) {
  const clock = createManualClock();
  const registry = new Registry();
  const asked: { node: string; answer: (isUp: boolean) => void }[] = [];
  const isUp = (node: string) =>
    new Promise<boolean>((answer) => {
      asked.push({ node, answer });
    });
  registerAgentsUp(registry, { agents: { isUp }, nodes: () => nodes, clock });
  const scrape = async () => /^xidrill_agents_up (\S+)$/m.exec(await registry.metrics())?.[1];
  const turns = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, asked, scrape, turns };
}

t.test('the first scrape waits for the answers, of at most 16 agents at once', async (t) => {
  const { asked, scrape, turns } = rig(Array.from({ length: 40 }, (_, index) => `node-${index}`));
  const first = scrape();
  await turns();
  t.equal(asked.length, 16);
  for (let index = 0; index < 40; index += 1) {
    asked[index]?.answer(index % 2 === 0);
    await turns();
  }
  t.equal(asked.length, 40);
  t.equal(await first, '20');
});

t.test('agents are asked once a minute, however often it is scraped', async (t) => {
  const { clock, asked, scrape, turns } = rig(['a']);
  const first = scrape();
  await turns();
  asked[0]?.answer(true);
  t.equal(await first, '1');
  t.equal(await scrape(), '1');
  t.equal(asked.length, 1);
  await clock.advance(60_000);
  t.equal(await scrape(), '1', 'the last known, while it is asked again');
  t.equal(asked.length, 2);
  asked[1]?.answer(false);
  await turns();
  t.equal(await scrape(), '0');
});

t.test('what nobody has answered so far is not 0', async (t) => {
  const { clock, scrape, turns } = rig(['a']);
  const first = scrape();
  await turns();
  await clock.advance(2_000);
  t.equal(await first, 'Nan');
});
