import Type, { type Static } from 'typebox';
import { Surface } from '../../shared/schemas/receipt.ts';
import { Confidence } from '../catalogue/confidence.ts';
import { PlannedWrite } from '../catalogue/surfaces/work.ts';
import { PlannedTarget } from '../plan/plan.ts';

/** When a reaction can be seen, for a healthy NMA. */
export const Window = Type.Object(
  { bestSeconds: Type.Number(), typicalSeconds: Type.Number(), worstSeconds: Type.Number() },
  { description: 'from the acceptance of the order to the API server, for a healthy monitoring agent' },
);
export type Window = Static<typeof Window>;

/** What a healthy monitoring agent shows for one surface. */
export const PlannedReaction = Type.Object({
  surface: Surface,
  appearsAs: Type.Enum(['condition', 'event', 'nothing']),
  type: Type.Optional(Type.String({ description: 'condition type; also the `reason` of the event' })),
  reason: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  severity: Type.Optional(Type.Enum(['fatal', 'warning'])),
  window: Type.Optional(Window),
  note: Type.Optional(Type.String()),
});
export type PlannedReaction = Static<typeof PlannedReaction>;

/** What stays after the drill, and until when. */
const Latched = Type.Object({
  what: Type.String({ description: 'what stays when the drill is over' }),
  until: Type.String(),
});

/** Why the drill would not come about on this node as it is. */
export const PlannedRefusal = Type.Object({
  by: Type.Enum(['agent', 'preflight'], {
    description: 'agent: it refuses the order; preflight: the reaction is blocked, and nothing is ordered',
  }),
  reason: Type.String({ description: 'of the error table, or the code of an explanation' }),
  message: Type.String(),
  remedy: Type.String(),
});
export type PlannedRefusal = Static<typeof PlannedRefusal>;

/** What will be done to one node and what must follow, with all that can be known of it beforehand. */
export const PlanPreview = Type.Object({
  ...PlannedTarget.properties,
  writes: Type.Array(PlannedWrite, { description: 'in order' }),
  reactions: Type.Array(PlannedReaction, { description: 'the expected one first' }),
  latched: Type.Array(Latched),
  refusals: Type.Array(PlannedRefusal, { description: 'empty: nothing known stands against it' }),
  confidence: Confidence,
  risk: Type.String(),
  undo: Type.String(),
});
export type PlanPreview = Static<typeof PlanPreview>;

/** A preview with what repair controllers would do; the forecast of each is data of ours as a whole. */
export const TargetPreview = Type.Object(
  {
    ...PlanPreview.properties,
    repair: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
      description: 'what repair controllers would do by default',
    }),
  },
  { $id: 'TargetPreview' },
);
