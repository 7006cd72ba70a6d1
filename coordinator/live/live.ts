import { type Clock, isoFromMillis } from '../../shared/clock.ts';
import { judgeAll } from '../diagnosis/explain.ts';
import { nodesOf, notReadOf, standingOf } from '../doctor/doctor.ts';
import { examineNode } from '../doctor/examine.ts';
import { groupNodes } from '../doctor/group.ts';
import { type DoctorGroup, doctorLinks, type NotRead } from '../doctor/report.ts';
import type { ReadCluster } from '../view/collect.ts';
import type { Facts } from '../view/facts.ts';
import { hasGpu } from '../view/node.ts';
import { takeSnapshot } from '../view/snapshot.ts';
import type { WhyAnswer } from '../why/finding.ts';
import type { Fact } from '../why/piece.ts';
import { explainTexts, type Input } from '../why/why.ts';
import { type Claim, checkFindings } from './claims.ts';
import { type AbsentNode, type NamedNode, namedNodes } from './named.ts';

/** What a text says, joined with what the cluster shows now. What comes from which stands apart. */
export type LiveAnswer = {
  /** The version of this shape. */
  readonly schema: 'xidrill.dev/why-live/v1';
  /** Of both: what the cluster shows now counts more than what the text shows of an earlier time. */
  readonly result: WhyAnswer['result'];
  /** One or two sentences. */
  readonly summary: string;
  /** The text. Where the cluster shows which NMA runs and which architecture, its pieces are judged by these. */
  readonly pasted: WhyAnswer;
  readonly live: {
    /** RFC 3339, the clock of this machine. */
    readonly at: string;
    /** The nodes that were examined, and why these. */
    readonly nodes: readonly NamedNode[];
    readonly absent: readonly AbsentNode[];
    /** The links that the text is about, as doctor finds them; equal nodes are one. */
    readonly links: readonly DoctorGroup[];
    /** What of the text the cluster confirms, or refutes. */
    readonly claims: readonly Claim[];
    /** What the text says of versions and architecture and the cluster shows otherwise. */
    readonly differs: readonly {
      readonly what: string;
      readonly pasted: string;
      readonly now: string;
      readonly source: string;
    }[];
    readonly notRead: readonly NotRead[];
  };
};

/**
 * Explains texts and examines the nodes that they name: `nodes`, else those that are named in the texts, else every GPU node. Reads only, with the
 * rights of the caller. Throws `node_missing` for one of `nodes` that there is not, and as `takeSnapshot` does.
 */
export async function explainLive(options: {
  readonly cluster: ReadCluster;
  readonly inputs: readonly Input[];
  readonly nodes: readonly string[];
  /** Where our agents would be. */
  readonly namespace: string;
  readonly clock: Clock;
}): Promise<LiveAnswer> {
  const { inputs, clock } = options;
  const snapshot = await takeSnapshot(options);
  const { known } = snapshot;
  const found = namedNodes(inputs, known);
  const nodes = await chosen();
  const facts = await standingOf(
    snapshot,
    nodes.map(({ node }) => node),
    clock,
  );
  const pasted = explainTexts(inputs, freshFacts(facts));
  const about = new Set(pasted.findings.map(({ link }) => link));
  const claims = checkFindings(
    pasted.findings,
    facts.map((one) => ({ node: one.node.name, judged: judgeAll(one) })),
  );
  const links = groupNodes(facts.map(examineNode)).filter(({ link }) => about.size === 0 || about.has(link));
  const unread = known.unread('nodes');
  return {
    schema: 'xidrill.dev/why-live/v1',
    ...outcomeOf(pasted, claims, links, unread?.unread),
    pasted,
    live: {
      at: isoFromMillis(clock.now()),
      nodes,
      absent: found.absent,
      links,
      claims,
      differs: differences(pasted, facts),
      notRead: notReadOf(snapshot),
    },
  };

  async function chosen(): Promise<readonly NamedNode[]> {
    if (options.nodes.length > 0)
      return (await nodesOf(snapshot, { nodes: options.nodes })).map((node) => ({
        node,
        because: 'it was asked for',
      }));
    if (found.nodes.length > 0) return found.nodes;
    // The text is about a node that is gone: others are no answer to it.
    if (found.absent.length > 0) return [];
    return known
      .all('nodes')
      .filter(hasGpu)
      .map(({ metadata }) => ({ node: metadata.name, because: 'the text names no node' }))
      .toSorted((left, right) => (left.node < right.node ? -1 : 1));
  }
}

