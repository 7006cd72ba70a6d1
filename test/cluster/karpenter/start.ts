import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { GivenPolicy } from '../../../coordinator/catalogue/repair/given-policies.ts';
import { controllerBinaries } from '../controlplane/build.ts';
import { guarded } from '../controlplane/guard.ts';
import type { ControlPlane } from '../controlplane/start.ts';
import { freePort, until } from '../processes.ts';
import { type KarpenterVersion, karpenterOf, kwokProgram } from './build.ts';

/** Controllers, scheduler and simulated kubelets beside an API server, and a Karpenter that can be started anew. */
export type Controllers = {
  /** Where Karpenter finds its policies; the coordinator reads the same file. */
  readonly policiesFile: string;
  /** Starts Karpenter, or another one in its place. */
  startKarpenter(options: { readonly nodeRepair: boolean }): Promise<void>;
  stopKarpenter(): Promise<void>;
  /** The end of each program's log. */
  logs(): Promise<string>;
  stop(): Promise<void>;
};

type Program = { readonly name: string; readonly child: ChildProcess; readonly logFile: string };

const isIn = (key: string, value: string) => ({ key, operator: 'In', values: [value] });

/** One GPU each, so that pods that ask for one get a node each. */
const instanceTypes = [
  {
    name: 'g5.4xlarge',
    architecture: 'amd64',
    operatingSystems: ['linux'],
    offerings: [
      {
        Price: 1.624,
        Available: true,
        Requirements: [
          isIn('karpenter.sh/capacity-type', 'on-demand'),
          isIn('topology.kubernetes.io/zone', 'us-east-1a'),
        ],
      },
    ],
    resources: {
      cpu: '16',
      memory: '64Gi',
      'ephemeral-storage': '600Gi',
      pods: '110',
      'nvidia.com/gpu': '1',
    },
  },
];

/** Builds what is missing, applies Karpenter's definitions and starts everything but Karpenter. */
export async function startControllers(
  plane: ControlPlane,
  options: {
    readonly version: KarpenterVersion;
    readonly policies: readonly GivenPolicy[];
    readonly log: (line: string) => void;
  },
): Promise<Controllers> {
  const { version, policies, log } = options;
  const { controllerManager, scheduler } = await controllerBinaries({ log });
  const kwok = await kwokProgram(log);
  const karpenter = await karpenterOf(version, log);
  // The control plane removes its folder with everything in it.
  const folder = dirname(plane.kubeconfigPath);
  const policiesFile = join(folder, 'repair-policies.json');
  const typesFile = join(folder, 'instance-types.json');
  await writeFile(policiesFile, JSON.stringify(policies));
  await writeFile(typesFile, JSON.stringify(instanceTypes));
  const files = karpenter.definitions.flatMap((file) => ['-f', file]);
  // The schemas are too long for the annotation of a client-side apply.
  const applied = await plane.kubectl(['apply', '--server-side', ...files]);
  if (applied.exitCode !== 0) throw new Error(applied.stderr);

  const programs: Program[] = [];

  function launch(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Program {
    const name = file.slice(file.lastIndexOf('/') + 1);
    const logFile = join(folder, `${name}-${programs.length}.log`);
    const output = openSync(logFile, 'w');
    const child = spawn(...guarded(file, args), {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
    });
    closeSync(output);
    child.unref();
    const program = { name, child, logFile };
    programs.push(program);
    return program;
  }

  const kubeconfig = `--kubeconfig=${plane.kubeconfigPath}`;
  launch(controllerManager, [
    kubeconfig,
    '--leader-elect=false',
    '--secure-port=0',
    `--service-account-private-key-file=${join(folder, 'service-account.key')}`,
    // Those that act on nodes, pods and what owns pods; the rest would only take time.
    `--controllers=${[
      'daemonset-controller',
      'deployment-controller',
      'disruption-controller',
      'garbage-collector-controller',
      'node-lifecycle-controller',
      'pod-garbage-collector-controller',
      'replicaset-controller',
      'serviceaccount-controller',
      'taint-eviction-controller',
    ].join(',')}`,
  ]);
  launch(scheduler, [kubeconfig, '--leader-elect=false', '--secure-port=0']);
  launch(kwok, [
    kubeconfig,
    '--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake',
    '--node-lease-duration-seconds=40',
    `--server-address=127.0.0.1:${await freePort()}`,
  ]);
  let running: Program | undefined;

  const stopKarpenter = async () => {
    await ended(running);
    running = undefined;
  };

  return {
    policiesFile,
    stopKarpenter,
    async startKarpenter({ nodeRepair }) {
      await stopKarpenter();
      const healthPort = await freePort();
      running = launch(karpenter.program, [], {
        KUBECONFIG: plane.kubeconfigPath,
        FEATURE_GATES: `NodeRepair=${nodeRepair}`,
        DISABLE_LEADER_ELECTION: 'true',
        SYSTEM_NAMESPACE: 'kube-system',
        KUBERNETES_MIN_VERSION: '1.26.0',
        METRICS_PORT: String(await freePort()),
        HEALTH_PROBE_PORT: String(healthPort),
        REPAIR_POLICIES: policiesFile,
        INSTANCE_TYPES_FILE_PATH: typesFile,
      });
      const { child, logFile } = running;
      await until('Karpenter is ready', async () => {
        if (child.exitCode !== null) throw new Error(`Karpenter ended:\n${await tail(logFile)}`);
        return (await fetch(`http://127.0.0.1:${healthPort}/readyz`).catch(() => undefined))?.ok === true;
      });
    },
    async logs() {
      const texts = programs.map(async ({ name, logFile }) => `--- ${name}\n${await tail(logFile)}`);
      return (await Promise.all(texts)).join('\n');
    },
    async stop() {
      for (const program of programs.toReversed()) await ended(program);
    },
  };
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-25).join('\n');
}

/** Nothing that they hold outlives the test, so that none is asked to end in peace. */
async function ended(program: Program | undefined): Promise<void> {
  const child = program?.child;
  if (child === undefined || child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
    return;
  const end = new Promise<void>((done) => child.once('exit', () => done()));
  child.ref();
  child.kill('SIGKILL');
  await end;
}
