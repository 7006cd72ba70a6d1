import { Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../shared/clock.ts';
import type { Agents } from './port.ts';

/** Each question is a TLS handshake: asked all at once, 5,000 agents blocked the process for seconds at every scrape. */
const parallel = 16;
/** Scrapes come every 15 s or so from each Prometheus; agents are asked once a minute for all of them. */
const freshMs = 60_000;
/** How long the first scrape waits for an answer; after that it is NaN, not known yet. */
const patienceMs = 2_000;

/**
 * The gauge `xidrill_agents_up`. A scrape gets the result of the last round, which is at most a minute and the time of a
 * round old, and begins a new one where it is older; only the first scrape waits, for 2 s of the clock.
 */
export function registerAgentsUp(
  registry: Registry,
  deps: {
    readonly agents: Pick<Agents, 'isUp'>;
    /** Names of the nodes that may be drilled. */
    readonly nodes: () => readonly string[];
    readonly clock: Clock;
  },
): void {
  const { agents, nodes, clock } = deps;
  let known = Number.NaN;
  let startedAt: number | undefined;
  let round: Promise<void> | undefined;

  async function ask(): Promise<void> {
    const left = [...nodes()];
    let count = 0;
    const worker = async () => {
      for (let node = left.pop(); node !== undefined; node = left.pop())
        if (await agents.isUp(node)) count += 1;
    };
    await Promise.all(Array.from({ length: parallel }, worker));
    known = count;
  }

  const up = new Gauge({
    name: 'xidrill_agents_up',
    help: 'Agents that answered when they were last asked, once a minute, among the nodes that may be drilled',
    registers: [registry],
    async collect() {
      const isOld = startedAt === undefined || clock.elapsed() - startedAt >= freshMs;
      if (isOld && round === undefined) {
        startedAt = clock.elapsed();
        round = ask().finally(() => {
          round = undefined;
        });
      }
      if (Number.isNaN(known) && round !== undefined) {
        const over = new AbortController();
        await Promise.race([round, clock.sleep(patienceMs, over.signal).catch(() => undefined)]);
        over.abort();
      }
      up.set(known);
    },
  });
}
