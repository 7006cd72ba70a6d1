import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, type Rendered } from '../chart/render.ts';
import { guarded } from './controlplane/guard.ts';
import type { ControlPlane } from './controlplane/start.ts';
import { isServing, type Running, until } from './processes.ts';

type Container = {
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
};

type Volume = {
  readonly name: string;
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
  readonly hostPath?: { readonly type: string };
};

export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

/**
 * A kubelet as far as these tests need one: runs the first container of a workload's pod as a process, with the
 * arguments, environment and volumes that stand in the object. Volumes lie in a folder instead of at their mount paths,
 * so that these are replaced in the arguments; the projected token goes into a kubeconfig, as its path is fixed.
 */
export async function runPod(options: {
  readonly workload: Rendered;
  readonly program: string;
  readonly flags: readonly string[];
  readonly folder: string;
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  readonly isReady?: (running: { errors(): string }) => Promise<boolean>;
}): Promise<Running> {
  const { workload, folder, fields, kubectl } = options;
  const spec = at(workload, 'spec.template.spec');
  const container = at(spec, 'containers.0') as Container;
  const namespace = fields['metadata.namespace'] ?? '';
  const mounted = new Map<string, string>();
  for (const volume of at(spec, 'volumes') as readonly Volume[]) {
    const path = join(folder, volume.name);
    if (volume.hostPath?.type === 'CharDevice') continue;
    mkdirSync(path, { recursive: true });
    if (volume.secret !== undefined) await writeSecret(volume.secret, path, namespace, kubectl);
    const mount = container.volumeMounts.find(({ name }) => name === volume.name);
    if (mount !== undefined) mounted.set(mount.mountPath, path);
  }
  const env = Object.fromEntries(
    container.env.map(({ name, value, valueFrom }) => [
      name,
      value ?? fields[valueFrom?.fieldRef.fieldPath ?? ''] ?? '',
    ]),
  );
  const args = container.args.map((arg) => {
    const expanded = arg.replace(/\$\((\w+)\)/g, (_whole, name: string) => env[name] ?? '');
    const mount = [...mounted].find(([path]) => expanded.includes(`=${path}`));
    return mount === undefined ? expanded : expanded.replace(`=${mount[0]}`, `=${mount[1]}`);
  });
  const account = String(at(spec, 'serviceAccountName'));
  const token = await kubectl(['-n', namespace, 'create', 'token', account, '--duration=3607s']);
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, kubeconfigOf(options.plane, token.trim()), { mode: 0o600 });

  const [program, programArgs] = guarded(process.execPath, [...options.flags, options.program, ...args]);
  const child = spawn(program, programArgs, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: { PATH: process.env.PATH, KUBECONFIG: kubeconfig, ...env },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-200_000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const isReady = options.isReady ?? (() => isServing(options.url));
  await until(`${options.program} is ready`, async () => {
    if (await isReady({ errors: () => errors })) return true;
    if (child.exitCode !== null) throw new Error(`${options.program} ended: ${errors.slice(-2000)}`);
    return false;
  });
  return {
    pid: child.pid ?? 0,
    errors: () => errors,
    async kill(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}

async function writeSecret(
  secret: NonNullable<Volume['secret']>,
  path: string,
  namespace: string,
  kubectl: Kubectl,
): Promise<void> {
  const text = await kubectl(['-n', namespace, 'get', 'secret', secret.secretName, '-o', 'json']);
  const { data } = JSON.parse(text) as { data: Record<string, string> };
  const items = secret.items ?? Object.keys(data).map((key) => ({ key, path: key }));
  for (const item of items)
    writeFileSync(join(path, item.path), Buffer.from(data[item.key] ?? '', 'base64'), { mode: 0o600 });
}

function kubeconfigOf(plane: ControlPlane, token: string): string {
  const cluster = { server: plane.url, 'certificate-authority': plane.caFile };
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'it', cluster }],
    users: [{ name: 'it', user: { token } }],
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
    'current-context': 'it',
  });
}
