import Type, { type Static } from 'typebox';
import { EngineSelector, force, forSeconds, OrderId } from '../schemas/order-members.ts';
import { ProcessReadBack } from '../schemas/read-back.ts';
import { method, type SurfaceRow } from './row.ts';

/** A pause of the process. */
export type HostEnginePart = {
  readonly surface: 'host-engine';
  readonly afterMs: number;
  readonly forMs: number;
};

/** Stops a host engine by SIGSTOP and continues it after `forSeconds`. */
export const PauseHostEngine = Type.Object(
  { orderId: Type.Optional(OrderId), forSeconds, engine: Type.Optional(EngineSelector), force },
  { $id: 'PauseHostEngine', additionalProperties: false },
);
export type PauseHostEngine = Static<typeof PauseHostEngine>;

/** The process of a DCGM host engine. */
export const hostEngine = {
  name: 'host-engine',
  title: 'a pause of the process of a DCGM host engine',
  through: 'host-engine',
  readBack: ProcessReadBack,
  methods: {
    PauseHostEngine: method(PauseHostEngine, (body): readonly HostEnginePart[] => [
      { surface: 'host-engine', afterMs: 0, forMs: body.forSeconds * 1000 },
    ]),
  },
} as const satisfies SurfaceRow<HostEnginePart>;
