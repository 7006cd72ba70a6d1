import type { Static, TObject } from 'typebox';
import type { ScriptContext } from '../orders/context.ts';

/** What every part of an order has; a surface adds what it writes. */
export type AnyPart = {
  /** The name of its row. */
  readonly surface: string;
  /** When it is due, in milliseconds from the acceptance of the order. */
  readonly afterMs: number;
};

/** A method of the agent that writes: its body, and what it writes part by part. */
type WritingMethod<Body extends TObject, P extends AnyPart> = {
  /** What the agent takes; the id of the order is among it. */
  readonly body: Body;
  /** Pure. Refuses what the schema cannot express, naming the member. */
  script(body: Omit<Static<Body>, 'orderId'>, context: ScriptContext): readonly P[];
};

/** A method of which the compiler knows body and parts. */
export function method<Body extends TObject, const P extends AnyPart>(
  body: Body,
  script: WritingMethod<Body, P>['script'],
): WritingMethod<Body, P> {
  return { body, script };
}

/**
 * Where a fault can be written: a log of the node, the cache of a DCGM host engine, its process. A surface is this row, a file
 * of the agent (agent/injection/surfaces/) that writes and reads back, and a file of the coordinator
 * (coordinator/catalogue/surfaces/) that knows who reads it and what stays; everything else is computed from the three.
 */
export type SurfaceRow<P extends AnyPart = AnyPart> = {
  /** As in `surfaces[].surface` of a receipt. */
  readonly name: P['surface'];
  /** What it is, without full stop; part of the API's description. */
  readonly title: string;
  /** What it is written through: where that is missing nothing can be written. `node`: nothing but the node itself. */
  readonly through: 'kernel-log' | 'host-engine' | 'node';
  /** What the receipt has of it after a write. */
  readonly readBack: TObject;
  /** Methods that write to this surface and no other. */
  readonly methods: Readonly<
    Record<string, { readonly body: TObject; script(body: never, context: ScriptContext): readonly P[] }>
  >;
  /** Pure. Refuses a part that no node would take, before any is asked; absent: nothing more can be checked. */
  check?(part: P): void;
};
