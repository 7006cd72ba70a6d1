import Type, { type Static } from 'typebox';

/** Who would have noticed. */
export const SeenBy = Type.Object(
  {
    who: Type.String({ description: 'the program' }),
    sees: Type.Union([Type.Boolean(), Type.Null()], {
      description: 'null: it depends on what the text does not say',
    }),
    because: Type.String(),
  },
  { additionalProperties: false },
);
/** One program and whether it notices. */
export type SeenBy = Static<typeof SeenBy>;

const file = Type.Optional(Type.String({ description: 'the name of the file; absent: the text' }));

/** What a statement rests on: a line of the text, or a fact with the page or source file that it was read in. */
export const WhyEvidence = Type.Object(
  {
    line: Type.Optional(
      Type.Integer({ minimum: 1, description: 'of the text, counted from 1; absent: a fact' }),
    ),
    file,
    source: Type.String({ description: '`input`, or where the fact was read' }),
    observed: Type.String({ description: 'the line’s own characters, or the fact' }),
  },
  { additionalProperties: false },
);
/** One piece of evidence. */
export type WhyEvidence = Static<typeof WhyEvidence>;

/** What one piece of the text did, what that means, and what to run instead. */
export const Finding = Type.Object(
  {
    code: Type.String({ description: 'stable name of the cause' }),
    link: Type.Enum(['order', 'detection', 'taint'], {
      description: 'the link of the chain that it is about',
    }),
    result: Type.Enum(['broken', 'works', 'open'], {
      description: 'broken: the chain ends here; works: it does not; open: the text does not decide it',
    }),
    certainty: Type.Enum(['proven', 'likely']),
    line: Type.Integer({ minimum: 1, description: 'of the text or file, counted from 1' }),
    file,
    did: Type.String({ description: 'what it really did' }),
    summary: Type.String({ description: 'why nothing followed, or what follows' }),
    seenBy: Type.Array(SeenBy),
    evidence: Type.Array(WhyEvidence, { minItems: 1 }),
    commands: Type.Array(Type.String(), {
      description: 'to run instead, or to find out; NODE and CLUSTER are to be filled in',
    }),
    missing: Type.Optional(Type.String({ description: 'what would prove it' })),
    drill: Type.Optional(
      Type.Object(
        { name: Type.String(), parameters: Type.Record(Type.String(), Type.Unknown()) },
        { additionalProperties: false, description: 'the same as a fault of the catalogue' },
      ),
    ),
  },
  { $id: 'Finding', additionalProperties: false },
);
/** What one piece of the text did. */
export type Finding = Static<typeof Finding>;

/** The whole answer to a pasted text. */
export const WhyAnswer = Type.Object(
  {
    result: Type.Enum(['broken', 'works', 'open'], {
      description: 'of the worst finding; open also where nothing was understood',
    }),
    summary: Type.String({ description: 'the first broken link of the chain, in one or two sentences' }),
    known: Type.Array(
      Type.Object(
        { what: Type.String(), value: Type.String(), line: Type.Integer({ minimum: 1 }), file },
        { additionalProperties: false },
      ),
      { description: 'what the text says of the cluster: versions, architecture' },
    ),
    findings: Type.Array(Finding, { description: 'in the order of the text' }),
    files: Type.Optional(
      Type.Array(
        Type.Object(
          { file: Type.String(), read: Type.Boolean(), because: Type.String() },
          { additionalProperties: false },
        ),
        { description: 'of a folder: each file, and how it was read, or why not' },
      ),
    ),
    notUnderstood: Type.Array(
      Type.Object(
        {
          line: Type.Integer({ minimum: 1 }),
          file,
          input: Type.String(),
          nearest: Type.String({ description: 'the nearest thing that is understood' }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'WhyAnswer', additionalProperties: false },
);
/** The whole answer. */
export type WhyAnswer = Static<typeof WhyAnswer>;
