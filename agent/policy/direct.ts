import { readFileSync, statSync } from 'node:fs';
import Type, { type Static } from 'typebox';
import { Errors } from 'typebox/value';
import { messageFromUnknown, Refusal, refusalFromUnknown } from '../../shared/errors.ts';
import type { Inventory } from '../../shared/schemas/inventory.ts';
import { orderMethods } from '../../shared/schemas/order.ts';
import { Surface } from '../../shared/schemas/receipt.ts';
import { renderUntrusted, untrusted } from '../programs/trust.ts';

/** What a policy can allow; other methods read, or only end something, and need the caller's right alone. */
const policyMethods: readonly string[] = [...Object.keys(orderMethods), 'SetKillSwitch'];

/** One permission: who, by which methods, on which surfaces. */
const PolicyRule = Type.Object(
  {
    users: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'names of users as the API server has them; absent: whoever may inject by RBAC',
      }),
    ),
    methods: Type.Array(Type.Enum(policyMethods), { minItems: 1 }),
    surfaces: Type.Optional(
      Type.Array(Surface, { minItems: 1, description: 'an order may be on these only; absent: all' }),
    ),
  },
  { additionalProperties: false },
);
type PolicyRule = Static<typeof PolicyRule>;

/** The policy file, JSON. */
const PolicyFile = Type.Object({ direct: Type.Array(PolicyRule) }, { additionalProperties: false });

/** Who calls, and by which method. */
export type DirectCall = {
  /** The user, as the gate found; undefined: callers have no names. */
  readonly caller: string | undefined;
  readonly method: string;
};

/** What direct callers, all but the coordinator, may do beside reading and stopping. */
export type DirectPolicy = {
  /** Refuses with `policy_refused` a method that no rule allows to this caller. `body` as it came, checked by its schema. */
  assertMethod(call: DirectCall, body: unknown): void;
  /** Refuses with `policy_refused` where no rule allows the method to this caller on all of these surfaces. */
  assertSurfaces(call: DirectCall, surfaces: readonly Surface[]): void;
  /** What a caller may do, as an order would find it. */
  describe(caller: string | undefined): NonNullable<Inventory['caller']>;
};

/**
 * By the user that the gate let in (with a client certificate, where the agent asks the coordinator for one): `coordinator` may do
 * everything, anybody else what the file says. It is read for each such call; without a file, or with one that cannot be read or that
 * others can change, nothing is allowed.
 */
export function createDirectPolicy({
  file,
  coordinator,
}: {
  readonly file: string | undefined;
  /** User of the coordinator; undefined: every caller counts as direct. */
  readonly coordinator: string | undefined;
}): DirectPolicy {
  const isDirect = ({ caller }: DirectCall) => caller === undefined || caller !== coordinator;

  /** The caller's rules for the method, or the refusal. */
  function rulesFor(call: DirectCall): readonly PolicyRule[] {
    const rules = file === undefined ? [] : readPolicy(file);
    const { caller = '' } = call;
    return rules.filter(
      ({ users, methods }) =>
        methods.includes(call.method) && (users === undefined || users.includes(caller)),
    );
  }

  function refused(call: DirectCall, surfaces: readonly Surface[] | undefined): Refusal {
    const { caller, method } = call;
    const who = caller === undefined ? 'a direct caller' : `user ${JSON.stringify(caller)}`;
    const on = surfaces === undefined ? '' : ` on ${surfaces.join(' and ')}`;
    const rule = {
      ...(caller === undefined ? {} : { users: [caller] }),
      methods: [method],
      ...(surfaces === undefined ? {} : { surfaces: [...new Set(surfaces)] }),
    };
    const where = file === undefined ? 'a file for --policy-file' : file;
    return new Refusal(
      'policy_refused',
      `${who} may not call ${method}${on} on this agent directly: ${file === undefined ? 'it has no policy file, so that only the coordinator injects' : `${file} does not allow it`}`,
      {
        field: 'authorization',
        ...(caller === undefined ? {} : { value: caller }),
        ...(coordinator === undefined ? {} : { allowed: coordinator }),
        remedy: `make it a drill of the coordinator; or add ${JSON.stringify(rule)} to "direct" in ${where} (in the chart: agent.direct)${coordinator === undefined ? '; or name the coordinator’s user with --coordinator-user' : ''}`,
      },
    );
  }

  return {
    assertMethod(call, body) {
      if (!isDirect(call) || !needsPolicy(call.method, body)) return;
      if (rulesFor(call).length === 0) throw refused(call, undefined);
    },
    assertSurfaces(call, surfaces) {
      if (!isDirect(call)) return;
      const isAllowed = rulesFor(call).some(
        ({ surfaces: allowed }) =>
          allowed === undefined || surfaces.every((surface) => allowed.includes(surface)),
      );
      if (!isAllowed) throw refused(call, surfaces);
    },
    describe(caller) {
      const who = { user: caller ?? null, coordinator: coordinator ?? null };
      const firstMethod = { caller, method: 'WriteKernelMessage' };
      if (!isDirect(firstMethod)) return { ...who, methods: [...policyMethods] };
      try {
        const methods = policyMethods.filter((method) => rulesFor({ caller, method }).length > 0);
        if (methods.length === 0) throw refused(firstMethod, undefined);
        return { ...who, methods };
      } catch (thrown) {
        const { message, details } = refusalFromUnknown(thrown);
        const { remedy } = details;
        return { ...who, methods: [], because: message, ...(remedy === undefined ? {} : { remedy }) };
      }
    },
  };
}

/** Ending something is left to whoever may inject; to release the kill switch, or to renew the lease with it, is not. */
function needsPolicy(method: string, body: unknown): boolean {
  if (method === 'SetKillSwitch') return (body as { readonly engaged?: unknown } | null)?.engaged !== true;
  return policyMethods.includes(method);
}

/** Refuses with `policy_refused` what is no policy, in the file's name. */
export function readPolicy(file: string): readonly PolicyRule[] {
  let policy: unknown;
  try {
    const found = untrusted(file, statSync(file));
    if (found !== undefined) throw new Error(renderUntrusted(found));
    policy = JSON.parse(readFileSync(file, 'utf8'));
  } catch (thrown) {
    throw unusable(file, messageFromUnknown(thrown), thrown);
  }
  const [fault] = Errors(PolicyFile, policy);
  if (fault !== undefined) throw unusable(file, `${fault.instancePath || '/'} ${fault.message}`);
  return (policy as Static<typeof PolicyFile>).direct;
}

function unusable(file: string, because: string, cause?: unknown): Refusal {
  return new Refusal(
    'policy_refused',
    `the policy file ${file} cannot be used, so that it allows nothing: ${because}`,
    {
      field: '--policy-file',
      value: file,
      remedy: `correct ${file}: {"direct": [{"methods": ["WriteKernelMessage"], "surfaces": ["kernel-log"]}]}`,
    },
    cause,
  );
}
