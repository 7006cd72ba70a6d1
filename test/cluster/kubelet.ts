import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { at, type Rendered } from '../charts/render.ts';
import { mountFiles } from '../shared/http/mounted.ts';
import { guarded } from './controlplane/guard.ts';
import type { ControlPlane } from './controlplane/start.ts';
import type { Image } from './image.ts';
import type { Kubectl } from './kubectl.ts';
import { type Running, until } from './processes.ts';

type Context = {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly fsGroup?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[] };
};

type Container = {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly securityContext?: Context;
};

type Items = readonly { readonly key: string; readonly path: string }[];

type Source = {
  readonly serviceAccountToken?: { readonly path: string; readonly audience?: string };
  readonly secret?: { readonly name: string; readonly items?: Items };
  readonly configMap?: { readonly name: string };
  readonly downwardAPI?: {
    readonly items: readonly { readonly path: string; readonly fieldRef: { readonly fieldPath: string } }[];
  };
};

type Volume = {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly items?: Items };
  readonly projected?: { readonly sources: readonly Source[] };
  readonly hostPath?: { readonly path: string; readonly type: string };
  readonly emptyDir?: object;
};

type PodSpec = {
  readonly serviceAccountName: string;
  readonly containers: readonly Container[];
  readonly volumes: readonly Volume[];
  readonly securityContext?: Context;
};

type RunningPod = Running & {
  /** Resolves with the exit code when it has ended by itself. */
  readonly ended: Promise<number | null>;
};

export type Kubelet = {
  /** Creates the pod and starts its first container; resolves when `isReady` says so. */
  run(pod: Rendered, image: Image, isReady: () => Promise<boolean>): Promise<RunningPod>;
  /** Of all pods so far: what they wrote, and the tokens that they were given. */
  logs(): string;
  readonly tokens: readonly string[];
  stop(): Promise<void>;
};

const script = join(dirname(fileURLToPath(import.meta.url)), 'container.sh');
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * A kubelet as far as these tests need one. A container is a process in a mount namespace of its own, in which the image
 * is read-only and each volume lies at its mount path; user, groups and capabilities are those of the security context.
 * What it leaves out: a pod's network (the host's serves), a process namespace, limits, probes, and all containers but
 * the first: nothing here has a DCGM image.
 */
