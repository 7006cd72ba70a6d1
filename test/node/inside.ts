import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { controlPlaneBinaries } from '../cluster/controlplane/build.ts';
import { root, runTap } from '../suite.ts';
import { clusterVariable, startCluster, writeClusterFile } from './cluster.ts';
import type { NodeSpec } from './node.ts';

/**
 * Starts the cluster and runs the tests on it, in network, mount and process namespaces that run.ts made and that end with
 * this process. Its arguments are what run.ts made as JSON, and test files; none: all.
 */
const [given = '{}', ...asked] = process.argv.slice(2);
const { folder, id, images, binaries, kubeRouter, result } = JSON.parse(given) as Record<
  'folder' | 'id' | 'images' | 'binaries' | 'kubeRouter' | 'result',
  string
>;

/** One that only runs the coordinator, and two with GPUs as far as a label says so. */
const nodes: readonly NodeSpec[] = [
  { name: 'system-1', labels: {} },
  { name: 'gpu-1', labels: { 'nvidia.com/gpu.present': 'true' } },
  { name: 'gpu-2', labels: { 'nvidia.com/gpu.present': 'true' } },
];

const started = performance.now();
const log = (line: string) =>
  process.stdout.write(`  ${Math.round((performance.now() - started) / 1000)} s: ${line}\n`);

// What network namespaces are kept by, in this mount namespace only.
execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'none', '/run']);
const cluster = await startCluster({
  folder: join(folder, 'nodes'),
  binaries,
  kubeRouter,
  images,
  cgroup: id,
  nodes,
  log,
});
log(`${nodes.length} nodes are Ready`);
const file = join(folder, 'cluster.json');
writeClusterFile(file, cluster, (await controlPlaneBinaries()).kubectl);
process.env[clusterVariable] = file;

const all = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'));
const files = asked.length > 0 ? asked : all.map((name) => join('test/node', name));
const counts = await runTap(files, ['--disable-coverage', '--jobs=1', '--timeout=600']);
writeFileSync(result, JSON.stringify(counts));
if (process.env.XIDRILL_NODE_KEEP !== undefined) {
  log(`kept: nsenter -a -t ${process.pid}; ${file} in ${root}`);
  await new Promise(() => setInterval(() => {}, 1000));
}
await cluster.stop();
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);
