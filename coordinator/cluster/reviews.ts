import type { CreateReview } from '../../shared/http/gate.ts';
import { createReviews } from '../../shared/http/reviews.ts';
import { type ClusterSource, createTransport } from './transport.ts';
import { textOf } from './wire.ts';

/** Each request waits for it. */
const timeoutMs = 5_000;

/** The reviews by the way that the coordinator has to the API server anyway, in a pod or by a kubeconfig. */
export function createClusterReviews(options: {
  readonly source: ClusterSource;
  readonly userAgent: string;
}): CreateReview {
  const transport = createTransport(options);
  return createReviews(async (path, text) => {
    const body = { type: 'application/json', text };
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await transport.open({ method: 'POST', path, body, signal });
    return { status: response.statusCode ?? 0, text: await textOf(response) };
  });
}