export function createKubelet(options: {
  readonly plane: ControlPlane;
  readonly kubectl: Kubectl;
  readonly folder: string;
}): Kubelet {
  const { plane, kubectl, folder } = options;
  const tokens: string[] = [];
  const pods: (() => string)[] = [];
  let started = 0;
  /** By their names. */
  const running = new Map<RunningPod, string>();
  mkdirSync(folder, { recursive: true });

  async function contentOf(source: Source, pod: Rendered): Promise<Record<string, Buffer>> {
    const { serviceAccountToken: own, secret, configMap, downwardAPI } = source;
    const { name, namespace, uid } = metadataOf(pod);
    if (own !== undefined) {
      const bound = [`--bound-object-name=${name}`, `--bound-object-uid=${uid}`, '--bound-object-kind=Pod'];
      const audience = own.audience === undefined ? [] : [`--audience=${own.audience}`];
      const account = specOf(pod).serviceAccountName;
      const args = ['-n', namespace, 'create', 'token', account, '--duration=3607s', ...bound, ...audience];
      const token = (await kubectl(args)).trim();
      tokens.push(token);
      return { [own.path]: Buffer.from(token) };
    }
    if (secret !== undefined) return secretContent(namespace, secret.name, secret.items);
    // A controller would write that ConfigMap.
    if (configMap?.name === 'kube-root-ca.crt') return { 'ca.crt': readFileSync(plane.caFile) };
    if (configMap !== undefined) {
      const { data } = JSON.parse(
        await kubectl(['-n', namespace, 'get', 'configmap', configMap.name, '-o', 'json']),
      ) as { data: Record<string, string> };
      return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text)]));
    }
    const fields = downwardAPI?.items.map(({ path: to, fieldRef }) => [
      to,
      Buffer.from(fieldOf(pod, fieldRef.fieldPath)),
    ]);
    if (fields !== undefined) return Object.fromEntries(fields) as Record<string, Buffer>;
    throw new Error(`a volume of ${name} has a source that is not known: ${JSON.stringify(source)}`);
  }

  async function secretContent(namespace: string, name: string, items: Items | undefined) {
    const text = await kubectl(['-n', namespace, 'get', 'secret', name, '-o', 'json']);
    const { data } = JSON.parse(text) as { data: Record<string, string> };
    const wanted = items ?? Object.keys(data).map((key) => ({ key, path: key }));
    return Object.fromEntries(
      wanted.map(({ key, path: to }) => {
        const value = data[key];
        if (value === undefined) throw new Error(`Secret ${name} has no key ${key}`);
        return [to, Buffer.from(value, 'base64')];
      }),
    );
  }

  /** The files of a volume that the kubelet writes; undefined: it is none of those. */
  async function filesOf(volume: Volume, pod: Rendered): Promise<Record<string, Buffer> | undefined> {
    const { secret, projected } = volume;
    const sources =
      secret === undefined
        ? projected?.sources
        : [{ secret: { name: secret.secretName, ...(secret.items && { items: secret.items }) } }];
    if (sources === undefined) return undefined;
    const contents = await Promise.all(sources.map((source) => contentOf(source, pod)));
    return Object.assign({}, ...contents) as Record<string, Buffer>;
  }

  /**
   * What a volume is made of that the kubelet writes nothing into. Devices are the real ones; a folder of the node is one
   * of ours, the same for all pods, as this is no node.
   */
  function placeOf({ name, hostPath, emptyDir }: Volume, own: string): string {
    if (emptyDir !== undefined) {
      mkdirSync(join(own, name));
      return join(own, name);
    }
    if (hostPath === undefined) throw new Error(`volume ${name} is of a kind that is not known here`);
    if (hostPath.type === 'CharDevice') return hostPath.path;
    const at = join(folder, 'host', hostPath.path);
    mkdirSync(at, { recursive: true });
    return at;
  }

  async function start(pod: Rendered, image: Image): Promise<RunningPod> {
    const { name, namespace } = metadataOf(pod);
    const spec = specOf(pod);
    const [container] = spec.containers;
    if (container === undefined) throw new Error(`pod ${name} has no container`);
    const context = { ...spec.securityContext, ...container.securityContext };
    if (context.readOnlyRootFilesystem !== true) throw new Error(`the image of ${name} would be writable`);
    started += 1;
    const own = join(folder, `${started}-${name}`);
    mkdirSync(join(own, 'root'), { recursive: true });

    const binds = [`${dirname(process.execPath)}:/usr/local/bin`];
    for (const volume of spec.volumes) {
      const files = await filesOf(volume, pod);
      const from = files === undefined ? placeOf(volume, own) : join(own, volume.name);
      if (files !== undefined) {
        const mounted = mountFiles(from, Object.keys(files), { mode: 0o400, group: context.fsGroup });
        mounted.place(files);
      }
      for (const { name: of, mountPath, readOnly } of container.volumeMounts)
        if (of === volume.name) binds.push(`${from}:${readOnly === true ? '' : '+'}${mountPath}`);
    }
    binds.push(`${image.folder}:${image.mountPath}`);

    const environment = Object.fromEntries(
      container.env.map(({ name: key, value, valueFrom }) => [
        key,
        value ?? fieldOf(pod, valueFrom?.fieldRef.fieldPath ?? ''),
      ]),
    );
    const args = container.args.map((arg) =>
      arg.replace(/\$\((\w+)\)/g, (whole, key: string) => environment[key] ?? whole),
    );
    const { hostname, port } = new URL(plane.url);
    const whole = {
      PATH: path,
      HOME: '/',
      HOSTNAME: name,
      KUBERNETES_SERVICE_HOST: hostname,
      KUBERNETES_SERVICE_PORT: port,
      ...image.environment,
      ...environment,
    };
    const [program, programArgs] = guarded('unshare', [
      ...['--mount', 'sh', script, join(own, 'root'), ...binds, '--'],
      ...['setpriv', '--pdeathsig', 'KILL', ...privilegesOf(context, image), '--'],
      // Nothing of this process's environment, to which tap adds as well.
      ...['env', '-i', ...Object.entries(whole).map(([key, value]) => `${key}=${value}`)],
      ...(container.command ?? image.entrypoint),
      ...args,
    ]);
    const child = spawn(program, programArgs, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
    let said = '';
    pods.push(() => said);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const it: RunningPod = {
      pid: child.pid ?? 0,
      errors: () => said,
      ended,
      async kill(signal = 'SIGTERM') {
        if (child.exitCode === null && child.signalCode === null) child.kill(signal);
        await ended;
        running.delete(it);
        await kubectl(['-n', namespace, 'delete', 'pod', name, ...gone]);
      },
    };
    running.set(it, name);
    return it;
  }

  return {
    tokens,
    logs: () => pods.map((said) => said()).join('\n'),
    async run(pod, image, isReady) {
      const { name, namespace } = metadataOf(pod);
      // Left over where a test failed before it ended its pods.
      for (const [left, of] of running) if (of === name) await left.kill('SIGKILL');
      await kubectl(['-n', namespace, 'delete', 'pod', name, ...gone]);
      const created = await kubectl(['create', '-o', 'json', '-f', '-'], JSON.stringify(pod));
      const it = await start(JSON.parse(created) as Rendered, image);
      const status = { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] };
      await patchStatus(kubectl, pod, status);
      let code: number | null | undefined;
      void it.ended.then((exit) => {
        code = exit;
      });
      await until(`pod ${name} is ready`, async () => {
        if (await isReady()) return true;
        if (code !== undefined) throw new Error(`pod ${name} ended: ${it.errors().slice(-2000)}`);
        return false;
      });
      return it;
    },
    async stop() {
      await Promise.all([...running.keys()].map((pod) => pod.kill('SIGKILL')));
    },
  };
}

