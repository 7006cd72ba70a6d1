import { existsSync, readFileSync } from 'node:fs';
import { chart } from '../charts/helm.ts';
import { at, type Rendered } from '../charts/render.ts';
import { type Attached, imageValues, untilShown } from './attached.ts';
import { engineObjects, monitorNamespace, monitorObjects } from './monitor-objects.ts';
import { processesOf } from './node-processes.ts';

/** What a test does with a release. */
export type Release = ReturnType<typeof installOn>;

/** A release of the chart on the cluster, as its tests handle it. Makes nothing yet: `install` does. */
export function installOn({ kubectl, apply, create, read, helm }: Attached, name: string) {
  const namespace = name;
  const fullname = name === 'xidrill' ? name : `${name}-xidrill`;
  const ours = `app.kubernetes.io/instance=${name}`;
  const inRelease = (...args: readonly string[]) => kubectl('-n', namespace, ...args);

  async function rolledOut(): Promise<void> {
    for (const workload of [`daemonset/${fullname}-agent`, `deployment/${fullname}-coordinator`])
      await inRelease('rollout', 'status', workload, '--timeout=180s');
  }

  /** The monitoring agent and its host engines, Ready on every node that they are for. */
  async function startMonitor(engines: readonly object[] = engineObjects): Promise<void> {
    await apply(...monitorObjects, ...engines);
    for (const name of ['eks-node-monitoring-agent', 'dcgm-server']) {
      const status = ['rollout', 'status', `daemonset/${name}`, '--timeout=120s'];
      await kubectl('-n', monitorNamespace, ...status);
    }
  }

  async function installFrom(from: string, ...values: readonly string[]): Promise<void> {
    await helm('install', name, from, '-n', namespace, '--create-namespace', ...imageValues, ...values);
    await rolledOut();
  }

  async function upgradeWith(...words: readonly string[]): Promise<void> {
    await helm('upgrade', name, chart, '-n', namespace, ...words);
    await rolledOut();
  }

  /** helm waits for workloads, not for what they leave: an agent ends its orders first. */
  async function isGone(): Promise<void> {
    await inRelease('wait', 'pod', '-l', ours, '--for=delete', '--timeout=120s');
  }

  return {
    namespace,
    fullname,
    rolledOut,
    /** kubectl in the release's namespace. */
    kubectl: inRelease,
    install: (...values: readonly string[]) => installFrom(chart, ...values),
    installFrom,
    /** As the page says it. */
    upgrade: (...values: readonly string[]) => upgradeWith('--reset-then-reuse-values', ...values),
    upgradeWith,
    isGone,
    /** Also its namespace is gone then. */
    async uninstall(): Promise<void> {
      await helm('uninstall', name, '-n', namespace, '--wait', '--timeout=120s');
      await isGone();
      await kubectl('delete', 'namespace', namespace, '--timeout=60s');
    },
    /** What each container of its pods wrote so far. */
    async logs(): Promise<readonly string[]> {
      const { items } = await read('-n', namespace, 'pods', '-l', ours);
      const ends = ['--all-containers', '--tail=-1'];
      return Promise.all(
        (items as readonly Rendered[]).map(({ metadata }) => inRelease('logs', metadata.name, ...ends)),
      );
    },
    /** Every token that kubelets gave to its pods now. */
    tokens: (): readonly string[] =>
      ['agent', 'coordinator'].flatMap((program) =>
        processesOf(`/opt/xidrill/${program}.mjs`).flatMap((pid) => {
          // Not by /var/run: that link is absolute, and would lead out of the container.
          const files = ['run/secrets/kubernetes.io/serviceaccount/token', 'etc/xidrill/agent/token'];
          return files
            .map((file) => `/proc/${pid}/root/${file}`)
            .filter((file) => existsSync(file))
            .map((file) => readFileSync(file, 'utf8').trim());
        }),
      ),
    /** The injection of that experiment has come to that phase. */
    async reaches(experiment: string, phase: string): Promise<void> {
      const injection = ['injections', '-l', `xidrill.dev/experiment=${experiment}`];
      await untilShown(
        `${experiment} is ${phase}`,
        async () => at(await read('-n', namespace, ...injection), 'items.0.status.phase') === phase,
      );
    },
    /** Those of one program, or of both; those that are being deleted are left out. */
    async pods(component?: 'agent' | 'coordinator'): Promise<readonly Rendered[]> {
      const more = component === undefined ? '' : `,app.kubernetes.io/component=${component}`;
      const { items } = await read('-n', namespace, 'pods', '-l', `${ours}${more}`);
      return (items as readonly Rendered[]).filter(
        ({ metadata }) => at(metadata, 'deletionTimestamp') === undefined,
      );
    },
    /** A drill by kubectl alone, as README has it; answers when it has ended. */
    async drill(experiment: string, node: string, fault: object, more: object = {}): Promise<Rendered> {
      await create({
        apiVersion: 'xidrill.dev/v1alpha1',
        kind: 'Experiment',
        metadata: { name: experiment, namespace },
        spec: { fault, target: { selector: { names: [node] } }, ...more },
      });
      await inRelease(
        ...['wait', `experiment/${experiment}`, '--for=jsonpath={.status.phase}=Completed', '--timeout=240s'],
      );
      return read('-n', namespace, 'experiment', experiment);
    },
    startMonitor,
    /** With monitoring agents that have reported nothing yet: a node's Warnings share one bucket of 25 (client-go's spam filter). */
    async restartMonitor(engines: readonly object[] = engineObjects): Promise<void> {
      await startMonitor(engines);
      await kubectl('-n', monitorNamespace, 'rollout', 'restart', 'daemonset/eks-node-monitoring-agent');
      await startMonitor(engines);
    },
    /** The monitoring agent of that node has connected to its host engine: up to 30 s after both have started. */
    async listens(node: string): Promise<void> {
      const agents = ['-l', 'app.kubernetes.io/name=eks-node-monitoring-agent'];
      await untilShown(
        `the monitoring agent on ${node} listens`,
        async () => {
          const field = `--field-selector=spec.nodeName=${node}`;
          const { items } = await read('-n', monitorNamespace, 'pods', ...agents, field);
          const [pod] = items as readonly Rendered[];
          if (pod === undefined) return false;
          const log = await kubectl('-n', monitorNamespace, 'logs', pod.metadata.name);
          return log.includes('Listening for violations');
        },
        120,
      );
    },
  };
}
