import { join } from 'node:path';
import { nodeEnvironment, nodeFlags } from '../../../shared/bundle.ts';
import type { ServerTls } from '../../../shared/http/tls.ts';
import { assembleTree, ownPlatform } from '../../../shared/image/tree.ts';
import { createAuthority } from '../../shared/http/certificates.ts';
import { type Program, startProgram } from '../programs.ts';
import { namespace } from './objects.ts';

/** Starts the coordinator as its image does: the same files, flags and environment. */
export async function startCoordinator(
  folder: string,
  args: readonly string[],
  /** Flags of Node on top of the image's, such as `--cpu-prof`. */
  moreFlags: readonly string[] = [],
): Promise<Program> {
  const tree = join(folder, 'coordinator');
  await assembleTree({ program: 'coordinator', folder: tree, platform: ownPlatform ?? '' });
  return startProgram(join(tree, 'coordinator.mjs'), [...args, '--namespace', namespace], {
    flags: [...nodeFlags.coordinator, ...moreFlags],
    env: nodeEnvironment,
    // With 5,000 nodes of 20 KiB the first lists are 100 MiB.
    longestStartMs: 90_000,
  });
}

/** One certificate for all agents and one for the coordinator, and the coordinator's options for them, as the chart has it. */
export function createCertificates(folder: string): {
  readonly ofAgents: ServerTls;
  readonly coordinatorArgs: readonly string[];
} {
  const authority = createAuthority(folder, 'bench');
  const agents = authority.issue('xidrill-agent');
  const own = authority.issue('xidrill-coordinator');
  return {
    ofAgents: { ...agents, clientCaFile: authority.caFile },
    coordinatorArgs: [
      ...['--agent-ca-file', authority.caFile],
      ...['--agent-client-cert-file', own.certFile, '--agent-client-key-file', own.keyFile],
    ],
  };
}

/**
 * How long the event loop kept others waiting since the last call, in milliseconds (perf_hooks' histogram, which
 * prom-client shows on /metrics and then empties). Its timer fires every 10 ms, so that 10 ms is the value of a loop
 * that is free; that much is taken off.
 */
export async function eventLoopDelay(url: string): Promise<{ readonly p99: number; readonly max: number }> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const value = (name: string) => {
    const [, seconds] = new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)$`, 'm').exec(text) ?? [];
    return Math.max(0, Number(seconds) * 1000 - timerMs);
  };
  return { p99: value('p99'), max: value('max') };
}

const timerMs = 10;
