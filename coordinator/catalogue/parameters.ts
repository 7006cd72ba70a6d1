import type { TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { Refusal } from '../../shared/errors.ts';
import { InjectCascade, InjectSxid, InjectXid } from '../../shared/schemas/order.ts';
import { textDistance } from '../../shared/text-distance.ts';
import { faults, notOffered } from './catalogue.ts';
import type { FaultRow, ParameterRow } from './row.ts';

/** By name; values are checked against the fault's rows before anything uses them. */
export type Parameters = Readonly<Record<string, unknown>>;

/** Refuses with `fault_unknown`, with what was perhaps meant. */
export function findFault(name: string, rows: readonly FaultRow[] = faults): FaultRow {
  const row = rows.find((candidate) => candidate.name === name);
  if (row !== undefined) return row;
  throw new Refusal('fault_unknown', `fault.name: ${whyNoFault(name, rows)}`, {
    field: 'fault.name',
    value: name,
    allowed: rows.map((candidate) => candidate.name),
    remedy: 'GET /api/v1/faults lists them all',
  });
}

/** Asked for and not offered, or misspelt. */
export function whyNoFault(name: string, rows: readonly FaultRow[]): string {
  const known = notOffered.find((candidate) => candidate.name === name);
  if (known !== undefined) {
    const instead = known.instead === undefined ? '' : `; instead: ${known.instead}`;
    return `"${name}" is not offered, because ${known.because}${instead}`;
  }
  const near = rows
    .map((candidate) => ({ name: candidate.name, distance: textDistance(name, candidate.name) }))
    .toSorted((left, right) => left.distance - right.distance)
    .slice(0, 3)
    .map((candidate) => candidate.name);
  return `no fault "${name}"; did you mean ${near.join(', or ')}?`;
}

/** Checks what was given and fills in defaults; everything wrong is reported at once. */
export function resolveParameters(row: FaultRow, given: Parameters, marker: string): Parameters {
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(row.parameters, name));
  const faults = unknown.map((name) => ({
    field: `fault.parameters.${name}`,
    message: 'is no parameter of this fault',
  }));
  const resolved: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(row.parameters)) {
    const value = (Object.hasOwn(given, name) ? given[name] : undefined) ?? fillIn(parameter, marker);
    const wrong = value === undefined ? missing(parameter) : check(parameter, value);
    if (wrong !== undefined) faults.push({ field: `fault.parameters.${name}`, message: wrong });
    else if (value !== undefined) resolved[name] = value;
  }
  if (faults.length === 0) return resolved;
  throw new Refusal(
    'parameter_invalid',
    faults.map(({ field, message }) => `${field} ${message}`).join('; '),
    {
      field: faults[0]?.field ?? 'fault.parameters',
      faults,
      allowed: Object.fromEntries(Object.entries(row.parameters).map(([name, { help }]) => [name, help])),
    },
  );
}

/** An example of what a row requires and has no default for, so that it can be shown in use. */
export function exampleParameters(row: FaultRow): Parameters {
  return Object.fromEntries(
    Object.entries(row.parameters)
      .filter(([, { required, default: usual }]) => required === true && usual === undefined)
      .map(([name, parameter]) => [name, exampleOf(parameter)]),
  );
}

function exampleOf(parameter: ParameterRow): unknown {
  return parameter.example ?? smallest[parameter.type](parameter);
}

const smallest: Readonly<Record<ParameterRow['type'], (parameter: ParameterRow) => unknown>> = {
  integer: ({ minimum = 1 }) => minimum,
  number: ({ minimum = 1 }) => minimum,
  text: () => 'xidrill',
  boolean: () => false,
  choice: ({ allowed = [] }) => allowed[0],
  surfaces: () => ['dcgm'],
  process: () => ({ pid: 4321, name: 'xidrill' }),
  engine: () => ({ address: '127.0.0.1:5555' }),
  scalar: () => 1,
  nvlink: () => ({ link: 0 }),
  mig: () => ({ gpuInstance: 0 }),
  switch: () => ({ index: 0, pci: '0000:05:00.0' }),
  steps: () => [{ xid: 48, afterSeconds: 0 }],
};

