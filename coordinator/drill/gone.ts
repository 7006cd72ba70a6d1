import { renderDuration } from '../../shared/duration.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';
import { renderReason, type Shown } from '../diagnosis/explain.ts';
import { adviceFor, groupHealth, missedLinks } from '../diagnosis/rules/missed-links.ts';
import { type Advice, advice, explained, run } from '../store/advice.ts';
import type { LinkStatus, NodeOwner } from '../store/experiment.ts';
import type { Evidence, Explanation } from '../store/explanation.ts';
import type { Injection } from '../store/store.ts';
import { faultOf } from './chain.ts';
import { proofOf } from './timeline.ts';

/** A node that went away, or that another one of its name replaced; `at` is when that was found. */
export function nodeGone(injection: Injection, at: string): Explanation {
  const { spec, status } = injection;
  const isInjected = injectionEvidence(injection).length > 0;
  const nodeEntries = (status?.timeline ?? []).filter(({ kind }) => kind === 'node');
  return {
    code: 'node-replaced',
    summary: isInjected
      ? `Node ${spec.node} went away or was replaced after the injection, before a reaction was seen.`
      : `Node ${spec.node} is gone or was replaced before anything was injected.`,
    evidence: [
      ...injectionEvidence(injection),
      {
        source: `nodes/${spec.node} metadata.uid`,
        observed: `not ${spec.nodeUid || 'that of a node'} any more`,
        at,
      },
      ...nodeEntries.map(({ source, text, at }) => ({ source, observed: text, at })),
    ],
    ...explained(
      isInjected
        ? advice`See who removed it: ${run(`kubectl get events -A --field-selector involvedObject.name=${spec.node}`)}; then run the experiment again.`
        : advice`Run the experiment again: it selects among the nodes of now.`,
    ),
    refuted: [],
    alsoFound: [],
  };
}

/** A reaction that was seen on a node that could not be asked any more. */
export function passOnGoneNode(injection: Injection, what: Shown): Explanation {
  const { spec, status } = injection;
  const at = status?.timeline?.at(-1)?.at ?? '';
  return {
    code: 'reacted',
    summary: `NMA reacted on node ${spec.node} after ${renderDuration(what.latencySeconds)}: ${renderReason(what.entry, faultOf(spec).expectation.reason)}. The node is gone since.`,
    evidence: [...injectionEvidence(injection), { source: what.source, observed: what.text, at }],
    remedy: 'Nothing to do: the node is gone.',
    refuted: [],
    alsoFound: [],
  };
}

/** NMA reacted, the node is gone, and a link that outlives it was not reached, or could not be seen. */
export function unreachedOnGoneNode(injection: Injection, link: LinkStatus, at: string): Explanation {
  const { spec, status } = injection;
  const before = (status?.links ?? []).filter(
    ({ state, entry }) => state === 'reached' && entry !== undefined,
  );
  const because = link.because ?? 'nothing shows it';
  const what = link.state === 'missed' ? 'was not reached' : 'could not be seen';
  const row = link.cause && missedLinks[link.cause];
  return {
    code: link.cause ?? `${link.link}-${link.state}`,
    link: link.link,
    summary: `NMA reacted and node ${spec.node} is gone, but ${link.link} (${link.expected}) ${what}: ${because}.`,
    evidence: [
      ...injectionEvidence(injection),
      ...before.flatMap(({ evidence }) => evidence),
      { source: `injections/${injection.metadata.name} status.links[${link.id}]`, observed: because, at },
    ],
    ...explained(
      row === undefined ? whatCame(spec.owner ?? {}) : adviceFor(row, spec.node, spec.owner ?? {}),
    ),
    refuted: [],
    alsoFound: [],
  };
}

/** Where to see what comes in place of a node. */
function whatCame({ nodePool, nodeGroup }: NodeOwner): Advice {
  return nodePool === undefined && nodeGroup !== undefined
    ? advice`See what the group has made: ${run(`kubectl get nodes -l eks.amazonaws.com/nodegroup=${nodeGroup}`)}; ${run(groupHealth(nodeGroup))}.`
    : advice`See what Karpenter has made: ${run(`kubectl get nodeclaims -l karpenter.sh/nodepool=${nodePool ?? 'POOL'}`)}; pods that wait for a node: ${run('kubectl get pods -A --field-selector status.phase=Pending')}.`;
}

/** What was written, by the receipts' own read-back: the fault first, then the controls. */
export function injectionEvidence({ spec, status }: Injection): readonly Evidence[] {
  const fault = faultOf(spec).orderLink.id;
  const known = (status?.links ?? []).toSorted(
    (left, right) => Number(right.id === fault) - Number(left.id === fault),
  );
  return known.flatMap(({ receipt }) => (receipt === undefined ? [] : receiptEvidence(spec.node, receipt)));
}

/** What was written and read back, surface by surface. */
export function receiptEvidence(node: string, receipt: Receipt): readonly Evidence[] {
  return receipt.surfaces
    .filter(({ outcome }) => outcome === 'injected')
    .map((surface) => ({
      source: `agent ${node} receipt ${receipt.orderId} surfaces[${surface.surface}].readBack`,
      observed: proofOf(surface),
      at: surface.at ?? receipt.acceptedAt,
    }));
}
