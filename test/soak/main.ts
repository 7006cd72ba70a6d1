import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { configOrExit } from '../../shared/program.ts';
import { report } from '../suite.ts';
import { audit } from './audit.ts';
import { createChance } from './chance.ts';
import { makeChaos, setKillSwitch } from './chaos.ts';
import { drillInCalm, runDrills } from './drills.ts';
import { createFindings } from './findings.ts';
import { giveOrders } from './orders.ts';
import { startWorld } from './world.ts';

/**
 * `npm run soak -- --minutes 10 --seed 7`: real agents and coordinators under work while everything around them goes wrong.
 * The seed fixes what is done and in which order, not when. Exit code 0: nothing was found.
 */
const config = configOrExit('npm run soak --', {
  minutes: {
    kind: 'number',
    value: 'N',
    default: 10,
    check: (text) => (Number(text) > 0 && Number(text) <= 1440 ? undefined : 'above 0, to 1440'),
    help: 'how long work and chaos go on; the check of what must hold comes after it',
  },
  seed: {
    kind: 'number',
    value: 'N',
    default: Math.floor(Date.now() / 1000) % 1_000_000,
    check: (text) =>
      Number.isInteger(Number(text)) && Number(text) >= 0 ? undefined : 'a whole number from 0',
    help: 'of all choices; default: another one each time',
  },
  logs: {
    kind: 'text',
    value: 'DIR',
    help: 'where the logs of the programs are written, at level debug; absent: nowhere',
  },
  verbose: { kind: 'switch', help: 'print each thing that is done' },
});

const { minutes, seed } = config;
const inside = 'XIDRILL_SOAK_INSIDE';
if (process.env[inside] !== '1') process.exit(runInside());
await soak();

/** In process and mount namespaces of its own: its agents see no other engines, and nothing outlives it. */
function runInside(): number {
  if (process.getuid?.() !== 0) {
    process.stdout.write(
      'skipped: npm run soak needs root: it mounts a file system and starts process namespaces\n',
    );
    report({ passed: 0, failed: 0, skipped: 1 });
    return 0;
  }
  // The shell is the first process of the namespace, and buries what its programs leave behind.
  const script = '"$@"; exit $?';
  const self = fileURLToPath(import.meta.url);
  const args = [...process.execArgv, self, '--minutes', String(minutes), '--seed', String(seed)];
  const done = spawnSync(
    'unshare',
    [
      ...['--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script, 'soak'],
      ...[
        process.execPath,
        ...args,
        ...(config.logs === undefined ? [] : ['--logs', config.logs]),
        ...(config.verbose ? ['--verbose'] : []),
      ],
    ],
    { stdio: 'inherit', env: { ...process.env, [inside]: '1' } },
  );
  return done.status ?? 1;
}

async function soak(): Promise<void> {
  const tell = (line: string) => {
    if (config.verbose || line.startsWith('VIOLATION'))
      process.stdout.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`);
  };
  const findings = createFindings(tell);
  // Records of an earlier run may still be in the ring.
  const mark = `soak-${seed}-${Date.now().toString(36)}`;
  const world = await startWorld(mark, config.logs);
  const ending = AbortSignal.timeout(minutes * 60_000);
  // Whether memory is flat shows only on programs that live for a while.
  const sparing = AbortSignal.timeout((minutes * 60_000) / 3);
  const stream = (name: string) => ({ chance: createChance(seed, name), mark, signal: ending });
  const [orders, drills] = await Promise.all([
    giveOrders(world, findings, stream('orders')),
    runDrills(world, findings, { ...stream('drills'), mark: `d${mark}` }),
    makeChaos(world, findings, { chance: createChance(seed, 'chaos'), signal: ending, sparing, tell }),
  ]);
  tell('calm');
  for (const part of ['agent', 'coordinators'] as const) world.setClock(part, 0);
  await setKillSwitch(world, false);
  const inCalm = await drillInCalm(world, findings, `d${mark}`);
  const audited = await audit(world, findings, { orders, drills: [...drills, ...inCalm] });
  await world.close();
  print(findings, audited);
}

function print(
  findings: ReturnType<typeof createFindings>,
  audited: Awaited<ReturnType<typeof audit>>,
): void {
  const list = (group: Parameters<typeof findings.figures>[0]) =>
    Object.entries(findings.figures(group))
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const write = (line: string) => process.stdout.write(`${line}\n`);
  write(`actions: ${list('actions')}`);
  write(`orders: ${list('orders')}`);
  write(`refusals: ${list('refusals')}`);
  write(`drills: ${list('drills')}`);
  const sum = (group: Parameters<typeof findings.figures>[0]) =>
    Object.values(findings.figures(group)).reduce((total, count) => total + count, 0);
  write(
    `soak: seed ${seed}, ${minutes} min, ${sum('actions')} actions, ${sum('orders')} orders carried out, ` +
      `${audited.drillsEnded} drills with a verdict, ${audited.receiptsFound} receipts found, ${audited.tracesFound} traces, ` +
      `at most ${audited.highestMiB.toFixed(0)} MiB and ${audited.mostDescriptors} open files, ` +
      `live heap at the steepest ${audited.steepestHeap.toFixed(2)} MiB/min, open files ${audited.steepestDescriptors.toFixed(2)}/min ` +
      `(of ${audited.judged} lives), ${findings.violations.length} violations`,
  );
  const failed = findings.violations.length;
  if (failed > 0) write(`again: npm run soak -- --minutes ${minutes} --seed ${seed}`);
  report({ passed: audited.drillsEnded + audited.receiptsFound, failed, skipped: 0 });
  process.exit(failed > 0 ? 1 : 0);
}
