import { type Reason, Refusal, type RefusalDetails } from '../../shared/errors.ts';

/** The Status object of a refusing API server, as far as we read it. */
export type KubeStatus = {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly name?: string;
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly {
      readonly reason?: string;
      readonly message?: string;
      readonly field?: string;
    }[];
  };
};

const reasonOfCode: Readonly<Record<number, Reason>> = {
  400: 'object_invalid',
  401: 'cluster_refused',
  403: 'cluster_refused',
  404: 'object_missing',
  405: 'object_invalid',
  406: 'object_invalid',
  409: 'object_conflict',
  410: 'resource_expired',
  413: 'object_invalid',
  415: 'object_invalid',
  422: 'object_invalid',
};

/**
 * etcd takes no object beyond 1.5 MiB, and a client of it none beyond 2 MiB: kube-apiserver 1.34 hands both on as an
 * internal error (measured), although they never pass.
 */
const tooLarge = /^etcdserver: request is too large|trying to send message larger than max/;

/**
 * A refusal from an answer that is not 2xx, with the server's own words. Anything that is not in the table (429, 5xx,
 * a proxy's redirect) may pass, hence `cluster_unreachable`.
 */
export function refusalFromStatus(code: number, text: string, asked: string): Refusal {
  const status = statusFromText(text);
  const exists = code === 409 && status?.reason === 'AlreadyExists';
  const reported = status?.message ?? text.trim().slice(0, 500);
  const known = code === 500 && tooLarge.test(reported) ? 'object_invalid' : reasonOfCode[code];
  const reason = exists ? 'object_exists' : (known ?? 'cluster_unreachable');
  const causes = status?.details?.causes ?? [];
  const field = causes[0]?.field;
  const retryAfterSeconds = status?.details?.retryAfterSeconds;
  const details: RefusalDetails = {
    asked,
    httpStatus: code,
    ...(status?.reason !== undefined && { serverReason: status.reason }),
    ...(field !== undefined && { field }),
    ...(causes.length > 0 && { causes }),
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    // A kind that is not served answers in plain text, or with a Status that names no object.
    ...(code === 404 && { kindServed: status?.details?.name !== undefined }),
  };
  return new Refusal(reason, `${asked}: HTTP ${code}${reported === '' ? '' : `, ${reported}`}`, details);
}

function statusFromText(text: string): KubeStatus | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isStatus =
      typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
    return isStatus ? (value as KubeStatus) : undefined;
  } catch {
    return undefined;
  }
}
