import Type from 'typebox';
import { type Reason, type Refusal, reasons, rowOf, statusOf } from '../../shared/errors.ts';
import type { ErrorFormat } from '../../shared/http/server.ts';
import { Explanation } from '../store/explanation.ts';

/** What `formatProblem` writes; facts of the refusal may stand beside these members. */
export const Problem = Type.Object(
  {
    type: Type.String({ format: 'uri', description: 'urn:xidrill:problem:CODE; a name, no address' }),
    title: Type.String({ description: 'of the code, always the same' }),
    status: Type.Integer({ description: 'the HTTP status' }),
    detail: Type.String({ description: 'what was wrong this time, for people' }),
    code: Type.Enum(Object.keys(reasons) as Reason[], { description: 'stable; for scripts' }),
    instance: Type.Optional(Type.String({ description: 'path and query of the request' })),
    requestId: Type.String({ description: 'as in the header x-request-id and in the log' }),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          field: Type.String(),
          message: Type.String(),
          allowed: Type.Optional(Type.Array(Type.String())),
        }),
        { description: 'one entry for each field that is wrong' },
      ),
    ),
    allowed: Type.Optional(Type.Array(Type.String(), { description: 'what would have been right' })),
    remedy: Type.Optional(Type.String({ description: 'the next step' })),
    explanation: Type.Optional(Explanation),
  },
  { $id: 'Problem', additionalProperties: true, description: 'an RFC 9457 problem document' },
);

/**
 * RFC 9457 problem documents: its members and `code` first, ours after them. `code` is the stable name; `errors` has one
 * entry for each field that is wrong; `allowed` is a list of texts wherever it stands. The type is a name and no address:
 * there is nothing to fetch.
 */
export const formatProblem: ErrorFormat = (refusal, { id, url }) => {
  const errors = fieldErrors(refusal);
  const { field: _field, faults: _faults, allowed, ...facts } = refusal.details;
  const own = {
    type: `urn:xidrill:problem:${refusal.reason}`,
    title: rowOf(refusal.reason).title,
    status: statusOf(refusal.reason),
    detail: refusal.message,
    code: refusal.reason,
    ...(url === undefined ? {} : { instance: url }),
    requestId: id,
    ...(errors.length === 0 ? {} : { errors }),
    ...(allowed === undefined ? {} : { allowed: listOf(allowed) }),
  };
  // The order is that of the first spread, the values are those of the last: no fact replaces a member of the document.
  return { type: 'application/problem+json', body: { ...own, ...facts, ...own } };
};

type FieldError = { readonly field: string; readonly message: string; readonly allowed?: readonly string[] };

function fieldErrors({ message, details }: Refusal): readonly FieldError[] {
  const { field, faults } = details;
  if (!Array.isArray(faults)) return field === undefined ? [] : [{ field, message }];
  return faults.map(({ allowed, ...fault }) =>
    allowed === undefined ? fault : { ...fault, allowed: listOf(allowed) },
  );
}

function listOf(allowed: unknown): readonly string[] {
  return [allowed].flat().flatMap((value) => {
    if (typeof value !== 'object' || value === null) return [String(value)];
    const { minimum, maximum, ...rest } = value as Readonly<Record<string, unknown>>;
    const others = Object.entries(rest).map(([name, of]) => `${name}: ${listOf(of).join(', ')}`);
    return [...rangeOf(minimum, maximum), ...others];
  });
}

function rangeOf(minimum: unknown, maximum: unknown): readonly string[] {
  if (minimum === undefined) return maximum === undefined ? [] : [`${maximum} or less`];
  return [maximum === undefined ? `${minimum} or more` : `${minimum} to ${maximum}`];
}
