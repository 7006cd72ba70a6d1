import { text } from '../view/node.ts';
import type { Snapshot } from '../view/snapshot.ts';
import type { Input } from '../why/why.ts';

/** A node of the cluster, and what in the text names it. */
export type NamedNode = { readonly node: string; readonly because: string };

/** A name of a node that the text has and the cluster has not. */
export type AbsentNode = { readonly name: string; readonly because: string };

/** More names are not looked for: a paste of a whole fleet is a question about the fleet. */
const mostNamed = 50;

/** A private IP name of EC2, as EKS names its nodes (docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html). */
const ec2Name = /^ip(?:-\d{1,3}){4}(?:\.[a-z0-9.-]+)?$/;

/**
 * The nodes that a text names: by their names, by their host names, by the ids of their instances, or by a pod of NMA, dcgm-server or
 * Xidrill that runs on them. A name without any digit is an ordinary word as well, and names nothing.
 */
export function namedNodes(
  inputs: readonly Input[],
  known: Snapshot['known'],
): { readonly nodes: readonly NamedNode[]; readonly absent: readonly AbsentNode[] } {
  const names = namesOf(known);
  const nodes = new Map<string, NamedNode>();
  const absent = new Map<string, AbsentNode>();
  for (const token of tokensOf(inputs)) {
    const found = names.get(token);
    if (found !== undefined && !nodes.has(found.node)) nodes.set(found.node, found);
    else if (found === undefined && ec2Name.test(token))
      absent.set(token, {
        name: token,
        because: 'the cluster has no node of this name: it was replaced, or it is another cluster',
      });
    if (nodes.size >= mostNamed) break;
  }
  return { nodes: [...nodes.values()], absent: [...absent.values()].slice(0, mostNamed) };
}

function tokensOf(inputs: readonly Input[]): ReadonlySet<string> {
  const words = inputs.flatMap((input) => input.text.split(/[^A-Za-z0-9.-]+/));
  return new Set(words.map((word) => word.replace(/^[.-]+|[.-]+$/g, '')).filter((word) => /\d/.test(word)));
}

function namesOf(known: Snapshot['known']): ReadonlyMap<string, NamedNode> {
  const names = new Map<string, NamedNode>();
  for (const kind of ['nmaPods', 'dcgmServerPods', 'agentPods'] as const)
    for (const pod of known.all(kind)) {
      const node = text(pod, 'spec', 'nodeName');
      const { name } = pod.metadata;
      if (node !== undefined) names.set(name, { node, because: `the pod ${name} runs there` });
    }
  for (const object of known.all('nodes')) {
    const node = object.metadata.name;
    const instance = text(object, 'spec', 'providerID')?.split('/').at(-1);
    const [short = ''] = node.split('.');
    if (instance !== undefined) names.set(instance, { node, because: `its instance is ${instance}` });
    // The host name stands in the kernel log and the journal.
    if (ec2Name.test(short)) names.set(short, { node, because: `its host name is ${short}` });
  }
  for (const { metadata } of known.all('nodes'))
    names.set(metadata.name, { node: metadata.name, because: 'the text has its name' });
  return names;
}
