import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Arrow, partsOfArrow, type TablePod } from '../charts/network/flows.ts';
import { guarded } from '../cluster/controlplane/guard.ts';
import { until } from '../cluster/processes.ts';
import type { Attached } from './attached.ts';
import type { Question, Socket } from './flow-end.ts';
import { network } from './network.ts';
import { processesOf } from './node-processes.ts';
import { imageNames } from './program-images.ts';

/** The pods of the table in the cluster, each with a process in its network namespace that connects and is connected to. */
export type FlowWorld = {
  /** Which of them come about now. */
  try(arrows: readonly Arrow[]): Promise<readonly Arrow[]>;
  stop(): Promise<void>;
};

/** Where pods run; the agent and a stranger share a node, as pods on one bridge do. */
const nodeOf: Readonly<Record<string, string>> = {
  agent: 'gpu-1',
  'other agent': 'gpu-2',
  coordinator: 'system-1',
  stranger: 'gpu-1',
  test: 'system-1',
};
const elsewhere = 'gpu-2';

/** What is no pod: outside of the cluster, in the network namespace of this process. */
const outside: Readonly<Record<string, string>> = {
  'API server': network.gateway,
  metadata: '169.254.169.254',
  internet: '203.0.113.7',
};

/** Starts the pods, and listens wherever one of the arrows leads. */
export async function startFlowWorld(
  { nodes, kubectl, apply, read }: Attached,
  pods: Readonly<Record<string, TablePod>>,
  arrows: readonly Arrow[],
): Promise<FlowWorld> {
  const namespaces = [...new Set(Object.values(pods).map(({ namespace }) => namespace))].filter(
    (namespace) => namespace !== 'kube-system',
  );
  for (const address of [outside.metadata, outside.internet])
    execFileSync('ip', ['addr', 'replace', `${address}/32`, 'dev', 'lo']);
  await apply(...namespaces.map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })));
  // Made by a controller; pods are refused before.
  for (const namespace of namespaces)
    await until(
      `namespace ${namespace} has its ServiceAccount`,
      async () => (await kubectl('-n', namespace, 'get', 'serviceaccount', '-o', 'name')) !== '',
    );
  const objects = Object.entries(pods).map(([name, pod]) => podObject(name, pod));
  await apply(...objects);
  const ofThese = ['-A', '-l', 'xidrill.test/flows=pod'];
  await kubectl('wait', 'pod', ...ofThese, '--for=condition=Ready', '--timeout=120s');
  const { items } = await read('pods', ...ofThese);
  const addresses = new Map<string, string>(Object.entries(outside));
  for (const { metadata, status } of items as readonly PodRead[])
    addresses.set(metadata.annotations['xidrill.test/name'], status.podIP);

  const ends = new Map<string, End>();
  for (const name of Object.keys(pods)) {
    const node = nodeOf[name] ?? elsewhere;
    const [pid] = processesOf(`/pause ${slug(name)} `, node);
    if (pid === undefined) throw new Error(`the pod of ${name} has no process on ${node}`);
    ends.set(name, startEnd(`/proc/${pid}/ns/net`));
  }
  for (const [name, pod] of [
    ['node of agent', 'agent'],
    ['node of coordinator', 'coordinator'],
  ] as const) {
    const node = nodes.find((each) => each.name === nodeOf[pod]);
    ends.set(name, startEnd(`/run/netns/${node?.name}`));
  }
  const here = startEnd();
  for (const name of Object.keys(outside)) ends.set(name, here);
  const endOf = (name: string): End => {
    const end = ends.get(name);
    if (end === undefined) throw new Error(`the cluster has no ${name}`);
    return end;
  };
  const socketOf = (arrow: Arrow): Socket => {
    const { from, to, port, protocol } = partsOfArrow(arrow);
    const own = outside[from];
    return {
      address: addresses.get(to) ?? '',
      port,
      protocol,
      ...(own === undefined ? {} : { from: own }),
    };
  };

  const listening = new Map<End, Map<string, Socket>>();
  for (const arrow of arrows) {
    const { address, port, protocol } = socketOf(arrow);
    const end = endOf(partsOfArrow(arrow).to);
    const sockets = listening.get(end) ?? new Map<string, Socket>();
    listening.set(end, sockets);
    // The API server itself.
    if (address === network.gateway && port === network.apiServerPort) continue;
    sockets.set(`${address} ${port} ${protocol}`, { address, port, protocol });
  }
  await Promise.all([...listening].map(([end, sockets]) => end.ask({ listen: [...sockets.values()] })));

  return {
    async try(asked) {
      const byEnd = Map.groupBy(asked, (arrow) => endOf(partsOfArrow(arrow).from));
      const answers = await Promise.all(
        [...byEnd].map(async ([end, own]) => {
          const came = await end.ask({ try: own.map(socketOf) });
          return own.filter((_arrow, index) => came[index] === true);
        }),
      );
      const came = new Set(answers.flat());
      return asked.filter((arrow) => came.has(arrow));
    },
    async stop() {
      await Promise.all([...new Set(ends.values())].map((end) => end.stop()));
      await kubectl('delete', 'pod', ...ofThese, '--grace-period=0', '--force', '--wait=true');
    },
  };
}

type PodRead = {
  readonly metadata: { readonly annotations: { readonly 'xidrill.test/name': string } };
  readonly status: { readonly podIP: string };
};

const slug = (name: string) => name.toLowerCase().replaceAll(' ', '-');

/** A pod that does nothing; whoever wants something of its network enters that. */
function podObject(name: string, { namespace, labels, ports }: TablePod): object {
  const node = nodeOf[name] ?? elsewhere;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `flows-${slug(name)}`,
      namespace,
      labels: { ...labels, 'xidrill.test/flows': 'pod' },
      annotations: { 'xidrill.test/name': name },
    },
    spec: {
      nodeName: node,
      automountServiceAccountToken: false,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'end',
          image: imageNames.pause,
          command: ['/pause', slug(name)],
          env: [{ name: 'NODE_NAME', value: node }],
          ports: Object.entries(ports).map(([port, containerPort]) => ({ name: port, containerPort })),
        },
      ],
    },
  };
}

type End = { ask(question: Question): Promise<readonly boolean[]>; stop(): Promise<void> };

function startEnd(networkNamespace?: string): End {
  const program = [process.execPath, join(import.meta.dirname, 'flow-end.ts')] as const;
  const words =
    networkNamespace === undefined ? program : ['nsenter', `--net=${networkNamespace}`, ...program];
  const [first = '', ...rest] = words;
  const child: ChildProcess = spawn(...guarded(first, rest), { stdio: ['pipe', 'pipe', 'inherit'] });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('no pipes');
  const lines = createInterface(stdout)[Symbol.asyncIterator]();
  let before: Promise<unknown> = Promise.resolve();
  const ended = once(child, 'exit');
  return {
    ask(question) {
      const answer = before.then(async () => {
        stdin.write(`${JSON.stringify(question)}\n`);
        const { value } = await lines.next();
        if (value === undefined)
          throw new Error(`the end in ${networkNamespace ?? 'this namespace'} has ended`);
        return JSON.parse(value) as readonly boolean[];
      });
      before = answer.catch(() => undefined);
      return answer;
    },
    async stop() {
      stdin.end();
      await ended;
    },
  };
}