function fillIn(parameter: ParameterRow, marker: string): unknown {
  if (typeof parameter.default !== 'string') return parameter.default;
  const text = parameter.default
    .replaceAll('{marker}', marker)
    .replaceAll('{markerNumber}', String(markerNumber(marker)));
  return parameter.type === 'integer' ? Number(text) : text;
}

/** 1000 to 9999, so that a duration made of it is no usual one. */
export function markerNumber(marker: string): number {
  return 1000 + (Number.parseInt(marker, 36) % 9000);
}

function missing(parameter: ParameterRow): string | undefined {
  return parameter.required === true ? `is required: ${parameter.help}` : undefined;
}

/**
 * Characters of a text parameter, beyond what any surface takes (976 in the kernel log): the readers' own patterns are
 * quoted as they are, and some of them take time with the square of the length or more.
 */
export const longestText = 2048;

const checks: Readonly<
  Record<ParameterRow['type'], (value: unknown, parameter: ParameterRow) => string | undefined>
> = {
  integer: (value) => (Number.isSafeInteger(value) ? undefined : 'must be a whole number'),
  number: (value) => (Number.isFinite(value) ? undefined : 'must be a number'),
  text: (value) => {
    if (typeof value !== 'string') return 'must be text';
    return value.length <= longestText ? undefined : `must have at most ${longestText} characters`;
  },
  boolean: (value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  scalar: (value) =>
    typeof value === 'string' || Number.isFinite(value) ? undefined : 'must be a number or text',
  choice: (value, { allowed = [] }) =>
    allowed.some((choice) => choice === value) ? undefined : `must be one of ${allowed.join(', ')}`,
  surfaces: (value) =>
    Array.isArray(value) &&
    value.length > 0 &&
    new Set(value).size === value.length &&
    value.every((item) => item === 'kernel-log' || item === 'dcgm')
      ? undefined
      : 'must be a list of kernel-log and dcgm, each once',
  engine: (value) => (isEngine(value) ? undefined : 'must be {pid: whole number} or {address: text}'),
  process: (value) =>
    isProcess(value)
      ? undefined
      : 'must be {pid: whole number, name: text of letters, digits and ._:/-}, or what a driver prints for none',
  nvlink: shaped(InjectXid.properties.nvlink, 'must be {unit, severity, crossbar, injected, link, words}'),
  mig: shaped(InjectXid.properties.mig, 'must be {gpuInstance, computeInstance}'),
  switch: shaped(InjectSxid.properties.switch, 'must be {index, pci}'),
  steps: shaped(InjectCascade.properties.steps, 'must be a list of {xid, afterSeconds, …}'),
};

/** By the schema that the agent checks with. */
function shaped(schema: TSchema, wanted: string): (value: unknown) => string | undefined {
  return (value) => {
    if (Check(schema, value)) return undefined;
    const [first] = Errors(schema, value);
    return `${wanted}${first === undefined ? '' : `: ${first.instancePath} ${first.message}`}`;
  };
}

function isProcess(value: unknown): boolean {
  if (!Check(InjectXid.properties.process, value)) return false;
  const { name } = value as NonNullable<InjectXid['process']>;
  return name === undefined || name === '<unknown>' || /^[A-Za-z0-9._:/-]{1,64}$/.test(name);
}

function isEngine(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false;
  const { pid, address, ...rest } = value as Record<string, unknown>;
  const isOne = (pid === undefined) !== (address === undefined) && Object.keys(rest).length === 0;
  return isOne && (pid === undefined ? typeof address === 'string' : Number.isSafeInteger(pid));
}

function check(parameter: ParameterRow, value: unknown): string | undefined {
  const wrong = checks[parameter.type](value, parameter);
  if (wrong !== undefined) return wrong;
  const number = Number(value);
  if (parameter.minimum !== undefined && number < parameter.minimum)
    return `must be at least ${parameter.minimum}`;
  if (parameter.maximum !== undefined && number > parameter.maximum)
    return `must be at most ${parameter.maximum}`;
  if (parameter.pattern !== undefined && !new RegExp(parameter.pattern).test(String(value))) {
    return `must match ${parameter.pattern}`;
  }
  return undefined;
}
