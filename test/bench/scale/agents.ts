import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { policyReaction } from '../../../coordinator/catalogue/nma/reactions.ts';
import { findNmaVersion } from '../../../coordinator/catalogue/nma/versions.ts';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import { startNode } from '../../../coordinator/rehearsal/node.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import type { Finding } from './nma.ts';
import { type AgentsFile, nmaEngine } from './processes.ts';

/**
 * Many agents in one process, each a whole agent over fakes with a host engine of its own, on a port of loopback.
 * `node agents.ts FILE`: the nodes and the socket of the monitoring agents (an `AgentsFile`). Standard output gets
 * `ready`. The half of NMA that lives in the host engine's callbacks is here; what it finds goes over the socket to the
 * process that writes to the API server.
 */
const [file = ''] = process.argv.slice(2);
const { nodes, socket, stateDir, tls } = JSON.parse(readFileSync(file, 'utf8')) as AgentsFile;
const clock = createRealClock();
const log = createSilentLog();
const { row: version } = findNmaVersion(nmaEngine.nmaVersion);
const findings = connect(socket);

for (const { row, port, enginePodUid } of nodes) {
  const node = await startNode({
    row,
    // Only for the rehearsal's own NMA, which is not started here.
    cluster: undefined as unknown as Cluster,
    clock,
    random: Math.random,
    newId: randomUUID,
    stateDir,
    port,
    armed: true,
    ...(tls === undefined ? {} : { tls }),
    podLog: () => undefined,
    log,
  });
  const engine = node.addEngine({ pid: nmaEngine.pid, port: nmaEngine.port, podUid: enginePodUid });
  const connection = engine.connect('eks-node-monitoring-agent');
  connection.registerPolicies(
    (violation) => {
      const reaction = policyReaction(version, violation);
      if (reaction === undefined) return;
      const finding: Finding = { node: row.name, reaction };
      findings.write(`${JSON.stringify(finding)}\n`);
    },
    { keepThresholds: version.keepsPolicyThresholds },
  );
  connection.enableHealth();
  connection.watchFields('watch', version.watchedFields);
}
process.stdout.write('ready\n');