/** What all examined nodes have in common, as facts with the objects that show them. */
function freshFacts(facts: readonly Facts[]): readonly Fact[] {
  return [common(facts, versionFact), common(facts, architectureFact)].filter((fact) => fact !== undefined);
}

function common(facts: readonly Facts[], read: (facts: Facts) => Fact | undefined): Fact | undefined {
  const [first, ...others] = facts.map(read);
  const valueIn = (fact: Fact | undefined) =>
    fact === undefined ? undefined : fact.is === 'architecture' ? fact.architecture : fact.version;
  return others.every((other) => valueIn(other) === valueIn(first)) ? first : undefined;
}

function versionFact({ nma, node }: Facts): Fact | undefined {
  if (nma.version === undefined) return undefined;
  // Of its image, `…/eks-node-monitoring-agent:v1.6.4-eksbuild.1`.
  const { text } = nma.version;
  const version = /:v?(\d+\.\d+\.\d+[\w.-]*)/.exec(text)?.[1] ?? text;
  return {
    is: 'nma-version',
    version,
    source: `cluster: the pod of NMA on node ${node.name}`,
    observed: `NMA ${version} runs there now`,
  };
}

function architectureFact({ node }: Facts): Fact | undefined {
  const { architecture, name } = node;
  if (architecture === '') return undefined;
  return { is: 'architecture', architecture, source: `cluster: node ${name}`, observed: architecture };
}

function differences(pasted: WhyAnswer, facts: readonly Facts[]): LiveAnswer['live']['differs'] {
  return freshFacts(facts).flatMap((fact) => {
    const [what, now] =
      fact.is === 'architecture'
        ? (['architecture', fact.architecture] as const)
        : (['NMA version', fact.version] as const);
    const others = pasted.known.filter((one) => one.what === what && !isSameVersion(one.value, now));
    const source = 'source' in fact ? fact.source : '';
    return others.map(({ value }) => ({ what, pasted: value, now, source }));
  });
}

/** `1.6.4` is the version of the add-on’s build `1.6.4-eksbuild.1`, and a `v` says nothing. */
function isSameVersion(left: string, right: string): boolean {
  const core = (version: string) => version.replace(/^v/, '').split('-')[0];
  return core(left) === core(right);
}

function outcomeOf(
  pasted: WhyAnswer,
  claims: readonly Claim[],
  links: readonly DoctorGroup[],
  unread: string | undefined,
): Pick<LiveAnswer, 'result' | 'summary'> {
  const claimOf = (finding: WhyAnswer['findings'][number]) =>
    claims.find(
      ({ code, line, file }) => code === finding.code && line === finding.line && file === finding.file,
    );
  const broken = pasted.findings.find((one) => one.result === 'broken' && claimOf(one)?.now !== 'no-longer');
  const live = links.find(({ state }) => state === 'broken');
  const gone = pasted.findings.filter((one) => one.result === 'broken' && claimOf(one)?.now === 'no-longer');
  const over =
    gone.length === 0
      ? ''
      : ` No longer so in the cluster: ${[...new Set(gone.map(({ code }) => code))].join(', ')}.`;
  if (unread !== undefined)
    return { result: pasted.result, summary: `${pasted.summary} The cluster says nothing: ${unread}.` };
  if (live !== undefined) {
    const [cause] = live.causes;
    const what = cause === undefined ? live.because : `${cause.code}: ${cause.summary}`;
    const now = `The chain is broken now at ${live.link} on ${countOf(live.nodes)}: ${what}`;
    // The first broken link explains; what was done wrong before it explains more.
    const isFirst = broken !== undefined && rank(broken.link) < rank(live.link);
    return { result: 'broken', summary: `${isFirst ? `${pasted.summary} ` : ''}${now}${over}` };
  }
  if (broken !== undefined) return { result: 'broken', summary: `${pasted.summary}${over}` };
  const isOpen =
    links.length === 0 ||
    links.some(({ state }) => state === 'unknown') ||
    pasted.findings.some((one) => one.result === 'open' && claimOf(one)?.now !== 'no-longer') ||
    pasted.findings.length === 0;
  const nothing =
    gone.length === 0
      ? 'Nothing in the text is a broken link, and none was found in the cluster.'
      : 'What the text shows is mended: no link that it is about is broken in the cluster now.';
  return { result: isOpen ? 'open' : 'works', summary: `${nothing}${over}` };
}

/** Its place in the chain. */
function rank(link: DoctorGroup['link']): number {
  return doctorLinks.indexOf(link);
}

function countOf(nodes: readonly string[]): string {
  const [only = ''] = nodes;
  return nodes.length === 1 ? only : `${nodes.length} nodes`;
}
