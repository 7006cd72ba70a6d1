import { Refusal } from '../errors.ts';
import { askMeant, suggestions } from './effect.ts';
import type { FieldRow, FieldType } from './row.ts';
import { isMatch } from './rule.ts';

const lowestInt64 = -(2n ** 63n);
const highestInt64 = 2n ** 63n - 1n;
/** dcgmi copies a text into 256 bytes and cuts it silently. */
const longestText = 255;

const expected: Record<FieldType, string> = {
  int64: 'a whole number within 64 bits, as a number or as decimal digits in a text',
  double: 'a finite decimal number',
  string: `1 to ${longestText} printable ASCII characters on one line, as a text`,
  binary: 'nothing: dcgmi cannot write this type',
};

/**
 * The value as it is passed to `dcgmi -v`, checked strictly: `dcgmi` reads `abc` as 0 and `12abc` as 12 and says
 * "Successfully injected" (measured), so nothing that is not exactly a value of the field's type gets past here. Nor
 * does one that no hardware has, unless a rule names it or `force` is set.
 */
export function assertFieldValue(
  field: FieldRow,
  value: number | string,
  input = 'value',
  { force = false }: { readonly force?: boolean | undefined } = {},
): string {
  const text = encoders[field.type](value);
  if (field.type === 'binary') {
    throw refusal('field_not_injectable', field, value, input, 'is binary, and dcgmi cannot inject that');
  }
  if (text === undefined) {
    const given = typeof value === 'string' ? `"${value}"` : String(value);
    throw refusal('field_value_type', field, value, input, `wants ${expected[field.type]}, not ${given}`);
  }
  const harm = field.forbidden?.find((entry) => isMatch(entry.rule, text));
  if (harm !== undefined) {
    throw refusal('field_not_injectable', field, value, input, `is never set to ${text}: ${harm.because}`);
  }
  if (!force && !isPlausible(field, text)) throw outOfRange(field, text, input);
  return text;
}

function isPlausible({ range, effects = [] }: FieldRow, text: string): boolean {
  if (range === undefined) return true;
  const number = Number(text);
  if (number >= range.minimum && number <= range.maximum) return true;
  // Such as the number that stands for "no reading".
  return effects.some(({ rule }) => rule.op === '=' && rule.threshold === number);
}

function outOfRange(field: FieldRow, value: string, input: string): Refusal {
  const { minimum = Number.NaN, maximum = Number.NaN } = field.range ?? {};
  const unit = field.unit === undefined ? '' : ` ${field.unit}`;
  const didYouMean = suggestions(field, value).filter((hint) => hint.field !== field.id);
  return new Refusal(
    'field_value_range',
    `${input}: field ${field.id} (${field.what}) has values from ${minimum} to ${maximum}${unit}, not ${value}${askMeant(didYouMean)}`,
    {
      field: input,
      value,
      allowed: { minimum, maximum },
      fieldId: field.id,
      fieldName: field.name,
      type: field.type,
      unit: field.unit ?? null,
      didYouMean,
      remedy: 'send a value of this range; force: true injects it all the same',
    },
  );
}

const encoders: Record<FieldType, (value: number | string) => string | undefined> = {
  int64: encodeInt64,
  double: encodeDouble,
  string: (value) => (typeof value === 'string' && isOneLine(value) ? value : undefined),
  binary: () => undefined,
};

function encodeInt64(value: number | string): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  if (!/^-?\d{1,20}$/.test(value)) return undefined;
  const number = BigInt(value);
  return number >= lowestInt64 && number <= highestInt64 ? String(number) : undefined;
}

function encodeDouble(value: number | string): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined;
  if (value.length > 64 || !/^-?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(value)) return undefined;
  return Number.isFinite(Number(value)) ? value : undefined;
}

function isOneLine(value: string): boolean {
  return value.length <= longestText && /^[\x20-\x7e]+$/.test(value);
}

function refusal(
  reason: 'field_not_injectable' | 'field_value_type',
  field: FieldRow,
  value: unknown,
  input: string,
  text: string,
): Refusal {
  const unit = field.unit === undefined ? '' : ` in ${field.unit}`;
  return new Refusal(reason, `${input}: field ${field.id} (${field.what}, ${field.type}${unit}) ${text}`, {
    field: input,
    value,
    allowed: expected[field.type],
    fieldId: field.id,
    fieldName: field.name,
    type: field.type,
    unit: field.unit ?? null,
  });
}
