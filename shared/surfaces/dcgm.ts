import Type, { type Static } from 'typebox';
import { findField } from '../dcgm-fields/find.ts';
import { refuseUnusedTimes } from '../dcgm-fields/unused-times.ts';
import { EngineSelector, force, forSeconds, GpuSelector, OrderId, Reach } from '../schemas/order-members.ts';
import { DcgmReadBack } from '../schemas/read-back.ts';
import { method, type SurfaceRow } from './row.ts';

/** A value of one field on one GPU. */
export type DcgmPart = {
  readonly surface: 'dcgm';
  readonly afterMs: number;
  readonly field: number;
  readonly value: number | string;
  readonly offsetSeconds: number | undefined;
  readonly reach: Reach | undefined;
  /** Set: written until then, by the recipe of the field (shared/dcgm-fields/recipe.ts). */
  readonly forMs: number | undefined;
  /** The refresh interval instead of the recipe's own. */
  readonly everyMs: number | undefined;
};

/** A value of a DCGM field in the cache of a host engine, once or sustained. */
export const InjectDcgmField = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    gpu: GpuSelector,
    field: Type.Union([Type.Integer(), Type.String({ minLength: 1, maxLength: 96 })], {
      description: 'number or name of shared/dcgm-fields',
    }),
    value: Type.Union([Type.Number(), Type.String({ maxLength: 256 })], {
      description:
        'whole number, number or text, by the type of the field; a decimal string keeps 64 bits exact',
    }),
    offsetSeconds: Type.Optional(
      Type.Integer({ minimum: 0, description: 'seconds into the future for the sample; 1 by default' }),
    ),
    reach: Type.Optional(Reach),
    forSeconds: Type.Optional(forSeconds),
    everySeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 20,
        description: 'with forSeconds: written again so often; default: by the recipe of the field',
      }),
    ),
    engine: Type.Optional(EngineSelector),
    force,
  },
  { $id: 'InjectDcgmField', additionalProperties: false },
);
export type InjectDcgmField = Static<typeof InjectDcgmField>;

/** The cache of a DCGM host engine. */
export const dcgm = {
  name: 'dcgm',
  title: 'a value in the cache of a DCGM host engine',
  through: 'host-engine',
  readBack: DcgmReadBack,
  methods: {
    InjectDcgmField: method(InjectDcgmField, (body): readonly DcgmPart[] => {
      const field = findField(body.field);
      refuseUnusedTimes(field, body);
      return [
        {
          surface: 'dcgm',
          afterMs: 0,
          field: field.id,
          value: body.value,
          offsetSeconds: body.offsetSeconds,
          reach: body.reach,
          forMs: millis(body.forSeconds),
          everyMs: millis(body.everySeconds),
        },
      ];
    }),
  },
} as const satisfies SurfaceRow<DcgmPart>;

function millis(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
