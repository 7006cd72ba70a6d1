import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { faults, notOffered } from '../../coordinator/catalogue/catalogue.ts';
import { assertCatalogue } from '../../coordinator/catalogue/validate.ts';
import { bytesOf, type ProgramName } from '../../shared/bundle.ts';
import { readConfig } from '../../shared/config.ts';
import { messageFromUnknown } from '../../shared/errors.ts';
import { assembleTree, ownPlatform, type Tree } from '../../shared/image/tree.ts';
import { kernelLog, measureInjections } from './kernel-log.ts';
import { measureAgent, measureCoordinator, type Programs, startAgent } from './memory.ts';
import { measurePlanner, measurePlanning } from './planning.ts';
import { outcomeOf, type Row, renderTable } from './rows.ts';
import { percentile } from './statistics.ts';

/** Measures the programs as images run them, from the files that images hold. A missed target is told, not failed: machines differ. */
const outcome = readConfig(
  'npm run bench --',
  {
    json: { kind: 'switch', help: 'print JSON instead of a table' },
    records: {
      kind: 'number',
      value: 'N',
      default: 4000,
      check: (text) => (Number(text) >= 2000 && Number(text) <= 100_000 ? undefined : 'from 2000 to 100000'),
      help: 'how many records are written through the agent; all stay in the kernel log',
    },
  },
  process.argv.slice(2),
  process.env,
);
if (!('config' in outcome)) {
  process.stderr.write(
    'faults' in outcome ? `${outcome.faults.join('\n')}\n\n${outcome.help}` : outcome.help,
  );
  process.exit('faults' in outcome ? 2 : 0);
}
const { config } = outcome;
const nodesKnown = 100;
const usualNodeBytes = 20_480;
/** Idle memory that a coordinator may have, by the nodes that it watches. */
const manyNodes = { 1000: 180, 5000: 350 } as const;
const nodesPlannedAtOnce = 5000;
const nodesPlanned = 1000;

