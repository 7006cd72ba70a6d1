import { rowOf, statusOf } from '../../shared/errors.ts';
import type { ErrorFormat } from '../../shared/http/server.ts';

/**
 * RFC 9457 problem documents. `code` is the stable name; `errors` has one entry for each field that is wrong.
 * The type is a name and no address: there is nothing to fetch.
 */
export const formatProblem: ErrorFormat = (refusal, { id, url }) => {
  const { field, faults, ...facts } = refusal.details;
  const listed = Array.isArray(faults)
    ? faults
    : field === undefined
      ? []
      : [{ field, message: refusal.message }];
  return {
    type: 'application/problem+json',
    body: {
      ...facts,
      type: `urn:xidrill:problem:${refusal.reason}`,
      title: rowOf(refusal.reason).title,
      status: statusOf(refusal.reason),
      detail: refusal.message,
      instance: url,
      code: refusal.reason,
      requestId: id,
      ...(listed.length === 0 ? {} : { errors: listed }),
    },
  };
};
