import type { ObjectMeta } from '../../cluster/port.ts';
import type { Cause } from './status-error.ts';
import { nameHint, namePattern } from './strategy.ts';

/** Of all keys and values together, in bytes (k8s.io/apimachinery, pkg/api/validation/objectmeta.go). */
const longestAnnotations = 256 * 1024;
const longestName = 63;
const longestPrefix = 253;

const word = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const wordHint = (what: string, example: string, expression: string) =>
  `${what} consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character ` +
  `(e.g. ${example}, regex used for validation is '${expression}')`;
const valueHint = wordHint(
  'a valid label must be an empty string or',
  "'MyValue',  or 'my_value',  or '12345'",
  '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?',
);
const keyExamples = [
  "'MyName',  or 'my.name',  or '123-abc'",
  '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]',
] as const;

/** What the real server says of labels and annotations of any kind: k8s.io/apimachinery, pkg/util/validation. */
export function metadataCauses({ labels = {}, annotations = {} }: ObjectMeta): readonly Cause[] {
  const entries = Object.entries(annotations);
  const size = entries.reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key) + Buffer.byteLength(value),
    0,
  );
  const message = `Too long: may not be more than ${longestAnnotations} bytes`;
  return [
    ...Object.entries(labels).flatMap(([key, value]) => [
      ...keyCauses('metadata.labels', key, key),
      ...invalid('metadata.labels', value, valueFaults(value)),
    ]),
    // Only here upper case may stand in the prefix.
    ...entries.flatMap(([key]) => keyCauses('metadata.annotations', key, key.toLowerCase())),
    ...(size > longestAnnotations
      ? [{ reason: 'FieldValueTooLong', message, field: 'metadata.annotations' }]
      : []),
  ];
}

function valueFaults(value: string): readonly string[] {
  if (value.length > longestName) return [`must be no more than ${longestName} characters`];
  return value === '' || word.test(value) ? [] : [valueHint];
}

function keyCauses(field: string, key: string, read: string): readonly Cause[] {
  const parts = read.split('/');
  if (parts.length > 2) {
    const hint = wordHint('a qualified name must', ...keyExamples);
    return invalid(field, key, [
      `${hint} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]);
  }
  const [name = '', prefix] = parts.toReversed();
  return invalid(field, key, [...(prefix === undefined ? [] : prefixFaults(prefix)), ...nameFaults(name)]);
}

function prefixFaults(prefix: string): readonly string[] {
  if (prefix === '') return ['prefix part must be non-empty'];
  if (prefix.length > longestPrefix) return [`prefix part must be no more than ${longestPrefix} characters`];
  return namePattern.test(prefix) ? [] : [`prefix part ${nameHint}`];
}

function nameFaults(name: string): readonly string[] {
  if (name === '') return ['name part must be non-empty'];
  if (name.length > longestName) return [`name part must be no more than ${longestName} characters`];
  return word.test(name) ? [] : [wordHint('name part must', ...keyExamples)];
}

function invalid(field: string, value: string, faults: readonly string[]): readonly Cause[] {
  return faults.map((fault) => ({
    reason: 'FieldValueInvalid',
    message: `Invalid value: ${JSON.stringify(value)}: ${fault}`,
    field,
  }));
}
