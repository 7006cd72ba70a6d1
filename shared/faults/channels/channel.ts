import type { Reaction } from '../../nma/reactions.ts';
import type { ReactionChannel } from '../../nma/timing.ts';
import type { NmaVersion } from '../../nma/versions.ts';
import type { AgentOrder } from '../../schemas/experiment.ts';
import type { GpuSelector } from '../../schemas/order.ts';
import type { Surface } from '../../schemas/receipt.ts';
import type { Parameters } from '../parameters.ts';
import type { Channel } from '../row.ts';

/** How a fault of one kind becomes an order to an agent, and what must follow it. A new channel is a file beside this. */
export type ChannelWork<K extends Channel['kind']> = {
  /** Refuses parameters that cannot be an order, naming them. */
  order(work: Work<K>): Omit<AgentOrder, 'orderId'>;
  /** What a healthy monitoring agent shows, the first thing first; empty: nothing. */
  reactions(work: Work<K>, on: ReactsOn): readonly ChannelReaction[];
};

export type Work<K extends Channel['kind'] = Channel['kind']> = {
  readonly channel: Extract<Channel, { kind: K }>;
  readonly parameters: Parameters;
  readonly gpu: GpuSelector | undefined;
  readonly marker: string;
};

/** Which versions decide. */
export type ReactsOn = {
  readonly nma: NmaVersion;
  /** undefined: the one that the chart of this NMA version installs. */
  readonly engineVersion: string | undefined;
};

export type ChannelReaction = {
  readonly surface: Surface;
  readonly reaction: Reaction;
  /** From the last write on. */
  readonly via: ReactionChannel;
  /** When the last write is due, from the acceptance of the order. */
  readonly afterMs: number;
};

/** The node's first GPU by NVML index: a drill that names none takes one, and its receipt says which. */
export const firstGpu: GpuSelector = { index: 0 };

/** Fills `{parameter}` and `{marker}` in. */
export function fillText(text: string, { parameters, marker }: Pick<Work, 'parameters' | 'marker'>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    name === 'marker' ? marker : String(parameters[name] ?? whole),
  );
}
