import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { runDoctor } from '../../../coordinator/cli/doctor.ts';
import type { Ports } from '../../../coordinator/cli/ports.ts';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import type { ExecInContainer } from '../../../coordinator/rehearsal/apiserver/exec.ts';
import type { AuthorizationRequest } from '../../../coordinator/rehearsal/apiserver/requests.ts';
import { type ApiServer, startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createFleet, type Kind } from './fleet.ts';

const log = createSilentLog();

/** Nodes of each kind. */
export const counts = { healthy: 4, arm: 3, role: 3, tainted: 2, karpenter: 2 };

/** A fleet, and commands of the command line that see it. */
export type Fleet = {
  readonly server: ApiServer;
  readonly kubeconfig: string;
  readonly doctor: (...argv: readonly string[]) => Promise<{ code: number; out: string; err: string }>;
};

/** The fleet on a stand-in API server, seen by somebody who may do what `mayRead` allows and nothing else. */
export async function fleet(
  t: Test,
  {
    mayRead = () => true,
    of = counts,
    exec,
  }: {
    readonly mayRead?: (request: AuthorizationRequest) => boolean;
    readonly of?: Readonly<Record<Kind, number>>;
    readonly exec?: ExecInContainer;
  } = {},
): Promise<Fleet> {
  const clock = createRealClock();
  const server = await startApiServer({
    clock,
    log,
    ...(exec === undefined ? {} : { exec }),
    authorize: (request) => {
      if (request.token === undefined) return { allowed: true, user: 'admin' };
      if (request.token !== 'reader') return { allowed: false };
      const isRead = request.verb === 'get' || request.verb === 'list';
      return { allowed: isRead && mayRead(request), user: 'reader' };
    },
  });
  t.teardown(() => server.close());
  const cluster = createClusterClient({
    kubeconfig: { url: server.url },
    userAgent: 'test',
    fieldManager: 'test',
    log,
  });
  await createFleet(cluster, of, clock.now());
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-doctor-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigOf(server.url));
  return {
    server,
    kubeconfig,
    doctor: (...argv) => run(['--kubeconfig', kubeconfig, ...argv]),
  };
}

/** Of two people, one of whom is not known there. */
export function kubeconfigOf(url: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: url } }],
    users: [
      { name: 'reader', user: { token: 'reader' } },
      { name: 'nobody', user: { token: 'nobody' } },
    ],
    contexts: ['reader', 'nobody'].map((user) => ({ name: user, context: { cluster: 'c', user } })),
    'current-context': 'reader',
  });
}

/** A command in this process; doctor, unless another is meant. */
export async function run(
  argv: readonly string[],
  width?: number,
  isColoured = false,
  command: (argv: readonly string[], ports: Ports) => Promise<number> = runDoctor,
) {
  let out = '';
  let err = '';
  const code = await command(argv, {
    program: 'xidrill',
    readInput: async () => '',
    readFile: async () => '',
    print: (text) => {
      out += text;
    },
    complain: (text) => {
      err += text;
    },
    isTerminal: false,
    width,
    isColoured,
  });
  return { code, out, err };
}
