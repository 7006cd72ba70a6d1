import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { createReviewBudget } from './review-budget.ts';
import { createMemory, createRecent } from './review-memory.ts';

/** What a request does, in the words of Kubernetes RBAC; the API group is `xidrill.dev`. */
export type Access = {
  /** `get`, `list`, `create`, `update`, or our own `inject`. */
  readonly verb: string;
  /** With its subresource, as in a rule: `nodes/log`. */
  readonly resource: string;
  /** Absent: all of the kind. */
  readonly name?: string;
  /** Absent: a cluster-wide resource. */
  readonly namespace?: string;
};

/** Who calls, as a TokenReview reports it (authentication.k8s.io/v1, UserInfo). */
export type Caller = {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
};

/** Lets a caller in, or refuses with `unauthenticated` or `permission_denied`. */
export type Gate = {
  /**
   * `header` is `Authorization` as it came, `peer` the connection that it came by. Answers with the name of the user, where
   * tokens have one.
   */
  admit(header: string | undefined, access: Access, peer: Socket): Promise<string | undefined>;
};

/** Whoever knows the content of the file may do everything: for use outside a cluster. */
export function createTokenFileGate(file: string): Gate {
  return {
    async admit(header) {
      const given = Buffer.from(bearerToken(header));
      const expected = Buffer.from(readTokenFile(file));
      if (given.length === expected.length && timingSafeEqual(given, expected)) return undefined;
      throw new Refusal('unauthenticated', 'the bearer token is not the one of this server', {
        field: 'authorization',
      });
    },
  };
}

/** The file is read at each request: a rotated token counts at once, and a missing file lets no one in. */
function readTokenFile(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch (thrown) {
    throw new Refusal('unauthenticated', 'the token file of this server cannot be read', {}, thrown);
  }
  if (text === '') throw new Refusal('unauthenticated', 'the token file of this server is empty');
  return text;
}

function bearerToken(header: string | undefined): string {
  const token = /^Bearer (\S+)$/i.exec(header ?? '')?.[1];
  if (token !== undefined) return token;
  throw new Refusal('unauthenticated', 'no bearer token', {
    field: 'authorization',
    allowed: 'Bearer TOKEN',
  });
}

/** Creates a TokenReview or a SubjectAccessReview and returns it with its status. */
export type CreateReview = (
  resource: 'tokenreviews' | 'subjectaccessreviews',
  object: object,
) => Promise<{ readonly status?: unknown }>;

/** The kubelet renews tokens that are good for an hour (Kubernetes, "Projected volumes"). */
const acquaintedMs = 3_600_000;

type TokenStatus = {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly audiences?: readonly string[];
  readonly user?: {
    readonly username?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
};

type AccessStatus = {
  readonly allowed?: boolean;
  readonly reason?: string;
  /** Why an authorizer could not decide; others may have denied it. */
  readonly evaluationError?: string;
};

/**
 * Kubernetes' own identities and RBAC: the token has to be bound to our audience (TokenReview), and the caller has to
 * have the verb on our resource (SubjectAccessReview). Answers are remembered for seconds, and callers that are refused again and
 * again wait (review-budget.ts). A token that was accepted within the last hour does not wait for others behind the same address.
 */
export function createClusterGate(options: {
  readonly create: CreateReview;
  readonly audience: string;
  readonly clock: Clock;
}): Gate {
  const { create, audience, clock } = options;
  const callers = createMemory<Caller>(clock);
  const allowed = createMemory<true>(clock);
  const acquainted = createRecent<true>(clock, acquaintedMs);
  const budget = createReviewBudget(clock);

  async function authenticate(token: string, peer: Socket): Promise<Caller> {
    const key = createHash('sha256').update(token).digest('hex');
    const spender = acquainted.get(key) === true ? `token ${key}` : `address ${peer.remoteAddress ?? ''}`;
    return callers.get(key, () =>
      budget.spend(spender, async () => {
        const review = await create('tokenreviews', {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenReview',
          spec: { token, audiences: [audience] },
        });
        const caller = callerFrom((review.status ?? {}) as TokenStatus, audience);
        acquainted.set(key, true);
        return caller;
      }),
    );
  }

  async function authorize(caller: Caller, access: Access): Promise<void> {
    const { username, uid, groups, extra } = caller;
    await allowed.get(JSON.stringify([username, uid, groups, extra, access]), () =>
      budget.spend(`user ${username}`, async () => {
        const review = await create('subjectaccessreviews', accessReview(caller, access));
        const { allowed: isAllowed, reason, evaluationError } = (review.status ?? {}) as AccessStatus;
        if (isAllowed !== true) throw denied(caller, access, reason || evaluationError);
        return true as const;
      }),
    );
  }

  return {
    async admit(header, access, peer) {
      const caller = await authenticate(bearerToken(header), peer);
      await authorize(caller, access);
      return caller.username;
    },
  };
}

function accessReview(caller: Caller, access: Access): object {
  const { username, uid, groups, extra } = caller;
  const { verb, name, namespace } = access;
  const [resource, subresource] = access.resource.split('/');
  return {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: {
      user: username,
      ...(uid === undefined ? {} : { uid }),
      groups,
      extra,
      resourceAttributes: {
        group: accessGroup,
        verb,
        resource,
        ...(subresource === undefined ? {} : { subresource }),
        ...(name === undefined ? {} : { name }),
        ...(namespace === undefined ? {} : { namespace }),
      },
    },
  };
}

/** The API group of the resources that rules are written for. */
const accessGroup = 'xidrill.dev';

/** A server that does not know about audiences leaves them out, and then the token may be meant for another server. */
function callerFrom(status: TokenStatus, audience: string): Caller {
  const { authenticated, audiences, user, error } = status;
  if (authenticated !== true || user?.username === undefined) {
    throw new Refusal(
      'unauthenticated',
      `the API server does not accept the token for audience ${audience}${error === undefined ? '' : `: ${error}`}`,
      {
        field: 'authorization',
        allowed: `a token with audience ${audience}`,
        remedy: `kubectl create token SERVICEACCOUNT --audience ${audience}`,
      },
    );
  }
  if (audiences?.includes(audience) !== true) {
    throw new Refusal('unauthenticated', `the token is not bound to audience ${audience}`, {
      field: 'authorization',
      remedy: `kubectl create token SERVICEACCOUNT --audience ${audience}`,
    });
  }
  const { username, uid, groups = [], extra = {} } = user;
  return { username, groups, extra, ...(uid === undefined ? {} : { uid }) };
}

/** In the API server's own words, which people know how to read. */
function denied({ username }: Caller, access: Access, reason: string | undefined): Refusal {
  const { verb, resource, name, namespace } = access;
  const of = name === undefined ? '' : ` named "${name}"`;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const because = reason === undefined || reason === '' ? '' : `: ${reason}`;
  return new Refusal(
    'permission_denied',
    `User "${username}" cannot ${verb} resource "${resource}" in API group "${accessGroup}" ${where}${of}${because}`,
    {
      field: 'authorization',
      value: username,
      remedy: `grant verb ${verb} on resource ${resource} of API group ${accessGroup}, such as with the chart’s operator role`,
    },
  );
}
