import type { IncomingMessage } from 'node:http';
import {
  type AuthorizationAnswer,
  type AuthorizationRequest,
  bodyOf,
  tokenOf,
  type Verb,
} from './requests.ts';
import { statusError } from './status-error.ts';

/** Where `kubectl auth can-i` asks. */
export const selfReviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

/** What an authorizer says of who asks; without one everybody may do everything. Throws a StatusError 401 for who is not known. */
export async function reviewSelf(
  request: IncomingMessage,
  authorize: ((request: AuthorizationRequest) => AuthorizationAnswer) | undefined,
): Promise<object> {
  const review = ((await bodyOf(request)) ?? {}) as {
    readonly spec?: {
      readonly resourceAttributes?: Partial<Omit<AuthorizationRequest, 'verb' | 'token'>> & {
        readonly verb?: string;
      };
    };
  };
  const { verb = '', group = '', resource = '', ...place } = review.spec?.resourceAttributes ?? {};
  const token = tokenOf(request);
  const asked = { ...place, verb: verb as Verb, group, resource, ...(token !== undefined && { token }) };
  const { allowed, user } = authorize?.(asked) ?? { allowed: true };
  if (!allowed && user === undefined) throw statusError(401, 'Unauthorized', 'Unauthorized');
  return { ...review, metadata: {}, status: { allowed } };
}
