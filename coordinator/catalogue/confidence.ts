import Type, { type Static } from 'typebox';

/** How sure the expectation of a drill is by what is known of its node before anything is ordered, and why. */
export const Confidence = Type.Object(
  {
    level: Type.Enum(['high', 'medium', 'low']),
    because: Type.Array(Type.String(), { description: 'what it rests on; below high: each doubt' }),
  },
  { additionalProperties: false, description: 'how sure the expectation is, before anything is ordered' },
);
export type Confidence = Static<typeof Confidence>;
