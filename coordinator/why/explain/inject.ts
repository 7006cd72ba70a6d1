import { explainNoEffect, type Suggestion } from '../../../shared/dcgm-fields/effect.ts';
import { findField, knownField } from '../../../shared/dcgm-fields/find.ts';
import type { FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { assertFieldValue } from '../../../shared/dcgm-fields/value.ts';
import { Refusal } from '../../../shared/errors.ts';
import type { Finding } from '../finding.ts';
import type { At, DeedOf, InjectOptions } from '../piece.ts';
import { explainPlace } from './engine.ts';
import { explainReaction } from './reaction.ts';
import { inEngine, say, type World } from './say.ts';

const dcgmi = 'NVIDIA/DCGM dcgmi/CommandLineParser.cpp, DcgmiTest.cpp';

/** `dcgmi test --inject`: which quantity it wrote, where, and who reacts to that. */
export function explainInject(deed: DeedOf<'inject'>, world: World): readonly Finding[] {
  const refused = refusedArguments(deed);
  if (refused !== undefined) return [refused];
  const { options } = deed;
  const { field = '', value = '' } = options;
  const did = `Stored field ${field} = ${value} in the cache of one host engine, for GPU ${options.gpuid ?? '1 (the default)'}.`;
  if (/[$`]/.test(field + value))
    return [
      say(deed, {
        code: 'engine-not-known',
        result: 'open',
        certainty: 'likely',
        did: `Stored a value in the cache of one host engine; field or value come from a variable that the text does not set.`,
        summary: `Whether anybody reacts depends on the field and the value, ${field} = ${value}.`,
        missing: 'the command with the values filled in',
      }),
    ];
  const number = fieldNumber(field);
  const row = typeof number === 'number' ? knownField(number) : undefined;
  if (row === undefined) return [unknownField(deed, field, number)];
  const main = explainValue(deed, row, did, world);
  return [
    ...main,
    ...explainGpuid(deed),
    ...explainOffset(deed),
    ...explainPlace(deed, main[0]?.commands[0], world),
  ];
}

/** What dcgmi itself refuses before it asks an engine (dcgm.md §1.4). */
function refusedArguments(deed: DeedOf<'inject'>): Finding | undefined {
  const { options } = deed;
  const refused = (text: string, summary: string) =>
    say(deed, {
      code: 'inject-refused',
      result: 'broken',
      did: `Nothing: dcgmi ends with exit code 254 and "${text}".`,
      summary,
      facts: [{ source: dcgmi, observed: text }],
      commands: [
        inEngine(`test --inject --gpuid 0 -f ${options.field ?? 'FIELD'} -v ${options.value ?? 'VALUE'}`),
      ],
    });
  if (options.group !== undefined)
    return refused(
      'Error: Injection can only be specified for a single GPU',
      'dcgmi test --inject takes one GPU with --gpuid, never a group.',
    );
  if (options.field === undefined)
    return refused(
      'Error: The --field argument is required for --inject and --introspect',
      'The command names no field.',
    );
  if (options.value === undefined)
    return refused('Error: The -v/--value argument is required for --inject', 'The command has no value.');
  return undefined;
}

/** As `atoi` into 16 bits reads it: digits in front count, a name is 0 (dcgm.md §1.2). */
function fieldNumber(field: string): number | 'name' | 'group' {
  if (field.includes(',')) return 'group';
  const digits = /^\s*(\d{1,12})/.exec(field)?.[1];
  return digits === undefined ? 'name' : Number(digits) & 0xffff;
}

function unknownField(deed: At, field: string, number: ReturnType<typeof fieldNumber>): Finding {
  const named = number === 'name' ? knownField(field) : undefined;
  const refusal = refusalOf(() => findField(typeof number === 'number' ? number : field));
  const reads =
    number === 'name'
      ? 'dcgmi takes numbers only and reads a name as field 0'
      : number === 'group'
        ? 'with a comma dcgmi looks for a field group'
        : `dcgmi reads field ${number}`;
  const isUndefined = refusal?.message.includes('defined in no DCGM version') === true;
  return say(deed, {
    code: 'field-unknown',
    result: number === 'name' || number === 'group' || isUndefined ? 'broken' : 'open',
    ...(number === 'name' || isUndefined ? {} : { certainty: 'likely' as const }),
    did: `Nothing that anybody reacts to: ${reads}.`,
    summary:
      named === undefined
        ? `${refusal?.message ?? `field ${field} is not known`}.`
        : `Field ${field} has the number ${named.id}; by its name dcgmi answers "Bad parameter passed to function", exit code 255.`,
    facts: [{ source: dcgmi, observed: reads }],
    commands:
      named === undefined
        ? [inEngine('test --introspect --gpuid 0 -f FIELD')]
        : [inEngine(`test --inject --gpuid 0 -f ${named.id} -v VALUE`)],
    ...(number === 'name' || isUndefined
      ? {}
      : { missing: `what field ${field} is: dcgmi test --introspect --gpuid 0 -f ${field}` }),
  });
}

function explainValue(deed: DeedOf<'inject'>, row: FieldRow, did: string, world: World): readonly Finding[] {
  const given = deed.options.value ?? '';
  let value: string;
  try {
    value = assertFieldValue(row, given, 'value', { force: true });
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    return [misread(deed, row, given, thrown)];
  }
  const nothing = explainNoEffect(row, value);
  if (nothing === undefined) return explainReaction(deed, row, value, did, world);
  const [first] = nothing.didYouMean;
  return [
    say(deed, {
      code: 'field-is-another-quantity',
      result: 'broken',
      did,
      summary: `${capital(nothing.summary)}.${meant(nothing.didYouMean)} dcgmi answers "Successfully injected field info." all the same.`,
      facts: [{ source: 'NVIDIA/DCGM dcgmlib/dcgm_fields.h', observed: `${row.id} = ${row.name}` }],
      seenBy: [
        {
          who: 'NMA',
          sees: false,
          because: 'neither a policy nor a health check of the engine takes this value',
        },
      ],
      commands: nothing.didYouMean
        .slice(0, 2)
        .map((one) =>
          inEngine(`test --inject --gpuid ${gpuOf(deed.options)} -f ${one.field} -v ${one.value}`),
        ),
      drill: first === undefined ? undefined : drillOf(first.field, first.value),
    }),
  ];
}

function misread(deed: DeedOf<'inject'>, row: FieldRow, given: string, refusal: Refusal): Finding {
  if (refusal.reason === 'field_not_injectable')
    return say(deed, {
      code: 'field-not-injectable',
      result: 'broken',
      did: 'Nothing that a reader of the engine takes.',
      summary: `${capital(refusal.message)}.`,
      facts: [
        {
          source: 'NVIDIA/DCGM dcgmlib/src/dcgm_fields.cpp',
          observed: `${row.id} = ${row.name}, ${row.type}`,
        },
      ],
      commands: [inEngine('test --inject --gpuid 0 -f 230 -v XID')],
    });
  const read =
    row.type === 'double' ? Number.parseFloat(given) || 0 : Number(/^\s*[+-]?\d+/.exec(given)?.[0] ?? 0);
  return say(deed, {
    code: 'value-misread',
    result: 'broken',
    did: `Stored field ${row.id} = ${read}: dcgmi converts "${given}" as C does and says nothing.`,
    summary: `${capital(refusal.message)}. What the engine holds is ${read}${row.id === 230 && read === 0 ? ', and it reports that as Xid 0' : ''}.`,
    facts: [{ source: dcgmi, observed: 'int64 by atol, double by atof: what is no number becomes 0' }],
    commands: [inEngine(`test --inject --gpuid ${gpuOf(deed.options)} -f ${row.id} -v NUMBER`)],
  });
}

function explainGpuid(deed: DeedOf<'inject'>): readonly Finding[] {
  const { gpuid } = deed.options;
  if (gpuid === undefined)
    return [
      say(deed, {
        code: 'gpuid-default',
        result: 'broken',
        certainty: 'likely',
        did: 'Wrote for GPU 1: without --gpuid dcgmi takes 1, not 0.',
        summary:
          'On a node with one GPU that one is 0, and dcgmi answers "Bad parameter passed to function", exit code 255; on others it is the second GPU.',
        facts: [{ source: dcgmi, observed: '--gpuid: default 1' }],
        commands: [
          inEngine('discovery -l'),
          inEngine(`test --inject --gpuid 0 -f ${deed.options.field} -v ${deed.options.value}`),
        ],
        missing: 'how many GPUs the engine has: dcgmi discovery -l',
      }),
    ];
  if (/^\d+$/.test(gpuid) && !/^0\d/.test(gpuid)) return [];
  return [
    say(deed, {
      code: 'gpuid-default',
      result: 'open',
      certainty: 'likely',
      did: `Wrote for the GPU that dcgmi reads out of "${gpuid}": 0x10 is 16 and 010 is 8 there.`,
      summary: 'Give the number that dcgmi discovery -l shows, in plain decimal digits.',
      facts: [{ source: dcgmi, observed: 'integer options are read with automatic base' }],
      commands: [inEngine('discovery -l')],
    }),
  ];
}

/** Longer than a health check's period, an offset does more harm than good (dcgm.md §1.3). */
const longestOffset = 600;

function explainOffset(deed: DeedOf<'inject'>): readonly Finding[] {
  const offset = Number(deed.options.offset ?? 1);
  if (!(offset > longestOffset)) return [];
  return [
    say(deed, {
      code: 'offset-mutes',
      result: 'broken',
      certainty: 'likely',
      did: `Dated the sample ${offset} s ahead: the engine does not read the field itself until then.`,
      summary: `Real alerts of this kind for the GPU are dropped until ${offset + 5} s have passed, and NMA’s watch of fields 170 and 174 does not see a sample of the future.`,
      facts: [
        {
          source: 'NVIDIA/DCGM dcgmlib/src/DcgmCacheManager.cpp InjectSamples, DcgmPolicyManager.cpp',
          observed: 'next poll after the sample’s time; one alert per type in 5 s of sample time',
        },
      ],
      commands: [
        inEngine(
          `test --inject --gpuid ${gpuOf(deed.options)} -f ${deed.options.field} -v ${deed.options.value}`,
        ),
      ],
    }),
  ];
}

/** The GPU's number for a command to copy. */
export function gpuOf({ gpuid }: InjectOptions): string {
  return gpuid !== undefined && /^\d{1,3}$/.test(gpuid) ? gpuid : '0';
}

/** The same as a fault of the catalogue. */
export function drillOf(field: number, value: string): Finding['drill'] {
  const number = Number(value);
  if (field === 230) return { name: 'xid', parameters: { xid: number } };
  return { name: 'dcgm-field', parameters: { field, value: Number.isFinite(number) ? number : value } };
}

function meant(suggestions: readonly Suggestion[]): string {
  const texts = suggestions.map(({ field, value, because }) => `field ${field} = ${value} (${because})`);
  return texts.length === 0 ? '' : ` Did you mean ${texts.join(', or ')}?`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function refusalOf(find: () => unknown): Refusal | undefined {
  try {
    find();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Refusal) return thrown;
    throw thrown;
  }
}
