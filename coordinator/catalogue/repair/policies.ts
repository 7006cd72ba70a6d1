import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { messageFromUnknown, Refusal } from '../../../shared/errors.ts';

/** A condition in a status that a repair controller acts on, and after which wait. Waits are in seconds. */
export type RepairPolicy = {
  /** Condition type on the Node. */
  readonly type: string;
  /** The status that counts as unhealthy. The node lifecycle controller writes `Unknown` when the kubelet is silent. */
  readonly status: 'False' | 'Unknown' | 'True';
  /**
   * Regular expression on the condition's reason, unanchored as in Go. Absent: every reason, or where other policies of
   * the same type and status have one, every reason that none of those matches.
   */
  readonly reason?: string;
  /** Counted from the condition's lastTransitionTime. */
  readonly waitSeconds: number;
  readonly action: 'replace' | 'reboot';
  /** After this long, pods that still block the drain are removed by force; absent: not known or at once. */
  readonly drainSeconds?: number;
};

/** The policies that apply to a condition of that type, status and reason (empty: not known); none: nothing acts on it. */
export function policiesFor(
  policies: readonly RepairPolicy[],
  condition: { readonly type: string; readonly status: string; readonly reason: string },
): readonly RepairPolicy[] {
  const ofPair = policies.filter(
    ({ type, status }) => type === condition.type && status === condition.status,
  );
  if (condition.reason === '') return ofPair;
  const named = ofPair.filter(({ reason }) => reason !== undefined && matches(reason, condition.reason));
  return named.length > 0 ? named : ofPair.filter(({ reason }) => reason === undefined);
}

function matches(pattern: string, reason: string): boolean {
  return new RegExp(pattern).test(reason);
}

const seconds = Type.Integer({ minimum: 0 });

const PolicyFile = Type.Array(
  Type.Object(
    {
      type: Type.String({ minLength: 1 }),
      status: Type.Union([Type.Literal('False'), Type.Literal('Unknown'), Type.Literal('True')]),
      reason: Type.Optional(Type.String({ minLength: 1 })),
      waitSeconds: seconds,
      action: Type.Union([Type.Literal('replace'), Type.Literal('reboot')]),
      drainSeconds: Type.Optional(seconds),
    },
    { additionalProperties: false },
  ),
  { minItems: 1 },
);
const policyFile = Compile(PolicyFile);

/** The policies of a Karpenter that is not of AWS, from JSON. Refuses with `parameter_invalid` and what is wrong where. */
export function parsePolicies(json: string): readonly RepairPolicy[] {
  const invalid = (because: string) => new Refusal('parameter_invalid', `repair policies: ${because}`);
  let given: unknown;
  try {
    given = JSON.parse(json);
  } catch (thrown) {
    throw invalid(messageFromUnknown(thrown));
  }
  if (!policyFile.Check(given)) {
    const [first] = policyFile.Errors(given);
    throw invalid(`${first?.instancePath || '/'} ${first?.message ?? 'is not valid'}`);
  }
  for (const [index, { reason }] of given.entries()) {
    try {
      new RegExp(reason ?? '');
    } catch (thrown) {
      throw invalid(`/${index}/reason ${messageFromUnknown(thrown)}`);
    }
  }
  return given;
}
