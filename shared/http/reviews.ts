import { readFileSync } from 'node:fs';
import https from 'node:https';
import { messageFromUnknown, Refusal } from '../errors.ts';
import type { CreateReview } from './gate.ts';

/** Where the kubelet puts a pod's own credentials (Kubernetes, "Accessing the API from a Pod"). */
const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

const timeoutMs = 5_000;
/** Bounds the load on the API server when many callers come at once. */
const atOnce = 8;
const longestAnswer = 256 * 1024;

const paths = {
  tokenreviews: '/apis/authentication.k8s.io/v1/tokenreviews',
  subjectaccessreviews: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
} as const;

type Answer = { readonly status: number; readonly text: string };

/** The two reviews over any way to the API server. Refuses with `cluster_unreachable` whatever it answers instead. */
export function createReviews(post: (path: string, body: string) => Promise<Answer>): CreateReview {
  return async (resource, object) => {
    const { status, text } = await answerTo(post(paths[resource], JSON.stringify(object)));
    const review = status === 200 || status === 201 ? objectIn(text) : undefined;
    if (review !== undefined) return review;
    throw new Refusal(
      'cluster_unreachable',
      `the API server answered ${status} to a ${resource} review: ${messageIn(status, text)}`,
      {
        ...pauseIn(text),
        remedy:
          status === 403
            ? `this ServiceAccount needs verb create on ${resource} (ClusterRole system:auth-delegator has it)`
            : 'see the API server’s log',
      },
    );
  };
}

/** A server that is overloaded says when to come back (API conventions, StatusDetails.retryAfterSeconds). */
function pauseIn(text: string): { readonly retryAfterSeconds?: number } {
  const details = (objectIn(text)?.details ?? {}) as { readonly retryAfterSeconds?: unknown };
  const seconds = details.retryAfterSeconds;
  return typeof seconds === 'number' && seconds > 0 ? { retryAfterSeconds: seconds } : {};
}

async function answerTo(asked: Promise<Answer>): Promise<Answer> {
  try {
    return await asked;
  } catch (thrown) {
    throw new Refusal(
      'cluster_unreachable',
      `the API server cannot be asked who this is: ${messageFromUnknown(thrown)}`,
      {
        remedy:
          'see whether this process reaches the API server, and whether its ServiceAccount token and CA are mounted',
      },
      thrown,
    );
  }
}

/** A review repeats the token that it is about, so that nothing is shown of what should have been one. */
function messageIn(status: number, text: string): string {
  if (status < 300) return 'not the object that was asked for';
  const { message } = objectIn(text) ?? {};
  return typeof message === 'string' ? message : text.slice(0, 300);
}

function objectIn(
  text: string,
): { readonly status?: unknown; readonly message?: unknown; readonly details?: unknown } | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === 'object' && found !== null ? found : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The reviews from inside the cluster. Node's own https and not client-node: these are the agent's only calls, and the
 * library with its typed APIs would cost it a third of its memory. Token and CA are read at each call, as the kubelet
 * rotates them.
 */
export function createInClusterReviews(
  environment: NodeJS.ProcessEnv,
  folder: string = serviceAccountFolder,
): CreateReview {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = environment;
  if (host === undefined || port === undefined) {
    throw new Refusal(
      'cluster_unreachable',
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this process is in no pod',
      { remedy: 'use --token-file outside a cluster' },
    );
  }
  const agent = new https.Agent({ maxSockets: atOnce });
  return createReviews((path, body) => post({ host, port, path, folder, agent }, body));
}

async function post(
  to: {
    readonly host: string;
    readonly port: string;
    readonly path: string;
    readonly folder: string;
    readonly agent: https.Agent;
  },
  body: string,
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = https.request(
    {
      host: to.host,
      port: to.port,
      path: to.path,
      agent: to.agent,
      method: 'POST',
      ca: readFileSync(`${to.folder}/ca.crt`),
      headers: {
        authorization: `Bearer ${readFileSync(`${to.folder}/token`, 'utf8').trim()}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
      signal: AbortSignal.timeout(timeoutMs),
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < longestAnswer) text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      response.on('error', reject);
    },
  );
  request.on('error', reject);
  request.end(body);
  return promise;
}
