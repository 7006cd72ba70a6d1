import Type, { type Static } from 'typebox';
import type { MethodCall } from '../../../shared/schemas/order.ts';
import { Surface } from '../../../shared/schemas/receipt.ts';
import type { PartOf, Surface as SurfaceName } from '../../../shared/surfaces/table.ts';
import type { AnyChannel, ChannelWork } from '../channels/channel.ts';
import type { Parameters } from '../parameters.ts';
import { Reading, type ReadingContext } from '../readers/reading.ts';

/** One thing that the agent will write; the same script is carried out there. */
export const PlannedWrite = Type.Object({
  afterSeconds: Type.Number({ description: 'after the order was accepted' }),
  surface: Surface,
  where: Type.String({ description: 'device, file or process' }),
  what: Type.String({ description: 'the text or the command line, as it is written' }),
  repeat: Type.Optional(
    Type.Object({ everySeconds: Type.Number(), forSeconds: Type.Number() }, { description: 'written again' }),
  ),
  hold: Type.Optional(
    Type.Object(
      { forSeconds: Type.Number(), undo: Type.Array(Type.String()) },
      { description: 'one sample in the future that stands so long, and what ends it early' },
    ),
  ),
  because: Type.Array(Type.String(), { description: 'why it is written so' }),
  readers: Type.Array(Reading),
});
export type PlannedWrite = Static<typeof PlannedWrite>;

/** Something that stays when a drill is over. */
export type Kept = {
  readonly what: string;
  /** What ends it. */
  readonly until: string;
  /** Set: it makes the condition False again, unless this is done before NMA is restarted. */
  readonly renewsUnless?: string;
};

/** What decides how long a host engine keeps something. */
export type KeptOn = { readonly engineVersion: string; readonly gpuName: string | undefined };

/** A channel, and what it needs to know of an order. */
export type OrderSource<C extends AnyChannel = AnyChannel> = {
  readonly channel: C;
  readonly parameters?: Parameters;
};

/** What the coordinator knows of a surface. */
export type SurfaceWork<S extends SurfaceName> = {
  /** What the agent will do for one part, and who reads it. Pure. */
  writes(part: PartOf<S>, on: ReadingContext): readonly Omit<PlannedWrite, 'surface'>[];
  /** What stays of an order's parts when the drill is over. Pure. */
  kept(parts: readonly PartOf<S>[], on: KeptOn): readonly Kept[];
  /** Why NMA shows nothing of an order on this surface; absent, or undefined: no rule takes it. */
  whySilent?(order: MethodCall): string | undefined;
  /** How faults become orders that write here and nowhere else, by the kind of their channel. */
  readonly channels: Readonly<Record<string, unknown>>;
  /** The channel that makes such an order; undefined: it is made by a channel of several surfaces. */
  channelOf(order: MethodCall): OrderSource | undefined;
};

/** The channels of a surface, each typed by what its rows hold. */
export type ChannelIn<Channels> = {
  [K in keyof Channels]: Channels[K] extends ChannelWork<infer C> ? C : never;
}[keyof Channels];
