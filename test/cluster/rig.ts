import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import type { ExperimentAnswer, InjectionAnswer } from '../../coordinator/routes/answers.ts';
import { type ControlPlane, startControlPlane } from './controlplane/start.ts';
import { kubectlOf } from './kubectl.ts';
import { isServing, type Running, root, start } from './processes.ts';

const run = promisify(execFile);

export const namespace = 'xidrill';

/** A real control plane with our definitions and one drillable node, and our programs as real processes around it. */
export type Rig = {
  readonly plane: ControlPlane;
  readonly node: string;
  readonly folder: string;
  startAgent(options?: { readonly disarmed?: boolean }): Promise<Running & { readonly url: string }>;
  startCoordinator(
    agentUrl: string,
    options?: {
      readonly kubeconfig?: string;
      readonly leaseSeconds?: number;
      /** Further flags. */
      readonly flags?: readonly string[];
    },
  ): Promise<Running & { readonly url: string }>;
  /** The simulated monitoring agent as a process that reads the real kernel log. */
  startNma(): Promise<Running>;
  apply(object: object): Promise<void>;
  getJson(...args: readonly string[]): Promise<Record<string, unknown>>;
};

export async function startRig(t: Test, node: string): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'xidrill-cluster-'));
  const plane = await startControlPlane();
  const running: Running[] = [];
  t.teardown(async () => {
    for (const process of running.reverse()) await process.kill('SIGKILL');
    await plane.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const kubectl = kubectlOf(plane);

  async function apply(object: object): Promise<void> {
    await kubectl(['apply', '-f', '-'], JSON.stringify(object));
  }

  // As the README says it: npm run -s crds | kubectl apply -f -
  const { stdout: definitions } = await run(process.execPath, [
    join(root, 'coordinator/store/print-crds.ts'),
  ]);
  await kubectl(['apply', '-f', '-'], definitions);
  await kubectl([
    'wait',
    '--for=condition=Established',
    '--timeout=300s',
    'crd/experiments.xidrill.dev',
    'crd/injections.xidrill.dev',
  ]);
  await kubectl(['create', 'namespace', namespace]);
  await apply({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: node, labels: { 'xidrill.dev/drill': 'allowed' } },
  });
  await kubectl(readyPatch(node));
  await apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: `${node}-other` } });

  let agents = 0;
  return {
    plane,
    node,
    folder,
    apply,
    getJson: async (...args) =>
      JSON.parse(await kubectl(['get', '-o', 'json', ...args])) as Record<string, unknown>,
    async startAgent({ disarmed = false } = {}) {
      agents += 1;
      const args = ['--node', node, '--state-dir', join(folder, `agent-${agents}`)];
      const agent = await startListening('agent/main.ts', disarmed ? args : [...args, '--arm']);
      running.push(agent);
      return agent;
    },
    async startCoordinator(
      agentUrl,
      { kubeconfig = plane.kubeconfigPath, leaseSeconds = 1, flags = [] } = {},
    ) {
      const args = ['--kubeconfig', kubeconfig, '--namespace', namespace];
      args.push('--agent', `${node}=${agentUrl}`, '--lease-seconds', String(leaseSeconds), ...flags);
      const coordinator = await startListening('coordinator/main.ts', args);
      running.push(coordinator);
      return coordinator;
    },
    async startNma() {
      const args = ['--kubeconfig', plane.kubeconfigPath, '--node', node, '--version', '1.6.4'];
      let said = '';
      const nma = await start('coordinator/rehearsal/nma/process.ts', args, async (child) => {
        said += child.stdout?.read()?.toString() ?? '';
        return said.includes('ready');
      });
      running.push(nma);
      return nma;
    },
  };
}

/** On a port that the system gives it, which it names in its log: one that was free a moment ago may be another program's by now. */
async function startListening(
  file: string,
  args: readonly string[],
): Promise<Running & { readonly url: string }> {
  let url: string | undefined;
  const started = await start(file, [...args, '--listen', '127.0.0.1:0'], async (_child, errors) => {
    url = /"url":"(https?:[^"]+)"/.exec(errors())?.[1];
    return url !== undefined && (await isServing(url));
  });
  return { ...started, url: url ?? '' };
}

export async function drill(
  url: string,
  body: object,
  headers: Record<string, string> = { prefer: 'wait=120' },
) {
  const response = await fetch(`${url}/api/v1/experiments`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as ExperimentAnswer,
  };
}

export async function experimentAt(url: string, name: string, wait = 60): Promise<ExperimentAnswer> {
  const response = await fetch(`${url}/api/v1/experiments/${name}`, { headers: { prefer: `wait=${wait}` } });
  return (await response.json()) as ExperimentAnswer;
}

export async function injectionsAt(url: string, name: string): Promise<readonly InjectionAnswer[]> {
  const response = await fetch(`${url}/api/v1/experiments/${name}/injections`);
  return ((await response.json()) as { items: InjectionAnswer[] }).items;
}

/** How many records of the real kernel log contain the text: the whole ring, read to its end. */
export function recordsWith(text: string): number {
  const file = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(8192);
  let found = 0;
  try {
    for (;;) {
      try {
        if (buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, null)).includes(text))
          found += 1;
      } catch (thrown) {
        // EPIPE: something was overwritten while we read; the next read goes on behind it.
        if ((thrown as NodeJS.ErrnoException).code !== 'EPIPE') return found;
      }
    }
  } finally {
    closeSync(file);
  }
}

/** A kubeconfig for the same user through another address. */
export async function kubeconfigFor(rig: Rig, url: string): Promise<string> {
  const text = await readFile(rig.plane.kubeconfigPath, 'utf8');
  const file = join(rig.folder, `kubeconfig-${url.replace(/\W+/g, '-')}`);
  await writeFile(
    file,
    text
      .replaceAll(rig.plane.url, url)
      .replace(/^(\s*)certificate-authority(-data)?:.*$/m, '$1insecure-skip-tls-verify: true'),
  );
  return file;
}

/** What its kubelet would say: a node that is not Ready is not drilled unless it is named. */
export function readyPatch(node: string): string[] {
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'it is ready' };
  return [
    ...['patch', 'node', node, '--subresource=status', '--type=merge', '-p'],
    JSON.stringify({ status: { conditions: [ready] } }),
  ];
}
