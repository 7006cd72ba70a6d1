import { RE2JS } from 're2js';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { messageFromUnknown, Refusal } from '../../../shared/errors.ts';
import type { ReasonPattern, RepairPolicy } from './policies.ts';

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
/** A policy as the file has it. */
export type GivenPolicy = Static<typeof PolicyFile>[number];
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
  return given.map(({ reason, ...policy }, index) => {
    try {
      return reason === undefined ? policy : { ...policy, reason: patternFrom(reason) };
    } catch (thrown) {
      throw invalid(`/${index}/reason ${messageFromUnknown(thrown)}`);
    }
  });
}

/**
 * With the syntax and in the linear time of Go's regexp, which Karpenter uses: whoever writes the status of a node chooses the text,
 * and JavaScript's own needs 2ⁿ steps for some patterns (`(a+)+$`). Throws an error of RE2JS for what is no pattern in Go.
 */
function patternFrom(source: string): ReasonPattern {
  const compiled = RE2JS.compile(source);
  return { source, test: (reason) => compiled.test(reason) };
}
