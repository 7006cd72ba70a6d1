import Type, { type Static } from 'typebox';
import { Refusal } from '../../shared/errors.ts';
import { experimentPhases } from '../store/experiment.ts';
import { VerdictSchema } from '../store/timeline.ts';
import { ExperimentAnswer } from './answers.ts';
import { ObjectName } from './names.ts';

/** Items of a page where the request does not say. */
const usualLimit = 100;

/** What can be asked of the list of experiments. */
export const ListQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 500, default: usualLimit, description: 'the items of a page' }),
    ),
    continue: Type.Optional(
      Type.String({
        maxLength: 512,
        description: 'the `continue` of the page before, with the same filters',
      }),
    ),
    verdict: Type.Optional(VerdictSchema),
    phase: Type.Optional(Type.Enum([...experimentPhases])),
    fault: Type.Optional(Type.String({ maxLength: 64, description: 'name of a fault of the catalogue' })),
    node: Type.Optional(ObjectName(253, 'experiments that selected this node')),
    form: Type.Optional(
      Type.Enum(['full', 'short'], { description: 'short: without injections, causes and skipped' }),
    ),
  },
  { additionalProperties: false },
);
export type ListQuery = Static<typeof ListQuery>;

/** An experiment without what grows with its nodes. */
const ShortExperiment = Type.Object(
  {
    ...Type.Omit(ExperimentAnswer, ['injections', 'causes', 'skipped']).properties,
    kind: Type.Literal('ShortExperiment'),
  },
  { $id: 'ShortExperiment' },
);

/** One page of experiments, the newest first. */
export const ExperimentList = Type.Object(
  {
    items: Type.Array(
      Type.Union([ExperimentAnswer, ShortExperiment], { discriminator: { propertyName: 'kind' } }),
    ),
    continue: Type.Union([Type.String(), Type.Null()], {
      description: 'asks for the next page; null: this is the last',
    }),
    remaining: Type.Integer({ description: 'items that follow after this page' }),
  },
  { $id: 'ExperimentList' },
);
export type ExperimentList = Static<typeof ExperimentList>;

/** What orders and filters the list; the answer of each is made for those of the page only. */
export type Listed = {
  readonly name: string;
  /** RFC 3339; the API server writes whole seconds. */
  readonly createdAt: string;
  readonly fault: string;
  readonly phase: string;
  readonly verdict: string | undefined;
  readonly nodes: readonly string[];
};

/**
 * The items of one page, the newest first, by name where they are of the same second. A page begins behind the item that its
 * token names, so that what is created or deleted meanwhile neither repeats nor hides another. Refuses a token that is none
 * of ours with `malformed_request`.
 */
export function pageOf<T extends Listed>(
  all: readonly T[],
  query: ListQuery,
): { readonly page: readonly T[]; readonly next: string | null; readonly remaining: number } {
  const after = query.continue === undefined ? undefined : placeFrom(query.continue);
  const found = all
    .filter(
      (item) =>
        (query.verdict ?? item.verdict) === item.verdict &&
        (query.phase ?? item.phase) === item.phase &&
        (query.fault ?? item.fault) === item.fault &&
        (query.node === undefined || item.nodes.includes(query.node)) &&
        (after === undefined || newestFirst(after, item) < 0),
    )
    .toSorted(newestFirst);
  const page = found.slice(0, query.limit ?? usualLimit);
  const last = page.at(-1);
  const remaining = found.length - page.length;
  return { page, next: remaining === 0 || last === undefined ? null : tokenOf(last), remaining };
}

type Place = Pick<Listed, 'name' | 'createdAt'>;

/** Negative: left stands before right. */
function newestFirst(left: Place, right: Place): number {
  if (left.createdAt !== right.createdAt) return left.createdAt > right.createdAt ? -1 : 1;
  if (left.name === right.name) return 0;
  return left.name < right.name ? -1 : 1;
}

function tokenOf({ createdAt, name }: Place): string {
  return Buffer.from(JSON.stringify([createdAt, name])).toString('base64url');
}

function placeFrom(token: string): Place {
  try {
    const [createdAt, name] = JSON.parse(Buffer.from(token, 'base64url').toString()) as unknown[];
    if (typeof createdAt === 'string' && typeof name === 'string') return { createdAt, name };
  } catch {
    // Refused below.
  }
  throw new Refusal('malformed_request', 'query parameter continue is not the token of a page', {
    field: 'continue',
    value: token,
    remedy: 'begin without it',
  });
}
