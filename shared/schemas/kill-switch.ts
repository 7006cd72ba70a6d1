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

/**
 * The version of the API server's store, in decimal: it counts all changes of one store (etcd's revision), so that two readings are in
 * order whoever made them (Kubernetes, "API Concepts", Resource versions: comparable as integers).
 */
const Revision = Type.String({
  pattern: '^[0-9]{1,20}$',
  description: 'version of the API server’s store when the switch was read; a larger one is newer',
});

/** What a coordinator reports to an agent: the switch, and of which version of the API server's store that is. */
export const KillSwitchUpdate = Type.Object(
  { ...KillSwitchCall.properties, revision: Type.Optional(Revision) },
  { $id: 'KillSwitchUpdate', additionalProperties: false },
);
/** The same as a type. */
export type KillSwitchUpdate = Static<typeof KillSwitchUpdate>;

/** The kill switch as a program knows it. */
export const KillSwitchState = Type.Object(
  {
    engaged: Type.Boolean(),
    reason: Type.Optional(Type.String()),
    by: Type.Optional(
      Type.String({ description: 'who set it: the user by REST, or the field manager of the ConfigMap' }),
    ),
    revision: Type.Optional(Revision),
    since: Type.Optional(
      Type.String({ description: 'since when it is so, RFC 3339, clock of whoever set it' }),
    ),
  },
  { $id: 'KillSwitch' },
);
/** The same as a type. */
export type KillSwitchState = Static<typeof KillSwitchState>;

/** Whether the first of two revisions is of an older state than the second. */
export function isOlder(revision: string, than: string): boolean {
  return BigInt(revision) < BigInt(than);
}

/** A line for `/readyz` while it is engaged; undefined: it is not. */
export function noticeOf({ engaged, reason }: KillSwitchState): string | undefined {
  return engaged ? `kill switch engaged${reason === undefined ? '' : `: ${reason}`}` : undefined;
}