const gone = ['--ignore-not-found', '--force', '--grace-period=0'];

async function patchStatus(kubectl: Kubectl, pod: Rendered, status: object): Promise<void> {
  const { name, namespace } = metadataOf(pod);
  const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })];
  await kubectl(['-n', namespace, 'patch', 'pod', name, ...patch]);
}

/** The pod that a controller would make for a workload. */
export function podOf(workload: Rendered, name: string, nodeName: string): Rendered {
  const { metadata, spec } = at(workload, 'spec.template') as { metadata: object; spec: object };
  const { namespace } = metadataOf(workload);
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name, namespace },
    spec: { ...spec, nodeName },
  } as Rendered;
}

function specOf(pod: Rendered): PodSpec {
  return pod.spec as PodSpec;
}

function metadataOf({ metadata }: Rendered) {
  return metadata as { readonly name: string; readonly namespace: string; readonly uid: string };
}

function fieldOf(pod: Rendered, fieldPath: string): string {
  const value = at(pod, fieldPath);
  if (typeof value !== 'string') throw new Error(`${fieldPath} is not known of a pod here`);
  return value;
}

/** As options of setpriv. */
function privilegesOf(context: Context, image: Image): readonly string[] {
  const user = context.runAsUser ?? image.user;
  if (context.runAsNonRoot === true && user === 0)
    throw new Error('the image runs as root, which is forbidden');
  const group = context.runAsGroup ?? 0;
  const drops = context.capabilities?.drop?.includes('ALL') === true;
  return [
    `--reuid=${user}`,
    `--regid=${group}`,
    context.fsGroup === undefined ? '--clear-groups' : `--groups=${context.fsGroup}`,
    ...(context.allowPrivilegeEscalation === false ? ['--no-new-privs'] : []),
    ...(drops ? ['--inh-caps=-all', '--bounding-set=-all'] : []),
  ];
}
