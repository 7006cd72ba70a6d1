import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../shared/config.ts';
import { messageFromUnknown } from '../../shared/errors.ts';
import { residentMiB } from './programs.ts';
import { outcomeOf, type Row, renderTable } from './rows.ts';
import { createNodes, type PlacedNode, startScaleCluster } from './scale/cluster.ts';
import { createCertificates, startCoordinator } from './scale/coordinator.ts';
import { type DrillAsked, type DrillMeasured, measureDrill } from './scale/drill.ts';
import { measureLinks } from './scale/links.ts';
import { rowOf } from './scale/objects.ts';
import { startObserver } from './scale/observer.ts';
import { type AgentsFile, type Helper, type NmaFile, startHelper } from './scale/processes.ts';
import { detectionRows, drillRows, listRow } from './scale/scale-rows.ts';
import { measureSelection } from './scale/selection.ts';

/**
 * `npm run bench:scale`: the coordinator as its image runs it against a real etcd and kube-apiserver (built with Go where
 * the cache has none), full-size Node objects, whole agents over fakes in other processes, and monitoring agents in
 * another one that write through the API server.
 */
const naturals = (least: number) => (text: string) =>
  Number.isInteger(Number(text)) && Number(text) >= least ? undefined : `a whole number from ${least}`;
const outcome = readConfig(
  'npm run bench:scale --',
  {
    nodes: { kind: 'number', value: 'N', default: 1000, check: naturals(1), help: 'Node objects' },
    targets: {
      kind: 'number',
      value: 'N',
      default: 1000,
      check: naturals(1),
      help: 'targets of the large drills',
    },
    'node-bytes': {
      kind: 'number',
      value: 'N',
      default: 20_480,
      check: naturals(0),
      help: 'JSON of a Node object',
    },
    drills: {
      kind: 'list',
      value: 'XIDxTARGETS',
      check: (text) => (parseDrill(text) === undefined ? 'not XIDxTARGETS, such as 31x100' : undefined),
      help: 'the drills; default 31x100 109x100, and both on all targets; none: 0x0',
    },
    paced: {
      kind: 'number',
      value: 'N',
      default: 100,
      check: naturals(0),
      help: 'targets of the drill that measures how fast a verdict follows its reaction; 0: none',
    },
    'pace-ms': {
      kind: 'number',
      value: 'MS',
      default: 100,
      check: naturals(1),
      help: 'between its reactions',
    },
    selection: {
      kind: 'switch',
      help: 'measure selection and plan of all nodes as well; nothing is injected',
    },
    'wait-seconds': {
      kind: 'number',
      value: 'N',
      default: 240,
      check: naturals(1),
      help: 'longest wait for a drill',
    },
    plain: { kind: 'switch', help: 'agents over plain HTTP, not over mutual TLS as the chart installs them' },
    'node-flag': {
      kind: 'list',
      value: 'FLAG',
      help: 'a flag of Node for the coordinator on top of its image’s, such as --node-flag=--cpu-prof',
    },
    check: { kind: 'switch', help: 'exit 1 where a target is missed' },
    json: { kind: 'switch', help: 'print JSON instead of a table' },
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

/** First lists, and the collections of garbage that follow a start, are over by then. */
const settleMs = 15_000;
/** Below the ports that outgoing connections are given, and those of the control plane. */
const firstAgentPort = 10_000;
const agentsPerProcess = 500;
const idleBelowMiB: Readonly<Record<number, number>> = { 1000: 180, 5000: 350 };

const drills = (config.drills.length > 0 ? config.drills : defaultDrills())
  .map((text) => parseDrill(text))
  .filter((drill) => drill !== undefined && drill.targets > 0) as DrillAsked[];
const agentCount = Math.max(0, config.paced, ...drills.map(({ targets }) => targets));
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'xidrill-scale-'));
const running: { stop(): Promise<unknown> }[] = [];
let isMissed = false;
let lastWords = () => '';
try {
  const rows = await measured();
  isMissed = rows.some((row) => outcomeOf(row) === 'missed');
  const machine = `Node ${process.version}, ${availableParallelism()} processors, load ${(loadavg()[0] ?? 0).toFixed(2)}`;
  process.stdout.write(
    config.json ? `${JSON.stringify({ machine, rows }, null, 2)}\n` : `${machine}\n\n${renderTable(rows)}`,
  );
} catch (thrown) {
  const because = thrown instanceof Error && thrown.cause !== undefined ? `: ${thrown.cause}` : '';
  say(`${messageFromUnknown(thrown)}${because}; the end of the coordinator's log:\n${lastWords()}`);
  process.exitCode = 4;
} finally {
  for (const part of running.reverse()) await part.stop().catch(() => undefined);
  rmSync(folder, { recursive: true, force: true });
}
process.exit(process.exitCode ?? (config.check && isMissed ? 1 : 0));

