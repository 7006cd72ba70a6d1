import {
  type DoctorGroup,
  type DoctorLink,
  type DoctorReport,
  doctorLinks,
  type LinkState,
  type NodeFinding,
} from './report.ts';

const rank: Readonly<Record<LinkState, number>> = { broken: 0, unknown: 1, ok: 2, none: 3 };

/** Nodes with the same causes are one group; those that are judged by owner, one for each owner. */
export function groupNodes(nodes: readonly NodeFinding[]): readonly DoctorGroup[] {
  return doctorLinks.flatMap((link) => groupsOf(link, nodes));
}

function groupsOf(link: DoctorLink, nodes: readonly NodeFinding[]): readonly DoctorGroup[] {
  const groups = new Map<string, NodeFinding[]>();
  for (const node of nodes) {
    const key = keyOf(link, node);
    groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  return [...groups.values()]
    .flatMap((members): DoctorGroup[] => {
      const [first] = members;
      if (first === undefined) return [];
      return [
        {
          link,
          owner: link === 'taint' ? first.owner : '',
          nodes: members.map(({ node }) => node),
          example: first.node,
          repairs: link === 'taint' ? first.repairs : [],
          ...first.links[link],
        },
      ];
    })
    .toSorted(
      (left, right) => rank[left.state] - rank[right.state] || right.nodes.length - left.nodes.length,
    );
}

/** Causes by their codes: their sentences name the node. */
function keyOf(link: DoctorLink, { owner, links, repairs }: NodeFinding): string {
  const { state, because, causes, open } = links[link];
  return JSON.stringify([
    state,
    causes.map(({ code, certainty }) => [code, certainty]),
    open.map(({ code }) => code),
    ...(link === 'taint' ? [owner, repairs.map(({ willAct, action }) => [willAct, action])] : []),
    ...(link === 'detection' ? [because] : []),
  ]);
}

/** Over all links that are asked for. */
export function resultOf(nodes: readonly NodeFinding[]): DoctorReport['result'] {
  // Nothing was looked at: that is no good news.
  if (nodes.length === 0) return 'unknown';
  const states = nodes.flatMap(({ links }) => doctorLinks.map((link) => links[link].state));
  if (states.includes('broken')) return 'broken';
  return states.includes('unknown') ? 'unknown' : 'ok';
}
