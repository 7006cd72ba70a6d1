import Type, { type Static } from 'typebox';
import { explained } from './advice.ts';

/** One observation: what stood where, and when. */
export const Evidence = Type.Object(
  {
    source: Type.String({
      description: 'where it was read: an API object with its field, a log, a node’s agent',
    }),
    observed: Type.String({ description: 'what stood there' }),
    at: Type.String({
      description: 'RFC 3339; when it was read, or when it happened where the source says so',
    }),
  },
  { additionalProperties: false },
);
export type Evidence = Static<typeof Evidence>;

/** Why a drill ended as it did: the cause, what proves it, what to do, and what the evidence rules out. */
export const Explanation = Type.Object(
  {
    code: Type.String({ description: 'stable name of the cause, a row of coordinator/diagnosis' }),
    link: Type.Optional(
      Type.String({
        description: 'the link of the chain that the cause breaks; absent where no rule explains it',
      }),
    ),
    summary: Type.String({ description: 'one or two sentences' }),
    evidence: Type.Array(Evidence),
    remedy: Type.String({ description: 'the next step' }),
    // Absent in what earlier versions stored.
    commands: Type.Optional(
      Type.Array(Type.String(), {
        description: 'the commands of the remedy, to copy; words in capitals are to be filled in',
      }),
    ),
    refuted: Type.Array(
      Type.Object(
        { code: Type.String(), because: Type.String() },
        { additionalProperties: false, description: 'a cause that the evidence rules out' },
      ),
    ),
    alsoFound: Type.Array(
      Type.Object(
        {
          code: Type.String(),
          summary: Type.String(),
          remedy: Type.String(),
          // Absent in what earlier versions stored.
          commands: Type.Optional(
            Type.Array(Type.String(), { description: 'the commands of its remedy, to copy' }),
          ),
        },
        { additionalProperties: false, description: 'a further broken link behind the first one' },
      ),
    ),
  },
  { $id: 'Explanation', additionalProperties: false },
);
export type Explanation = Static<typeof Explanation>;

/** An explanation as a further finding of another one. */
export function furtherFrom(
  explanation: Pick<Explanation, 'code' | 'summary' | 'remedy' | 'commands'>,
): Explanation['alsoFound'][number] {
  const { code, summary, remedy, commands = [] } = explanation;
  return { code, summary, ...explained({ remedy, commands }) };
}
