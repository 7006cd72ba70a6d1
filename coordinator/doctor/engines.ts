import { parseDiscovery, parseVersions } from '../../shared/dcgmi/discovery.ts';
import { groupOfNma, parseFieldGroups, whyGroupsIncomplete } from '../../shared/dcgmi/field-groups.ts';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import { inParallel } from '../../shared/parallel.ts';
import type { Container, PodExec } from '../cluster/exec.ts';
import { text } from '../view/node.ts';
import { mainContainer, servingPod } from '../view/one-of-several.ts';
import type { Snapshot } from '../view/snapshot.ts';
import type { DoctorCause, NodeFinding, NotRead, OpenQuestion } from './report.ts';

/** All that is ever run in a pod: these ask the host engine and change nothing (dcgm.md §1.7, §1.9). */
export const readOnlyCalls = {
  version: ['dcgmi', '-v'],
  gpus: ['dcgmi', 'discovery', '-l'],
  groups: ['dcgmi', 'fieldgroup', '-l'],
} as const;

/** One dcgmi call: its own patience is 5 s; the longest output is that of discovery, 1 KB a GPU. */
export const execLimits = { timeoutMs: 20_000, mostBytes: 256 * 1024 } as const;

/** Nodes whose engines are asked; each costs three calls. */
const mostNodes = 50;

/** What the engine of a node answered: causes that it proves, or what stayed open. */
type EngineFinding = {
  readonly node: string;
  readonly because: string;
  readonly causes: readonly DoctorCause[];
  readonly open: readonly OpenQuestion[];
};

/**
 * Asks the host engines of nodes by their own dcgmi, in the pods of dcgm-server. Adds to the detection link of each node what it finds;
 * a right that is missing, or an engine that cannot be asked, is an open question. `at`: RFC 3339, of the evidence.
 */
export async function askEngines(
  nodes: readonly NodeFinding[],
  snapshot: Snapshot,
  exec: PodExec,
  at: string,
): Promise<{ readonly nodes: readonly NodeFinding[]; readonly notRead: readonly NotRead[] }> {
  const notRead = new Map<string, NotRead>();
  const asked = nodes.slice(0, mostNodes);
  const findings = await inParallel(asked, 5, async ({ node }) => {
    const container = containerOn(node, snapshot);
    if (container === undefined) return undefined;
    try {
      // One refusal is that of all: the right is one of the namespace.
      const refused = notRead.get(container.namespace);
      return refused === undefined ? await ask(node, container, exec, at) : notAsked(node, refused.because);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      if (thrown.details.httpStatus === 403)
        notRead.set(container.namespace, {
          what: 'exec in pods',
          because: thrown.message,
          // Up to Kubernetes 1.34 a WebSocket needs the verb get, then create (KEP-4006, AuthorizePodWebsocketUpgradeCreatePermission).
          command: `kubectl auth can-i create pods/exec -n ${container.namespace} && kubectl auth can-i get pods/exec -n ${container.namespace}`,
        });
      return notAsked(node, messageFromUnknown(thrown));
    }
  });
  const found = new Map(findings.flatMap((one) => (one === undefined ? [] : [[one.node, one] as const])));
  const left = nodes
    .slice(mostNodes)
    .map(({ node }) =>
      notAsked(node, `only the engines of ${mostNodes} nodes are asked at once; name it with --node ${node}`),
    );
  for (const one of left) found.set(one.node, one);
  return {
    nodes: nodes.map((node) => withEngine(node, found.get(node.node))),
    notRead: [...notRead.values()],
  };
}

/** The engine's container. */
function containerOn(node: string, { known }: Snapshot): Container | undefined {
  const running = known
    .podsOf('dcgmServerPods', node)
    .filter((one) => text(one, 'status', 'phase') === 'Running');
  const pod = servingPod(running);
  const { name, namespace = 'kube-system' } = pod?.metadata ?? { name: '' };
  const container = text(mainContainer(pod?.spec), 'name');
  return pod === undefined || container === undefined ? undefined : { namespace, pod: name, container };
}

