import Type, { type Static } from 'typebox';
import type { HostEngineFacts } from '../../../shared/schemas/inventory.ts';
import type { PluginName } from '../expectation.ts';
import type { FoundNmaVersion } from '../nma/versions.ts';

/** Whether one program takes one write. */
export const Reading = Type.Object({
  consumer: Type.String(),
  accepted: Type.Union([Type.Boolean(), Type.Null()], {
    description: 'null: it depends on what cannot be known from here',
  }),
  because: Type.String(),
});
export type Reading = Static<typeof Reading>;

/** Which of NMA's plugins would react, and whether it needs a host engine for that. */
export type NmaGate = { readonly plugin: PluginName; readonly needsEngine: boolean };

/** What is known of the node's versions, engine and GPU. */
export type ReadingContext = {
  /** The version of NMA that judges. */
  readonly nma: FoundNmaVersion;
  /** What keeps NMA from looking, whatever is written; undefined: nothing. */
  readonly blockedBy: (gate: NmaGate) => string | undefined;
  /** The host engine that is written to; undefined: not known. */
  readonly engine: HostEngineFacts | undefined;
  /** The inventory of the node shows no host engine. */
  readonly hasNoEngine: boolean;
  /** The engine's own, or the one that the chart of the judging NMA version installs. */
  readonly engineVersion: string;
  /** The GPU's number in the engine. */
  readonly gpuId: number | undefined;
  /** Of the GPU, as the engine or NVML names it. */
  readonly gpuName: string | undefined;
};

/** `otherwise`, unless something keeps NMA from looking. */
export function gated(gate: NmaGate, context: ReadingContext, otherwise: Reading): Reading {
  const because = context.blockedBy(gate);
  return because === undefined ? otherwise : { consumer: otherwise.consumer, accepted: false, because };
}

/** `NMA 1.6.4`, or which version judges in its place. */
export function nmaName({ nma: { row, exact } }: ReadingContext): string {
  return exact ? `NMA ${row.version}` : `NMA, judged as ${row.version}`;
}
