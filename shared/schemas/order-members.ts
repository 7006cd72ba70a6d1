import Type, { type Static } from 'typebox';
import { renderDuration } from '../duration.ts';
import { Refusal } from '../errors.ts';

/** Letters, digits, dot, dash and underscore: the id is a file name in the journal. */
export const OrderId = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  description:
    'letters, digits, dots, dashes and underscores, the first a letter or digit; the same id again answers with the same receipt and injects nothing; made if absent',
});

/** Exactly one of the three. */
export const GpuSelector = Type.Object(
  {
    index: Type.Optional(Type.Integer({ minimum: 0, description: 'NVML index' })),
    uuid: Type.Optional(Type.String({ minLength: 1, maxLength: 96, description: 'GPU-…' })),
    pci: Type.Optional(
      Type.String({ minLength: 1, maxLength: 32, description: 'any of the four spellings' }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'one of index, uuid, pci' },
);
export type GpuSelector = Static<typeof GpuSelector>;

/** Which host engine; absent: the one that the monitoring agent listens on. */
export const EngineSelector = Type.Object(
  {
    pid: Type.Optional(Type.Integer({ minimum: 1 })),
    address: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: '127.0.0.1:5555 or unix:///path' }),
    ),
  },
  { additionalProperties: false, minProperties: 1, maxProperties: 1, description: 'one of pid, address' },
);
export type EngineSelector = Static<typeof EngineSelector>;

/** Yes to an injection that nobody is known to react to. */
export const force = Type.Optional(
  Type.Boolean({ description: 'inject although nobody listens or nobody reacts; the receipt says so' }),
);

/** Seconds for which an order may last; it ends earlier by StopInjection, and when the agent starts again. */
export const longestSustainSeconds = 3600;
/** How long a value or a pause is sustained. */
export const forSeconds = Type.Integer({
  minimum: 1,
  maximum: longestSustainSeconds,
  description: 'lasts so long at the most; StopInjection ends it earlier',
});

/** Who is to react to a value; it decides how the value is written. */
export const Reach = Type.Enum(['policy', 'health', 'watch']);
export type Reach = Static<typeof Reach>;

/** Repeated lines, for reactions that need several of them. */
export const times = {
  times: Type.Optional(Type.Integer({ minimum: 1, maximum: 20, description: 'how often; 1 by default' })),
  gapSeconds: Type.Optional(
    Type.Number({ minimum: 0, maximum: 600, description: 'between them; 0 by default' }),
  ),
};

/** The parts of a line that is repeated: `make` gets the milliseconds from the acceptance of the order. Refuses more than an hour. */
export function repeated<P>(
  body: { readonly times?: number; readonly gapSeconds?: number },
  make: (afterMs: number) => P,
): readonly P[] {
  const { times = 1, gapSeconds = 0 } = body;
  if ((times - 1) * gapSeconds > longestSustainSeconds) {
    const most = longestSustainSeconds / (times - 1);
    throw new Refusal(
      'malformed_request',
      `gapSeconds: ${times} lines would take ${renderDuration((times - 1) * gapSeconds)}, and an order lasts at most ${renderDuration(longestSustainSeconds)}`,
      { field: 'gapSeconds', value: gapSeconds, allowed: { maximum: most } },
    );
  }
  return Array.from({ length: times }, (_, index) => make(index * gapSeconds * 1000));
}
