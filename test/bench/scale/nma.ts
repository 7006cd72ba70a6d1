import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { gpuConditionType, monitorOf, monitors } from '../../../coordinator/catalogue/nma/conditions.ts';
import type { Reaction } from '../../../coordinator/catalogue/nma/reactions.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { createEventRecorder } from '../../../coordinator/rehearsal/nma/events.ts';
import { createNodeExporter } from '../../../coordinator/rehearsal/nma/exporter.ts';
import { createPodLog } from '../../../coordinator/rehearsal/nma/pod-log.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createLog } from '../../../shared/log.ts';
import { heartbeatTickMs } from '../../../shared/nma-timing.ts';
import { type NmaFile, nmaEngine } from './processes.ts';

/** What the monitoring agent of a node found in its host engine. */
export type Finding = { readonly node: string; readonly reaction: Reaction };

/** A line of standard input. */
export type NmaCommand =
  /** So many milliseconds between two findings that are written; 0: each at once. */
  | { readonly do: 'pace'; readonly everyMs: number }
  /** Starts the monitoring agents of these nodes again: their conditions are True, and written so. Answered `reset`. */
  | { readonly do: 'reset'; readonly nodes: readonly string[] };

/**
 * The half of many monitoring agents that writes to the API server, with their user agent and their own requests: an
 * event, or the conditions of a node (read, then patched). They report a condition at once, not at the next tick of 15 s,
 * because the time until then is not ours; every five minutes each renews its heartbeats.
 * `node nma.ts FILE` (an `NmaFile`); standard output gets `ready`.
 */
const [file = ''] = process.argv.slice(2);
const { kubeconfig, socket, nodes } = JSON.parse(readFileSync(file, 'utf8')) as NmaFile;
const clock = createRealClock();
const log = createLog({ name: 'nma', level: 'warn' });
const { row: version } = findNmaVersion(nmaEngine.nmaVersion);
const rows = monitors
  .filter(({ plugin }) => plugin !== 'neuron')
  .map(({ plugin }) => monitorOf(version, plugin));
const cluster = createClusterClient({
  kubeconfig: { path: kubeconfig },
  userAgent: 'eks-node-monitoring-agent',
  fieldManager: 'eks-node-monitoring-agent',
  log,
});
const { signal } = new AbortController();

function start(node: string) {
  const podLog = createPodLog({ clock, node, row: version, write: () => undefined });
  const deps = { cluster, clock, node, podLog };
  return {
    events: createEventRecorder({ ...deps, signal }),
    exporter: createNodeExporter({ ...deps, monitors: rows, failure: undefined }),
  };
}

const agents = new Map(nodes.map((node) => [node, start(node)]));

async function write({ node, reaction }: Finding): Promise<void> {
  const agent = agents.get(node);
  if (agent === undefined) throw new Error(`a finding of ${node}, which is not simulated here`);
  if (reaction.severity !== 'fatal') {
    agent.events.warning(gpuConditionType, `${reaction.reason}: ${reaction.message}`);
    return;
  }
  await agent.exporter.fatal(reaction);
  await agent.exporter.report();
}

let everyMs = 0;
const waiting: Finding[] = [];

function take(finding: Finding): void {
  if (everyMs === 0) void write(finding);
  else waiting.push(finding);
}

async function paced(): Promise<void> {
  for (;;) {
    await clock.sleep(everyMs === 0 ? 50 : everyMs);
    const finding = waiting.shift();
    if (finding !== undefined) void write(finding);
  }
}

/** The heartbeats of all agents are spread over their period, as those of agents that started at different times. */
async function renew(): Promise<void> {
  for (;;) {
    for (const node of nodes) {
      await clock.sleep(heartbeatTickMs / nodes.length);
      const agent = agents.get(node);
      await agent?.exporter.heartbeat();
      void agent?.exporter.report();
    }
  }
}

async function reset(names: readonly string[]): Promise<void> {
  const left = [...names];
  const worker = async () => {
    for (let node = left.pop(); node !== undefined; node = left.pop()) {
      const agent = start(node);
      agents.set(node, agent);
      await agent.exporter.report();
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  process.stdout.write('reset\n');
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line) as NmaCommand;
  if (command.do === 'pace') ({ everyMs } = command);
  else void reset(command.nodes);
});
createServer((connection) => {
  createInterface({ input: connection }).on('line', (line) => take(JSON.parse(line) as Finding));
}).listen(socket, () => process.stdout.write('ready\n'));
void renew();
void paced();
