import { Refusal } from '../../shared/errors.ts';
import type { SkipCode, SkippedNode } from '../store/experiment.ts';
import { optInLabel, optInValue } from '../view/node.ts';

/** Nodes that were asked for before those that were not: what keeps the former away is what somebody wants to know. */
export function askedForFirst(skipped: readonly SkippedNode[]): readonly SkippedNode[] {
  const isAskedFor = ({ code }: SkippedNode) => code !== 'not-selected';
  return [...skipped.filter(isAskedFor), ...skipped.filter((one) => !isAskedFor(one))];
}

/** Nodes that a message names. */
const shownNodes = 3;

/** `no_target`, or `node_busy` where a node fits and another experiment works on it: waiting helps then. */
export function noTarget(skipped: readonly SkippedNode[]): Refusal {
  const askedFor = skipped.filter(({ code }) => code !== 'not-selected');
  // Where somebody named a node, the others are no part of the answer.
  const told = askedFor.length > 0 ? askedFor : skipped;
  const shown = told.slice(0, shownNodes).map(({ node, because }) => `${node}: ${because}`);
  const more = told.length > shownNodes ? ` (and ${told.length - shownNodes} more)` : '';
  const message =
    skipped.length === 0 ? 'the cluster has no nodes' : `no node may be drilled: ${shown.join('; ')}${more}`;
  return new Refusal(skipped.some(({ code }) => code === 'busy') ? 'node_busy' : 'no_target', message, {
    field: 'target',
    skipped: askedForFirst(skipped),
    remedy: remedyFor(skipped),
  });
}

function remedyFor(skipped: readonly SkippedNode[]): string {
  const is = (...codes: readonly SkipCode[]) => skipped.some(({ code }) => codes.includes(code));
  if (is('busy')) return 'wait until the experiment that works on the node has ended, or abort it';
  const [closed, ...others] = skipped.filter(({ code }) => code === 'not-opted-in');
  if (closed !== undefined)
    return `kubectl label node ${others.length === 0 ? closed.node : 'NODE'} ${optInLabel}=${optInValue}`;
  if (is('not-ready', 'no-gpu')) return 'name the node in target.selector.names, or choose other nodes';
  return 'choose a selector that fits nodes which may be drilled (GET /api/v1/nodes)';
}
