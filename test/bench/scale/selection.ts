import type { Cluster } from '../../../coordinator/cluster/port.ts';
import type { Row } from '../rows.ts';
import { eventLoopDelay } from './coordinator.ts';
import type { DrillDeps } from './drill.ts';
import { namespace } from './objects.ts';
import { cpuSeconds } from './processes.ts';

const name = 'bench-selection';
/** How long the selection may take before the bench gives up. */
const patienceMs = 120_000;

/**
 * Selection and plan of every node, twice as each experiment has it: before the POST is answered, and by the runner
 * before the selected nodes are stored. The experiment is deleted as soon as they are.
 */
export async function measureSelection(
  deps: Pick<DrillDeps, 'url' | 'observer' | 'pids'> & { readonly cluster: Cluster; readonly nodes: number },
): Promise<readonly Row[]> {
  const { url, observer, cluster, nodes, pids } = deps;
  await eventLoopDelay(url);
  observer.begin(name);
  const cpuBefore = cpuSeconds(pids.coordinator);
  const startedAt = performance.now();
  const response = await fetch(`${url}/api/v1/experiments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name, fault: { name: 'xid', parameters: { xid: 31 } }, target: { mode: 'all' } }),
  });
  const answeredAt = performance.now();
  if (!response.ok) throw new Error(`POST of ${name}: HTTP ${response.status} ${await response.text()}`);
  const until = startedAt + patienceMs;
  while (observer.observed().selectedAt === undefined) {
    if (performance.now() > until) throw new Error(`${name} had selected no nodes after ${patienceMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const selectedAt = observer.observed().selectedAt ?? Number.NaN;
  const cpu = cpuSeconds(pids.coordinator) - cpuBefore;
  await cluster.remove('experiments', { namespace, name });
  const loop = await eventLoopDelay(url);
  const title = `selection and plan of ${nodes} nodes`;
  return [
    { name: `${title}: POST → 202`, value: answeredAt - startedAt, unit: 'ms' },
    {
      name: `${title}: POST → selected nodes stored`,
      value: selectedAt - startedAt,
      unit: 'ms',
      ...(nodes === 5000 && { target: { below: 1500 } }),
    },
    { name: `${title}: processor time, coordinator`, value: cpu, unit: 's' },
    {
      name: `${title}: event loop delay, longest`,
      value: loop.max,
      unit: 'ms',
      ...(nodes === 5000 && { target: { atMost: 50 } }),
    },
    { name: `${title}: event loop delay, p99`, value: loop.p99, unit: 'ms' },
  ];
}
