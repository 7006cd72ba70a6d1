import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import { firstGpu } from '../../../shared/gpu-identity.ts';
import type { InjectCascade } from '../../../shared/schemas/order.ts';
import { healthReaction, xidReaction } from '../nma/reactions.ts';
import { type ChannelReaction, type ChannelWork, type ReactsOn, soundCall } from './channel.ts';

/** One Xid. */
export const xid: ChannelWork<{ readonly kind: 'xid' }> = {
  order: ({ parameters, gpu }) => soundCall('InjectXid', { ...parameters, gpu: gpu ?? firstGpu }),
  // What the fault means for the node, on whichever surface it is written: that a surface has no reader is a finding,
  // not an expectation.
  reactions: ({ parameters }, on) => xidReactions(Number(parameters.xid), 0, on),
};

/** Several Xids, each at its time. */
export const cascade: ChannelWork<{ readonly kind: 'cascade' }> = {
  order: ({ parameters, gpu }) => soundCall('InjectCascade', { ...parameters, gpu: gpu ?? firstGpu }),
  /** What turns the condition is expected before events, which other GPUs' events may crowd out. */
  reactions({ parameters }, on) {
    const all = (parameters.steps as InjectCascade['steps']).map((step) =>
      xidReactions(step.xid, step.afterSeconds * 1000, on),
    );
    const policies = all.flatMap(([policy]) => (policy === undefined ? [] : [policy]));
    const conditions = policies.filter(({ reaction }) => reaction.appearsAs === 'condition');
    const events = policies.filter(({ reaction }) => reaction.appearsAs === 'event');
    return [...conditions, ...events, ...all.flatMap(([, ...followUps]) => followUps)];
  },
};

/** Lines of a switch's driver: no version of the monitoring agent reads them. */
export const sxid: ChannelWork<{ readonly kind: 'sxid' }> = {
  order: ({ parameters }) => soundCall('InjectSxid', parameters),
  reactions: () => [],
};

/** The policy's reaction within seconds; then, where the engine's health system keeps the Xid, that of its next check. */
export function xidReactions(number: number, afterMs: number, on: ReactsOn): readonly ChannelReaction[] {
  const { nma, engineVersion = nma.engineVersion, gpuName } = on;
  const policy = xidReaction(nma, number);
  const incident = xidHealthIncident(engineVersion, number, gpuName);
  const health = incident === undefined ? undefined : healthReaction(nma, incident);
  const base = { surface: 'dcgm', plugin: 'nvidia', afterMs } as const;
  return [
    { ...base, reaction: policy, via: 'policy' },
    ...(health === undefined ? [] : [{ ...base, reaction: health, via: 'health-check' } as const]),
  ];
}