// Not /tmp, where much comes and goes: for five minutes after many files were deleted, ext4 searches long for a free
// inode (fs/ext4/ialloc.c, recently_deleted), 0.75 ms a file instead of 0.03. A bench soon after a bench shows that.
const folder = mkdtempSync(join(existsSync('/var/tmp') ? '/var/tmp' : tmpdir(), 'xidrill-bench-'));
try {
  const loadBefore = loadavg()[0] ?? 0;
  say('assembling the files of the images');
  const trees = { agent: await treeOf('agent'), coordinator: await treeOf('coordinator') };
  const made = {
    agent: join(trees.agent.folder, 'agent.mjs'),
    coordinator: join(trees.coordinator.folder, 'coordinator.mjs'),
  };
  const rows: Row[] = [
    ...(await injectionRows(made)),
    ...(await idleRows(made)),
    ...catalogueRows(),
    ...(await planningRows()),
    ...sizeRows(trees, made),
  ];
  if (config.json) {
    const measured = rows.map((row) => ({ ...row, outcome: outcomeOf(row) }));
    process.stdout.write(
      `${JSON.stringify({ node: process.version, loadBefore, rows: measured }, null, 2)}\n`,
    );
  } else {
    const machine = `Node ${process.version}, ${availableParallelism()} processors, load before ${loadBefore.toFixed(2)}`;
    process.stdout.write(`${machine}\n\n${renderTable(rows)}`);
  }
} catch (thrown) {
  process.stderr.write(`xidrill bench: ${messageFromUnknown(thrown)}\n`);
  process.exitCode = 4;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function treeOf(program: ProgramName): Promise<Tree> {
  return assembleTree({ program, folder: join(folder, program), platform: ownPlatform ?? '' });
}

async function injectionRows(made: Programs): Promise<readonly Row[]> {
  const because = whyNoKernelLog();
  if (because !== undefined) {
    say(`no record is written: ${because}`);
    const note = because;
    return [
      { name: 'order → receipt with the record, p50', value: null, unit: 'ms', target: { below: 1 }, note },
      { name: 'order → receipt with the record, p99', value: null, unit: 'ms', target: { below: 5 }, note },
      { name: 'a script per record ÷ agent, p50', value: null, unit: 'times', target: { atLeast: 20 }, note },
    ];
  }
  say(`writing ${config.records} records through the agent, and some by shell, into ${kernelLog}`);
  const agent = await startAgent(made, folder);
  try {
    const took = await measureInjections(agent.url, {
      agent: config.records,
      nothing: 1000,
      shell: 1000,
      script: 200,
    });
    const p50 = percentile(took.agent, 50);
    const shell = percentile(took.shell, 50);
    const script = percentile(took.script, 50);
    return [
      { name: 'order → receipt with the record, p50', value: p50, unit: 'ms', target: { below: 1 } },
      {
        name: 'order → receipt with the record, p99',
        value: percentile(took.agent, 99),
        unit: 'ms',
        target: { below: 5 },
      },
      await inMemoryRow(made),
      {
        name: 'GET /healthz, p50',
        value: percentile(took.nothing, 50),
        unit: 'ms',
        note: 'on the same connection: what of an order is HTTP and the machine',
      },
      {
        name: 'a shell per record, p50',
        value: shell,
        unit: 'ms',
        note: 'sh writes, a reader kept open reads back: no check, no journal, no receipt',
      },
      { name: 'a shell per record, p99', value: percentile(took.shell, 99), unit: 'ms' },
      {
        name: 'a shell per record ÷ agent, p50',
        value: shell / p50,
        unit: 'times',
        note: 'no target: only half of the work is done by the shell',
      },
      {
        name: 'a script per record, p50',
        value: script,
        unit: 'ms',
        note: 'sh writes, and reads back with dmesg and grep',
      },
      {
        name: 'a script per record ÷ agent, p50',
        value: script / p50,
        unit: 'times',
        target: { atLeast: 20 },
      },
    ];
  } finally {
    await agent.stop();
  }
}

/** What of an order is the disk below the journal. */
async function inMemoryRow(made: Programs): Promise<Row> {
  const name = 'the same with its journal in memory, p50';
  if (!existsSync('/dev/shm')) return { name, value: null, unit: 'ms', note: 'no /dev/shm' };
  const memory = mkdtempSync('/dev/shm/xidrill-bench-');
  try {
    const agent = await startAgent(made, memory);
    try {
      const took = await measureInjections(agent.url, { agent: 2000, nothing: 0, shell: 0, script: 0 });
      return { name, value: percentile(took.agent, 50), unit: 'ms', note: 'the difference is the disk' };
    } finally {
      await agent.stop();
    }
  } finally {
    rmSync(memory, { recursive: true, force: true });
  }
}

async function idleRows(made: Programs): Promise<readonly Row[]> {
  const because = whyNoKernelLog();
  say('idle memory, three starts each');
  const agent = because === undefined ? await measureAgent(made, folder) : undefined;
  const coordinator = await measureCoordinator(made, folder, {
    nodes: nodesKnown,
    nodeBytes: usualNodeBytes,
  });
  // Without the kernel log an agent never becomes ready.
  const agentNote = because === undefined ? {} : { note: because };
  const childNote =
    because !== undefined || agent?.inChild !== undefined
      ? agentNote
      : { note: 'no C compiler for the stub library' };
  return [
    {
      name: 'agent, idle memory',
      value: agent?.residentMiB ?? null,
      unit: 'MiB',
      target: { below: 75 },
      ...agentNote,
    },
    {
      name: 'NVML child, idle memory',
      value: agent?.inChild ?? null,
      unit: 'MiB',
      target: { below: 50 },
      ...childNote,
    },
    {
      name: `coordinator with ${nodesKnown} nodes, idle memory`,
      value: coordinator.residentMiB,
      unit: 'MiB',
      target: { below: 110 },
    },
    ...(await manyNodesRows(made)),
    {
      name: 'agent, start to /readyz',
      value: agent?.readyMs ?? null,
      unit: 'ms',
      target: { below: 700 },
      ...agentNote,
    },
    {
      name: 'coordinator, start to /readyz',
      value: coordinator.readyMs,
      unit: 'ms',
      target: { below: 700 },
    },
  ];
}

/** One start each: filling the stand-in takes longer than what is measured. */
async function manyNodesRows(made: Programs): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const [count, below] of Object.entries(manyNodes)) {
    const nodes = Number(count);
    say(`a coordinator with ${nodes} nodes of ${usualNodeBytes / 1024} KB`);
    const idle = await measureCoordinator(made, folder, { nodes, nodeBytes: usualNodeBytes, starts: 1 });
    rows.push({
      name: `coordinator with ${nodes} nodes, idle memory`,
      value: idle.residentMiB,
      unit: 'MiB',
      target: { below },
    });
  }
  return rows;
}

