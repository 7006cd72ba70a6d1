import Type, { type Static } from 'typebox';
import { isMap, isScalar, LineCounter, type ParsedNode, parseDocument } from 'yaml';
import { Refusal } from '../../shared/errors.ts';
import { type SchemaFault, schemaFaults } from '../../shared/schemas/faults.ts';
import { findFault, resolveParameters } from '../catalogue/parameters.ts';
import { ExperimentName, ExperimentSpec, experimentFields } from '../store/experiment.ts';

/** Drills that may run at the same time; each is read once a second while it runs. */
const mostParallel = 20;
const mostDrills = 500;

const Tag = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$',
  description: 'letters, digits, dots, dashes and underscores, the first a letter or digit',
});

const drillFields = Type.Partial(Type.Object(experimentFields)).properties;

/** A suite as it is written: what an Experiment takes, several times, and what they have in common. */
export const SuiteFile = Type.Object(
  {
    name: Type.String({
      ...ExperimentName,
      description: 'lower case letters, digits and dashes, a letter or digit first and last; of the suite',
    }),
    parallel: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: mostParallel,
        description:
          'drills that run at the same time; default 1, one after another in the order of the file',
      }),
    ),
    stopOnFail: Type.Optional(
      Type.Boolean({ description: 'true: after a drill that did not pass no further one is started' }),
    ),
    defaults: Type.Optional(
      Type.Object(drillFields, {
        additionalProperties: false,
        description: 'for every drill; in target and expectation a drill replaces single members',
      }),
    ),
    drills: Type.Array(
      Type.Object(
        {
          name: Type.String({ ...ExperimentName, description: 'unique in the suite' }),
          tags: Type.Optional(Type.Array(Tag, { maxItems: 50 })),
          ...drillFields,
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: mostDrills },
    ),
  },
  { $id: 'Suite', additionalProperties: false },
);
type SuiteFile = Static<typeof SuiteFile>;

/** One drill of a suite, with the defaults. */
export type PlannedDrill = {
  readonly name: string;
  readonly tags: readonly string[];
  readonly spec: ExperimentSpec;
};

/** A suite that can be run. */
export type Suite = {
  readonly name: string;
  readonly parallel: number;
  readonly stopOnFail: boolean;
  readonly drills: readonly PlannedDrill[];
};

/** A larger file is none that a person wrote. */
const longestFile = 1024 * 1024;

/** Lists and maps that `&` and `*` may repeat, so that a small file cannot become a large one. */
const mostAliases = 1000;

/**
 * Reads a suite. Everything is checked by the schema that the API server has as well and by the catalogue before anything is created;
 * refuses with `malformed_request`, whose message has a line for each fault: file, line, field, what is allowed.
 */
export function parseSuite(text: string, file: string): Suite {
  if (text.length > longestFile)
    throw refusal(file, [
      { line: 1, text: `the file has ${text.length} characters, at most ${longestFile} are read` },
    ]);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number) => lines.linePos(offset).line;
  // A tag that is not known is a warning only, and its value would be something else than what was meant.
  const troubles = [...document.errors, ...document.warnings];
  if (troubles.length > 0)
    throw refusal(
      file,
      troubles.map(({ message, pos }) => ({ line: lineAt(pos[0]), text: message })),
    );
  const lineOf = (path: readonly string[]) => lineAt(offsetOf(document.contents, path));
  const fail = (faults: readonly SchemaFault[], within: readonly string[] = []) =>
    refusal(
      file,
      faults.map(({ path, message }) => ({
        line: lineOf([...within, ...path]),
        text: `${fieldText([...within, ...path]) || 'the file'} ${message}`,
      })),
    );
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: mostAliases });
  } catch (thrown) {
    throw refusal(file, [{ line: 1, text: thrown instanceof Error ? thrown.message : 'cannot be read' }]);
  }
  const faults = schemaFaults(SuiteFile, value);
  if (faults.length > 0) throw fail(faults);
  const suite = value as SuiteFile;
  const found = suite.drills.flatMap((drill, index) =>
    drillFaults(suite, index).map((fault) => placed(fault, drill, index)),
  );
  if (found.length > 0) throw fail(found);
  return {
    name: suite.name,
    parallel: suite.parallel ?? 1,
    stopOnFail: suite.stopOnFail ?? false,
    drills: suite.drills.map((drill) => ({
      name: drill.name,
      tags: drill.tags ?? [],
      spec: merged(suite.defaults ?? {}, drill) as ExperimentSpec,
    })),
  };
}

