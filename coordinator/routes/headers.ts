import Type, { type Static } from 'typebox';
import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';

/** A proxy in between rarely keeps a silent request for longer. */
export const longestWaitSeconds = 3600;

const prefer = Type.Optional(
  Type.String({
    maxLength: 1024,
    description: `wait=SECONDS holds the answer until the end, for ${renderDuration(longestWaitSeconds)} at most (RFC 7240); other preferences are ignored`,
  }),
);

const ifNoneMatch = Type.Optional(
  Type.String({ description: 'the ETag of an earlier answer: 304 without a body where nothing has changed' }),
);

/** Headers of a request that may hold its answer. */
export const WaitHeaders = Type.Object({ prefer });

/** Headers of a request that may know the answer already. */
export const TagHeaders = Type.Object({ 'if-none-match': ifNoneMatch });

/** Both of them. */
export const ReadHeaders = Type.Object({ prefer, 'if-none-match': ifNoneMatch });

/** Headers of a POST that creates. */
export const CreationHeaders = Type.Object({
  prefer,
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[!-~]{1,200}$',
      description:
        '1 to 200 printable ASCII characters without blanks; the same key and body again give the same experiment',
    }),
  ),
});
export type CreationHeaders = Static<typeof CreationHeaders>;

/** Query of a POST that creates. */
export const CreationQuery = Type.Object(
  {
    dryRun: Type.Optional(
      Type.Literal('All', { description: 'answers with the plan; nothing is created or written' }),
    ),
  },
  { additionalProperties: false },
);
export type CreationQuery = Static<typeof CreationQuery>;

/** RFC 7240; other preferences are ignored, as it asks for, but a wait that cannot be read is a mistake. */
export function waitPreference(header: string | string[] | undefined): number | undefined {
  const text = [header ?? []].flat().join(',');
  const match = /(?:^|[,;\s])wait\s*=\s*"?([^",;\s]*)"?/i.exec(text);
  if (match === null) return undefined;
  const seconds = Number(match[1]);
  if (Number.isInteger(seconds) && seconds >= 0 && seconds <= longestWaitSeconds && match[1] !== '')
    return seconds;
  throw new Refusal(
    'malformed_request',
    `header prefer: wait=${match[1] ?? ''} is no number of seconds up to ${longestWaitSeconds}`,
    {
      field: 'prefer',
      value: match[1],
      allowed: `wait=0 to wait=${longestWaitSeconds}`,
    },
  );
}