async function ask(node: string, container: Container, exec: PodExec, at: string): Promise<EngineFinding> {
  const shown = (call: readonly string[]) =>
    `kubectl -n ${container.namespace} exec ${container.pod} -- ${call.join(' ')}`;
  const gpus = await exec(container, readOnlyCalls.gpus);
  const found = parseDiscovery(gpus.output);
  const seenGpus = {
    at,
    source: shown(readOnlyCalls.gpus),
    observed:
      found.gpus.length > 0 || gpus.exitCode === 0
        ? `${found.gpus.length} GPUs, exit code ${gpus.exitCode}`
        : `exit code ${gpus.exitCode}: ${firstLine(gpus.output)}`,
  };
  if (gpus.exitCode !== 0 && found.gpus.length === 0)
    return notAsked(node, `${seenGpus.source}: ${seenGpus.observed}`);
  const version = parseVersions((await exec(container, readOnlyCalls.version)).output).engine;
  const groups = await exec(container, readOnlyCalls.groups);
  const parsed = parseFieldGroups(groups.output);
  const group = groupOfNma(parsed);
  const incomplete =
    groups.exitCode === 0 ? whyGroupsIncomplete(groups.output, parsed) : `exit code ${groups.exitCode}`;
  const evidence = [
    seenGpus,
    {
      at,
      source: shown(readOnlyCalls.groups),
      observed:
        group === undefined
          ? `no field group "watch" with fields 112, 856, 857 among ${parsed.length}`
          : `field group "watch" (${group.fields.join(', ')})`,
    },
  ];
  const engine = version === null ? 'the host engine' : `host engine ${version}`;
  const causes: DoctorCause[] = [];
  if (found.gpus.length === 0 && found.gpuListIncomplete === undefined && found.unreadableGpus === undefined)
    causes.push({
      code: 'engine-without-gpus',
      title: 'The host engine has no GPU',
      certainty: 'proven',
      summary: `The ${engine} of node ${node} lists no GPU: it looked for the driver when it started.`,
      evidence: [seenGpus],
      remedy: 'Restart the pod of the host engine.',
      commands: [`kubectl -n ${container.namespace} delete pod ${container.pod}`],
    });
  if (group === undefined && incomplete === undefined)
    causes.push({
      code: 'nobody-listens',
      title: 'NMA listens on no host engine of the node',
      certainty: 'likely',
      summary: `NMA is not connected to the ${engine} of node ${node}: nothing that this engine finds reaches it.`,
      evidence,
      remedy: 'Read whether NMA has connected.',
      commands: [
        `kubectl -n ${container.namespace} logs -l app.kubernetes.io/name=eks-node-monitoring-agent --field-selector spec.nodeName=${node} | grep -i dcgm`,
      ],
    });
  const open =
    group === undefined && incomplete !== undefined
      ? [{ code: 'nobody-listens', title: 'NMA listens on no host engine of the node', because: incomplete }]
      : [];
  return { node, because: `NMA is connected to ${engine} with ${found.gpus.length} GPUs`, causes, open };
}

function notAsked(node: string, because: string): EngineFinding {
  const open = { code: 'nobody-listens', title: 'NMA listens on no host engine of the node', because };
  return { node, because, causes: [], open: [open] };
}

function withEngine(finding: NodeFinding, engine: EngineFinding | undefined): NodeFinding {
  if (engine === undefined) return finding;
  const { detection } = finding.links;
  const causes = [...detection.causes, ...engine.causes];
  const open = [...detection.open, ...engine.open];
  const state = causes.length > 0 ? 'broken' : open.length > 0 ? 'unknown' : detection.state;
  const because = state === 'ok' ? `${detection.because}; ${engine.because}` : '';
  return { ...finding, links: { ...finding.links, detection: { state, because, causes, open } } };
}

function firstLine(output: string): string {
  return (output.split('\n').find((line) => line.trim() !== '') ?? 'no output').trim().slice(0, 200);
}