/** What is wrong with a drill as a whole, once it has its defaults. */
function drillFaults({ drills, defaults = {} }: SuiteFile, index: number): readonly SchemaFault[] {
  const drill = drills[index];
  if (drill === undefined) return [];
  const first = drills.findIndex(({ name }) => name === drill.name);
  const twice =
    first === index ? [] : [{ path: ['name'], message: `"${drill.name}" is also drill ${first + 1}` }];
  const spec = merged(defaults, drill);
  const faults = schemaFaults(ExperimentSpec, spec);
  return faults.length > 0 ? [...twice, ...faults] : [...twice, ...catalogueFaults(spec as ExperimentSpec)];
}

function catalogueFaults({ fault }: ExperimentSpec): readonly SchemaFault[] {
  try {
    resolveParameters(findFault(fault.name), fault.parameters ?? {}, 'a1b2c3');
    return [];
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { faults, field = 'fault', value } = thrown.details;
    const all = Array.isArray(faults) ? (faults as readonly { field: string; message: string }[]) : undefined;
    if (all === undefined)
      return [
        {
          path: String(field).split('.'),
          message: `is ${JSON.stringify(value)}: ${afterField(thrown.message)}`,
        },
      ];
    return all.map((one) => ({ path: one.field.split('.'), message: one.message }));
  }
}

function afterField(message: string): string {
  return message.slice(message.indexOf(': ') + 2);
}

/** A member that stands with the defaults is shown there. */
function placed(
  { path, message }: SchemaFault,
  drill: SuiteFile['drills'][number],
  index: number,
): SchemaFault {
  const [top = ''] = path;
  const isOwn = Object.hasOwn(drill, top) || top === 'name' || path.length < 2;
  return isOwn
    ? { path: ['drills', String(index), ...path], message }
    : { path: ['defaults', ...path], message: `${message} (drill ${drill.name})` };
}

type Fields = NonNullable<SuiteFile['defaults']>;

/** The drill's own members win; target and expectation are merged by their members. */
function merged(defaults: Fields, { name: _name, tags: _tags, ...own }: SuiteFile['drills'][number]): Fields {
  const both = <K extends 'target' | 'expectation'>(key: K) =>
    defaults[key] === undefined && own[key] === undefined ? {} : { [key]: { ...defaults[key], ...own[key] } };
  return { ...defaults, ...own, ...both('target'), ...both('expectation') };
}

/** The place of a value in the text, or of the nearest thing around it that stands there. */
function offsetOf(root: ParsedNode | null, path: readonly string[]): number {
  let node: unknown = root;
  let offset = root?.range[0] ?? 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((one) => isScalar(one.key) && String(one.key.value) === key);
      if (pair === undefined) break;
      offset = (pair.key as ParsedNode).range[0];
      node = pair.value;
    } else {
      const items = (node as { readonly items?: readonly unknown[] } | null)?.items;
      const item = items?.[Number(key)] as ParsedNode | undefined;
      if (item === undefined) break;
      offset = item.range[0];
      node = item;
    }
  }
  return offset;
}

/** `drills[1].fault.name`. */
function fieldText(path: readonly string[]): string {
  return path.reduce(
    (text, part) => (/^\d+$/.test(part) ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

const shownFaults = 30;

function refusal(file: string, faults: readonly { readonly line: number; readonly text: string }[]): Refusal {
  const all = faults.toSorted((left, right) => left.line - right.line);
  const rest = all.length - shownFaults;
  const lines = all.slice(0, shownFaults).map(({ line, text }) => `${file}:${line}: ${text}`);
  return new Refusal('malformed_request', [...lines, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n'), {
    faults: all,
  });
}

/** The drills of a suite with one of these tags, all where none is asked for. Refuses with `malformed_request` where none has. */
export function withTags(suite: Suite, tags: readonly string[]): Suite {
  if (tags.length === 0) return suite;
  const drills = suite.drills.filter((drill) => drill.tags.some((tag) => tags.includes(tag)));
  if (drills.length > 0) return { ...suite, drills };
  const known = [...new Set(suite.drills.flatMap((drill) => drill.tags))].toSorted();
  throw new Refusal(
    'malformed_request',
    `--tag: no drill of ${suite.name} has the tag ${tags.join(' or ')}`,
    {
      field: '--tag',
      allowed: known.length === 0 ? ['the suite has no tags'] : known,
    },
  );
}