/** Before planning: at start nothing of it has run yet, and the first time is what a start waits for. */
function catalogueRows(): readonly Row[] {
  const startedAt = performance.now();
  assertCatalogue(faults, notOffered);
  const note = `the first time in this process, ${faults.length} faults`;
  return [
    {
      name: 'catalogue validation',
      value: performance.now() - startedAt,
      unit: 'ms',
      target: { below: 20 },
      note,
    },
  ];
}

async function planningRows(): Promise<readonly Row[]> {
  const { selectMs, planMs, catalogueMs } = measurePlanning(nodesPlanned);
  const all = await measurePlanner(nodesPlannedAtOnce);
  return [
    {
      name: `planner: select and plan ${nodesPlannedAtOnce} nodes`,
      value: all.planMs,
      unit: 'ms',
      target: { below: 1500 },
    },
    {
      name: 'planner: processor time of that',
      value: all.processorMs,
      unit: 'ms',
      note: 'with all threads of the process, and whatever else the machine does',
    },
    {
      name: 'planner: longest time without a turn for others',
      value: all.longestSliceMs,
      unit: 'ms',
      target: { atMost: 50 },
      note: 'from the delays of the event loop; other work of the machine counts as well',
    },
    { name: `select among ${nodesPlanned} nodes`, value: selectMs, unit: 'ms' },
    { name: `select and plan ${nodesPlanned} nodes`, value: planMs, unit: 'ms', target: { below: 200 } },
    { name: 'check the parameters of every fault', value: catalogueMs, unit: 'ms' },
  ];
}

function sizeRows(trees: Readonly<Record<ProgramName, Tree>>, made: Programs): readonly Row[] {
  const kibibytes = (path: string) => bytesOf(path) / 1024;
  const { agent, coordinator } = trees;
  return [
    { name: 'agent, added to its base image', value: agent.bytes / 1e6, unit: 'MB', target: { below: 8 } },
    {
      name: 'coordinator, added to its base image',
      value: coordinator.bytes / 1e6,
      unit: 'MB',
      target: { below: 12 },
    },
    { name: 'agent, bundle', value: kibibytes(made.agent), unit: 'KiB' },
    { name: 'NVML child, bundle', value: kibibytes(join(agent.folder, 'nvml-child.mjs')), unit: 'KiB' },
    { name: 'coordinator, bundle', value: kibibytes(made.coordinator), unit: 'KiB' },
    { name: 'native packages', value: kibibytes(join(agent.folder, 'node_modules')), unit: 'KiB' },
  ];
}

function whyNoKernelLog(): string | undefined {
  try {
    accessSync(kernelLog, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (thrown) {
    return `needs root and a real ${kernelLog} (${messageFromUnknown(thrown)})`;
  }
}

function say(text: string): void {
  process.stderr.write(`xidrill bench: ${text}\n`);
}
