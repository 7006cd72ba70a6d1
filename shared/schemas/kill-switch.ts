import Type, { type Static } from 'typebox';

/** What somebody wants the kill switch to be. */
export const KillSwitchCall = Type.Object(
  {
    engaged: Type.Boolean({ description: 'true: nothing is injected, and what goes on ends' }),
    reason: Type.Optional(
      Type.String({ minLength: 1, maxLength: 500, description: 'why, for those who are refused' }),
    ),
  },
  { $id: 'KillSwitchCall', additionalProperties: false },
);
/** The same as a type. */
export type KillSwitchCall = Static<typeof KillSwitchCall>;

/** The kill switch as a program knows it. */
export const KillSwitchState = Type.Object(
  {
    engaged: Type.Boolean(),
    reason: Type.Optional(Type.String()),
    since: Type.Optional(
      Type.String({ description: 'since when it is so, RFC 3339, clock of whoever set it' }),
    ),
  },
  { $id: 'KillSwitch' },
);
/** The same as a type. */
export type KillSwitchState = Static<typeof KillSwitchState>;

/** A line for `/readyz` while it is engaged; undefined: it is not. */
export function noticeOf({ engaged, reason }: KillSwitchState): string | undefined {
  return engaged ? `kill switch engaged${reason === undefined ? '' : `: ${reason}`}` : undefined;
}
