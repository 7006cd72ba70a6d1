import { renderDuration } from '../../../shared/duration.ts';
import { advice, run } from '../../store/advice.ts';
import {
  gapsOf,
  injectedAt,
  injectedOn,
  isSilent,
  seenInjection,
  waitedSeconds,
  windowOf,
} from '../drill.ts';
import { millis, seen } from '../evidence.ts';
import { seenEntry } from '../reactions.ts';
import { irrelevant, likely, proven, type Rule, refuted, unknown } from '../rule.ts';

/** What was not seen while the watch was interrupted may have happened: an inconclusive drill, not a failed one. */
export const observationGap: Rule = {
  code: 'observation-gap',
  title: 'The cluster could not be watched for a while',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill, node } = facts;
    if (drill?.waitedUntil === undefined) return irrelevant;
    const gaps = gapsOf(facts);
    if (gaps.length === 0) return refuted('the node was watched without a gap since the injection');
    return likely({
      summary: `The cluster was not watched for part of the wait (${gaps.length === 1 ? 'one gap' : `${gaps.length} gaps`}): the reaction may have come and gone unseen. The drill is inconclusive.`,
      evidence: gaps.map(seenEntry),
      ...advice`Look at what is left of it, events stay for an hour: ${run(`kubectl -n default get events --field-selector involvedObject.name=${node.name}`)}; then drill again.`,
    });
  },
};

/** The drill ended before the worst case of the reaction's window. */
export const waitTooShort: Rule = {
  code: 'wait-too-short',
  title: 'The drill did not wait as long as the reaction may take',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill } = facts;
    const waited = waitedSeconds(facts);
    if (drill === undefined || waited === undefined || !isSilent(facts)) return irrelevant;
    const window = windowOf(drill);
    const { via, reason } = drill.expectation;
    if (window === undefined)
      return unknown(`how NMA would get to know of ${reason} is not known, nor how long that takes`);
    const { typicalMs, worstMs } = window;
    const how = `${drill.expectation.kind} by ${via}`;
    if (waited * 1000 >= worstMs) {
      return refuted(
        `waited ${renderDuration(waited)}; a healthy NMA needs ${renderDuration(worstMs / 1000)} at most (${how})`,
      );
    }
    return likely({
      summary: `The drill waited ${renderDuration(waited)}; this reaction takes ${renderDuration(typicalMs / 1000)} as a rule and up to ${renderDuration(worstMs / 1000)} (${how}).`,
      evidence: [
        ...injectedOn(drill).map((result) => seenInjection(facts, result)),
        seen(facts, 'end of the wait', String(drill.waitedUntil)),
      ],
      remedy: `Wait at least ${renderDuration(worstMs / 1000 + 30)}: expectation {"within": "${Math.ceil(worstMs / 1000) + 30}s"}.`,
    });
  },
};

/** A node of the same name is another node: its conditions started True, and its engine knows nothing. */
export const nodeReplaced: Rule = {
  code: 'node-replaced',
  title: 'The node was replaced during the drill',
  link: 'detection',
  verdict: 'inconclusive',
  judge(facts) {
    const { drill, node } = facts;
    if (drill === undefined) return irrelevant;
    const injected = injectedAt(drill);
    const isOther = drill.nodeUid !== undefined && drill.nodeUid !== node.uid;
    const [created, at] = [millis(node.createdAt), millis(injected)];
    const isNewer = created !== undefined && at !== undefined && created > at;
    if (!isOther && !isNewer) {
      if (injected === undefined) return irrelevant;
      if (created === undefined && drill.nodeUid === undefined)
        return unknown('the node’s creation time could not be read');
      return refuted(`the node is the one that was drilled (uid ${node.uid}, created ${node.createdAt})`);
    }
    const entries = drill.timeline.filter(({ kind }) => kind === 'node').map(seenEntry);
    return proven({
      summary: `Node ${node.name} is not the node that was drilled: it was replaced, and what stands on it now says nothing about the drill.`,
      evidence: [
        seen(
          facts,
          `nodes/${node.name} metadata.uid`,
          `${node.uid}${isOther ? `; planned for ${drill.nodeUid}` : ''}`,
        ),
        seen(
          facts,
          `nodes/${node.name} metadata.creationTimestamp`,
          `${node.createdAt}${injected === undefined ? '' : `; injected ${injected}`}`,
        ),
        ...entries,
      ],
      ...advice`Who replaced it is in its events: ${run(`kubectl get events -A --field-selector involvedObject.name=${node.name}`)}; then drill the new node.`,
      blocks: false,
    });
  },
};
