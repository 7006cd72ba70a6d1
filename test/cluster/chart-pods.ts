import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { at, type Rendered } from '../chart/render.ts';
import { guarded } from './controlplane/guard.ts';
import type { ControlPlane } from './controlplane/start.ts';
import { type Running, until } from './processes.ts';

type Container = {
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
};

type Items = readonly { readonly key: string; readonly path: string }[];

type Volume = {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly items?: Items };
  readonly projected?: {
    readonly sources: readonly {
      readonly serviceAccountToken?: { readonly path: string; readonly audience?: string };
      readonly secret?: { readonly name: string; readonly items?: Items };
      readonly configMap?: { readonly name: string };
    }[];
  };
  readonly hostPath?: { readonly type: string };
};

export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

/** The kubelet's mount of a pod's own token, which is at the same place in every pod. */
const ownToken = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * A kubelet as far as these tests need one: runs the first container of a workload's pod as a process, with the
 * arguments, environment and volumes that stand in the object. Volumes lie in a folder instead of at their mount paths,
 * so that these are replaced in the arguments. The agent is told where its own token lies instead of the fixed path; the
 * coordinator's client cannot be told, so that the same token goes into a kubeconfig.
 */
export async function runPod(options: {
  readonly workload: Rendered;
  readonly program: string;
  readonly flags: readonly string[];
  readonly folder: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  readonly isReady: () => Promise<boolean>;
}): Promise<Running & { readonly tokens: readonly string[] }> {
  const { workload, folder, fields, kubectl } = options;
  const spec = at(workload, 'spec.template.spec');
  const container = at(spec, 'containers.0') as Container;
  const namespace = fields['metadata.namespace'] ?? '';
  const account = String(at(spec, 'serviceAccountName'));
  const tokens: string[] = [];
  const tokenFor = async (audience: string | undefined) => {
    const bound = audience === undefined ? [] : [`--audience=${audience}`];
    const args = ['-n', namespace, 'create', 'token', account, '--duration=3607s', ...bound];
    const token = (await kubectl(args)).trim();
    tokens.push(token);
    return token;
  };
  const mounted = new Map<string, string>();
  for (const volume of at(spec, 'volumes') as readonly Volume[]) {
    const path = join(folder, volume.name);
    if (volume.hostPath?.type === 'CharDevice') continue;
    mkdirSync(path, { recursive: true });
    if (volume.secret !== undefined)
      await writeSecret(volume.secret.secretName, volume.secret.items, path, namespace, kubectl);
    for (const source of volume.projected?.sources ?? []) {
      const { serviceAccountToken: own, secret, configMap } = source;
      if (own !== undefined)
        writeFileSync(join(path, own.path), await tokenFor(own.audience), { mode: 0o600 });
      if (secret !== undefined) await writeSecret(secret.name, secret.items, path, namespace, kubectl);
      // A controller would write that ConfigMap.
      if (configMap?.name === 'kube-root-ca.crt')
        writeFileSync(join(path, 'ca.crt'), readFileSync(options.plane.caFile));
    }
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
  const own = mounted.get(ownToken) ?? '';
  const kubeconfig = join(folder, 'kubeconfig');
  const token = readFileSync(join(own, 'token'), 'utf8');
  writeFileSync(kubeconfig, kubeconfigOf(options.plane, token), { mode: 0o600 });
  const { hostname, port } = new URL(options.plane.url);

  const [program, programArgs] = guarded(process.execPath, [...options.flags, options.program, ...args]);
  const child = spawn(program, programArgs, {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
    env: {
      PATH: process.env.PATH,
      KUBECONFIG: kubeconfig,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      XIDRILL_SERVICEACCOUNT_DIR: own,
      ...env,
    },
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-200_000);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await until(`${options.program} is ready`, async () => {
    if (await options.isReady()) return true;
    if (child.exitCode !== null) throw new Error(`${options.program} ended: ${errors.slice(-2000)}`);
    return false;
  });
  return {
    pid: child.pid ?? 0,
    tokens,
    errors: () => errors,
    async kill(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}

async function writeSecret(
  name: string,
  items: Items | undefined,
  path: string,
  namespace: string,
  kubectl: Kubectl,
): Promise<void> {
  const text = await kubectl(['-n', namespace, 'get', 'secret', name, '-o', 'json']);
  const { data } = JSON.parse(text) as { data: Record<string, string> };
  for (const item of items ?? Object.keys(data).map((key) => ({ key, path: key })))
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
