import { Gauge, type Registry } from 'prom-client';
import type { Agents } from './port.ts';

/** Asked at each scrape, so that it is never older than the answer that it stands in. */
export function registerAgentsUp(registry: Registry, agents: Agents, nodes: () => readonly string[]): void {
  const up = new Gauge({
    name: 'xidrill_agents_up',
    help: 'Agents that answer, among the nodes that may be drilled',
    registers: [registry],
    async collect() {
      const answers = await Promise.all(nodes().map((node) => agents.isUp(node)));
      up.set(answers.filter((isUp) => isUp).length);
    },
  });
}
