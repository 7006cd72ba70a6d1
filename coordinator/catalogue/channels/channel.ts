import { Refusal } from '../../../shared/errors.ts';
import { assertAlertGaps } from '../../../shared/orders/alert-gaps.ts';
import { parseCall } from '../../../shared/orders/call.ts';
import { scriptOf } from '../../../shared/orders/script.ts';
import { parsePci } from '../../../shared/pci.ts';
import type { MethodCall, OrderMethod } from '../../../shared/schemas/order.ts';
import type { GpuSelector } from '../../../shared/schemas/order-members.ts';
import type { Surface } from '../../../shared/schemas/receipt.ts';
import { checkPart } from '../../../shared/surfaces/table.ts';
import type { PluginName, Via } from '../expectation.ts';
import type { Reaction } from '../nma/reactions.ts';
import type { NmaVersion } from '../nma/versions.ts';
import type { Parameters } from '../parameters.ts';

/** How a fault is injected, as its row has it; `kind` names the work, and each kind has members of its own. */
export type AnyChannel = { readonly kind: string };

/** How a fault of one kind becomes an order to an agent, and what must follow it. A new channel is a file beside this. */
export type ChannelWork<C extends AnyChannel> = {
  /** Refuses parameters that cannot be an order, naming them. */
  order(work: Work<C>): MethodCall;
  /** What a healthy monitoring agent shows, the first thing first; empty: nothing. */
  reactions(work: Work<C>, on: ReactsOn): readonly ChannelReaction[];
};

/** What a channel makes an order of. */
export type Work<C extends AnyChannel = AnyChannel> = {
  readonly channel: C;
  readonly parameters: Parameters;
  /** undefined: the first GPU of the node. */
  readonly gpu: GpuSelector | undefined;
  /** Six characters, new in each order: they tell its lines from those of others. */
  readonly marker: string;
};

/** Which versions and which GPU decide. */
export type ReactsOn = {
  /** The version that judges. */
  readonly nma: NmaVersion;
  /** undefined: the one that the chart of this NMA version installs. */
  readonly engineVersion: string | undefined;
  /** Absent: unknown, taken to have the health checks of all generations. */
  readonly gpuName?: string | undefined;
};

/** One reaction of NMA to the order, with the way it takes. */
export type ChannelReaction = {
  readonly surface: Surface;
  readonly reaction: Reaction;
  /** How NMA gets to know of it. */
  readonly via: Via;
  /** Its monitor plugin that reacts. */
  readonly plugin: PluginName;
  /** When the last write is due, from the acceptance of the order. */
  readonly afterMs: number;
  /** How long the cause is sustained from then on, ms; absent: written once. */
  readonly sustainedMs?: number;
};

/** Fills `{parameter}` and `{marker}` in. */
export function fillText(text: string, { parameters, marker }: Pick<Work, 'parameters' | 'marker'>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    name === 'marker' ? marker : String(parameters[name] ?? whole),
  );
}

/** Text and address that no kernel would take, and bodies that no agent would, are refused before any agent is asked, by the caller's own names. */
export function soundCall(method: OrderMethod, body: Parameters): MethodCall {
  try {
    const order: MethodCall = parseCall(method, body);
    const parts = scriptOf(order, { gpu: anyGpu });
    assertAlertGaps(parts);
    for (const part of parts) checkPart(part);
    return order;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { field } = thrown.details;
    const isNamed = field !== undefined && thrown.message.startsWith(`${field}: `);
    throw new Refusal(
      thrown.reason,
      isNamed ? `fault.parameters.${thrown.message}` : thrown.message,
      { ...thrown.details, ...(field === undefined ? {} : { field: `fault.parameters.${field}` }) },
      thrown,
    );
  }
}

/** Stands for the GPU that only the agent knows: every address and every UUID is as long. */
export const anyGpu = { pci: parsePci('0000:00:00.0'), uuid: 'GPU-00000000-0000-0000-0000-000000000000' };