async function measured(): Promise<readonly Row[]> {
  say('starting the control plane');
  const { plane, cluster, coordinatorKubeconfig, audited } = await startScaleCluster(folder);
  running.push(plane);
  const sets = [...new Set([config.paced, ...drills.map(({ targets }) => targets)])];
  const nodes: PlacedNode[] = Array.from({ length: config.nodes }, (_, index) => ({
    row: rowOf(index, sets),
    port: firstAgentPort + (index % 9_000),
    enginePodUid: '',
  }));
  say(`creating ${nodes.length} nodes of ${config['node-bytes']} bytes, with three pods each`);
  await createNodes(cluster, nodes, config['node-bytes']);

  const tls = config.plain ? undefined : createCertificates(folder);
  // First its start alone; the agents start while it settles.
  const coordinator = await startCoordinator(
    folder,
    ['--kubeconfig', coordinatorKubeconfig, ...(tls?.coordinatorArgs ?? [])],
    config['node-flag'],
  );
  running.push(coordinator);
  lastWords = coordinator.errors;
  const settled = sleep(settleMs);

  const socket = join(folder, 'nma.sock');
  const nmaFile: NmaFile = {
    kubeconfig: plane.kubeconfigPath,
    socket,
    nodes: nodes.map(({ row }) => row.name),
  };
  const nma = await startHelper('nma.ts', join(folder, 'nma.json'), nmaFile);
  running.push(nma);
  const drilled = nodes.slice(0, agentCount);
  say(`starting ${drilled.length} agents`);
  const helpers: Helper[] = [];
  for (let first = 0; first < drilled.length; first += agentsPerProcess) {
    const stateDir = join(folder, `agents-${first}`);
    mkdirSync(stateDir);
    const part = drilled.slice(first, first + agentsPerProcess);
    const input: AgentsFile = { nodes: part, socket, stateDir, ...(tls && { tls: tls.ofAgents }) };
    const helper = await startHelper('agents.ts', `${stateDir}.json`, input);
    running.push(helper);
    helpers.push(helper);
  }

  const observer = await startObserver(cluster);
  running.push(observer);
  await settled;
  const rows: Row[] = [
    { name: 'coordinator, start to /readyz', value: coordinator.readyMs, unit: 'ms' },
    idleRow('coordinator, idle memory', coordinator.pid),
  ];
  const pids = {
    coordinator: coordinator.pid,
    'kube-apiserver': plane.apiserverPid ?? 0,
    etcd: plane.etcdPid,
    'this bench': process.pid,
    'monitoring agents': nma.pid,
    ...Object.fromEntries(helpers.map(({ pid }, index) => [`agents ${index + 1}`, pid])),
  };
  const deps = { url: coordinator.url, observer, audited, pids, waitSeconds: config['wait-seconds'] };

  const done: DrillMeasured[] = [];
  for (const [index, asked] of drills.entries()) {
    say(`Xid ${asked.xid} on ${asked.targets} nodes`);
    done.push(await measureDrill(deps, `bench-${index}`, asked));
    const last = done.at(-1);
    if (last !== undefined) {
      rows.push(...drillRows(last));
      say(`${last.seconds.toFixed(1)} s: ${JSON.stringify(last.verdicts)}`);
    }
    await resetNodes(nma, drilled.slice(0, asked.targets));
  }
  rows.push(...listRow(done));
  if (config.paced > 0) {
    const everyMs = config['pace-ms'];
    say(`one reaction every ${everyMs} ms on ${config.paced} nodes`);
    nma.tell({ do: 'pace', everyMs });
    const paced = await measureDrill(deps, 'bench-paced', { xid: 109, targets: config.paced });
    rows.push(...detectionRows(paced, everyMs, nodes.length));
    nma.tell({ do: 'pace', everyMs: 0 });
    const part = drilled.slice(0, config.paced);
    await resetNodes(nma, part);
    say(`every ${everyMs} ms one of ${config.paced} nodes is tainted, drained, deleted, replaced`);
    const { url, waitSeconds } = deps;
    const replacements = part.map(
      (_, index): PlacedNode => ({
        row: rowOf(nodes.length + index, []),
        port: firstAgentPort + index,
        enginePodUid: '',
      }),
    );
    const changing = { targets: part, replacements, nodeBytes: config['node-bytes'], everyMs };
    rows.push(...(await measureLinks({ url, waitSeconds, cluster, ...changing, nodes: nodes.length })));
  }
  if (done.length > 0)
    rows.push({
      name: 'coordinator, memory at rest afterwards',
      value: residentMiB(coordinator.pid),
      unit: 'MiB',
    });
  // Last: nothing takes away the Injections of an experiment that is deleted here, and their nodes stay busy.
  if (config.selection) rows.push(...(await measureSelection({ ...deps, cluster, nodes: nodes.length })));
  return rows;
}

/** What a drill has left is taken away: the conditions are True again, as after new starts of the monitoring agents. */
async function resetNodes(nma: Helper, nodes: readonly PlacedNode[]): Promise<void> {
  const isReset = nma.heard('reset');
  nma.tell({ do: 'reset', nodes: nodes.map(({ row }) => row.name) });
  await isReset;
  // Longer than the host engine's limit between two alerts of one kind (6 s), and the coordinator has seen the resets.
  await sleep(7_000);
}

function idleRow(name: string, pid: number): Row {
  const below = idleBelowMiB[config.nodes];
  return {
    name: `${name}, ${config.nodes} nodes`,
    value: residentMiB(pid),
    unit: 'MiB',
    ...(below !== undefined && { target: { below } }),
  };
}

function defaultDrills(): readonly string[] {
  const few = Math.min(100, config.targets);
  const sizes = few === config.targets ? [few] : [few, config.targets];
  return sizes.flatMap((size) => [`31x${size}`, `109x${size}`]);
}

function parseDrill(text: string): DrillAsked | undefined {
  const [, xid, targets] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  return xid === undefined ? undefined : { xid: Number(xid), targets: Number(targets) };
}

function say(text: string): void {
  process.stderr.write(`xidrill bench, ${Math.round(process.uptime())} s: ${text}\n`);
}
