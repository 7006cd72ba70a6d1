import { knownField } from '../../shared/dcgm-fields/find.ts';
import { xidField } from '../../shared/dcgm-fields/ids.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import { longestSustainSeconds } from '../../shared/schemas/order-members.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import type { NmaVersion } from '../catalogue/nma/versions.ts';
import type { ChainLink } from '../store/experiment.ts';

/**
 * The order with which the condition keeps its reason until a repair controller takes the node, where the chain waits for that: NMA's
 * health check finds the same Xid again every five minutes and gives the condition another reason, by which the controller may wait
 * longer or do nothing, and the policy's reason comes back with the next injection (nma.md §1.2 and §3, field-cases F11). undefined:
 * the order stays as it is; so it does where NMA begins a new transition with each reason, as the wait would never end.
 */
export function sustainedUntilTaken(
  call: MethodCall,
  about: {
    readonly chain: readonly ChainLink[];
    readonly reacting: readonly ChannelReaction[];
    readonly nma: Pick<NmaVersion, 'movesTransitionTime'>;
  },
): MethodCall | undefined {
  const { chain, reacting, nma } = about;
  const taint = chain.findIndex(({ link }) => link === 'taint');
  const [first] = reacting;
  if (taint < 0 || nma.movesTransitionTime || first?.via !== 'policy') return undefined;
  if (first.reaction.appearsAs !== 'condition' || !isMoved(first, reacting)) return undefined;
  const waits = chain.slice(0, taint + 1).map(({ withinSeconds, expectation }) => {
    return withinSeconds ?? expectation?.withinSeconds ?? 0;
  });
  const needed = waits.reduce((sum, seconds) => sum + seconds, 0);
  return sustainedFor(call, Math.min(Math.ceil(needed), longestSustainSeconds));
}

/** A later check gives the same condition another reason. */
function isMoved(first: ChannelReaction, reacting: readonly ChannelReaction[]): boolean {
  const { conditionType, reason } = first.reaction;
  return reacting.some(
    ({ via, reaction }) =>
      via === 'health-check' &&
      reaction.appearsAs === 'condition' &&
      reaction.conditionType === conditionType &&
      reaction.reason !== reason,
  );
}

/** undefined: it is no Xid in the host engine, or its caller says for how long it is sustained. */
function sustainedFor(call: MethodCall, forSeconds: number): MethodCall | undefined {
  if (call.method === 'InjectXid') {
    const { body } = call;
    const isWritten = body.surfaces.includes('dcgm') && body.forSeconds === undefined;
    return isWritten ? { ...call, body: { ...body, forSeconds } } : undefined;
  }
  if (call.method !== 'InjectDcgmField') return undefined;
  const { body } = call;
  const isXid = knownField(body.field)?.id === xidField && body.reach !== 'health';
  return isXid && body.forSeconds === undefined ? { ...call, body: { ...body, forSeconds } } : undefined;
}
