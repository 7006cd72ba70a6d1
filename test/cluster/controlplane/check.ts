import { controlPlaneBinaries } from './build.ts';
import { startControlPlane } from './start.ts';

const log = (line: string) => console.log(`  ${line}`);

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  console.log(what);
  const started = performance.now();
  const result = await work();
  console.log(`${what}: ${((performance.now() - started) / 1000).toFixed(2)} s`);
  return result;
}

await timed('build', () => controlPlaneBinaries({ log }));
const controlPlane = await timed('start', () => startControlPlane({ log }));
try {
  for (const args of [['version'], ['get', 'ns']]) {
    const name = `kubectl ${args.join(' ')}`;
    const { exitCode, stdout, stderr } = await timed(name, () => controlPlane.kubectl(args));
    process.stdout.write(`${stdout}${stderr}`);
    if (exitCode !== 0) throw new Error(`${name} failed (exit ${exitCode})`);
  }
  await timed('stop the API server', () => controlPlane.stopApiserver());
  await timed('start the API server', () => controlPlane.startApiserver());
} finally {
  await timed('stop', () => controlPlane.stop());
}
