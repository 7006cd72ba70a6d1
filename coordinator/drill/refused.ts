import type { Refusal } from '../../shared/errors.ts';
import { explainRefusal } from '../diagnosis/explain.ts';
import type { Explanation } from '../store/explanation.ts';

/** A request that cannot be carried out, told as an ended drill; REST and `kubectl apply` say the same. */
export function explainRequest(
  refusal: Refusal,
  seenAt: { readonly source: string; readonly at: string },
): Explanation {
  const told = explainRefusal(refusal, seenAt);
  return told.code === 'injection-refused' ? { ...told, code: refusal.reason.replaceAll('_', '-') } : told;
}

/** Trouble with the API server, and what another writer did: made again, it may succeed. */
export function mayPass({ reason }: Refusal): boolean {
  return reason.startsWith('cluster_') || reason === 'object_conflict' || reason === 'resource_expired';
}
