import { Check } from 'typebox/value';
import { canonicalJson } from '../../shared/canonical-json.ts';
import { Refusal } from '../../shared/errors.ts';
import { schemaFaults } from '../../shared/schemas/faults.ts';
import { findFault, resolveParameters } from '../catalogue/parameters.ts';
import type { FaultRow, ParameterRow } from '../catalogue/row.ts';
import { ExperimentSpec, type Target } from '../store/experiment.ts';
import { seedFromName } from '../store/store.ts';
import { parseSelector } from './selector.ts';

/** A drill as words of a command line ask for it; texts as they were typed. */
export type DrillWords = {
  readonly fault: string;
  /** `NAME=VALUE` each. */
  readonly set?: readonly string[];
  readonly nodes?: readonly string[];
  readonly selector?: string | undefined;
  readonly mode?: string | undefined;
  readonly value?: string | undefined;
  readonly seed?: string | undefined;
  /** Index, UUID or PCI address. */
  readonly gpu?: string | undefined;
  readonly within?: string | undefined;
  readonly deadline?: string | undefined;
  /** A negative drill of that length. */
  readonly none?: string | undefined;
  /** `LINK` or `LINK=DURATION` each. */
  readonly then?: readonly string[];
  readonly repair?: string | undefined;
  readonly restore?: boolean;
  readonly force?: boolean;
};

/**
 * The spec of the Experiment, checked by the catalogue and by the schema that the API server has as well, so that a mistake is named
 * before anything is written. Without a seed it follows from the rest, so that a dry run and its drill pick the same nodes.
 */
export function specFrom(words: DrillWords): ExperimentSpec {
  const row = findFault(words.fault);
  const parameters = Object.fromEntries((words.set ?? []).map((pair) => parameterFrom(pair, row)));
  // Refuses what the fault does not take; what is left out is filled in where the drill is planned.
  resolveParameters(row, parameters, 'a1b2c3');
  const expectation = expectationFrom(words);
  const spec = {
    fault: { name: row.name, ...(Object.keys(parameters).length === 0 ? {} : { parameters }) },
    target: targetFrom(words),
    ...(Object.keys(expectation).length === 0 ? {} : { expectation }),
    ...(words.deadline === undefined ? {} : { deadline: words.deadline }),
    ...(words.restore === true ? { restore: 'auto' as const } : {}),
  };
  if (!Check(ExperimentSpec, spec)) throw invalid(spec);
  if (spec.target.seed !== undefined) return spec;
  return { ...spec, target: { ...spec.target, seed: seedFromName(canonicalJson(spec)) } };
}

function invalid(spec: unknown): Refusal {
  const faults = schemaFaults(ExperimentSpec, spec).map(({ path, message }) => ({
    field: path.join('.'),
    message,
  }));
  const text = faults.map(({ field, message }) => `${field} ${message}`).join('; ');
  return new Refusal('malformed_request', text, { field: faults[0]?.field ?? '', faults });
}

function parameterFrom(pair: string, row: FaultRow): readonly [string, unknown] {
  const at = pair.indexOf('=');
  if (at < 1)
    throw new Refusal('malformed_request', `--set ${pair}: not NAME=VALUE, such as xid=79`, {
      field: '--set',
    });
  const name = pair.slice(0, at);
  return [name, valueFrom(pair.slice(at + 1), row.parameters[name]?.type)];
}

/** Text stays text, a list of surfaces may be parted by commas; anything else is JSON where it reads as JSON. */
function valueFrom(text: string, type: ParameterRow['type'] | undefined): unknown {
  if (type === 'text') return text;
  if (type === 'surfaces' && !text.startsWith('[')) return text.split(',');
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function targetFrom({ nodes = [], selector, mode, value, seed, gpu }: DrillWords): Target {
  const chosen = {
    ...(nodes.length === 0 ? {} : { names: [...nodes] }),
    ...(selector === undefined ? {} : parseSelector(selector)),
  };
  // Several named nodes are meant, all of them.
  const usual = nodes.length > 1 && selector === undefined ? 'all' : undefined;
  const picked = mode ?? usual;
  return {
    ...(Object.keys(chosen).length === 0 ? {} : { selector: chosen }),
    ...(picked === undefined ? {} : { mode: picked as NonNullable<Target['mode']> }),
    ...(value === undefined ? {} : { value: numberFrom('--value', value) }),
    ...(seed === undefined ? {} : { seed: numberFrom('--seed', seed) }),
    ...(gpu === undefined ? {} : { gpu: gpuFrom(gpu) }),
  };
}

function gpuFrom(text: string): NonNullable<Target['gpu']> {
  if (/^\d+$/.test(text)) return { index: Number(text) };
  return text.includes(':') ? { pci: text } : { uuid: text };
}

function numberFrom(field: string, text: string): number {
  const number = Number(text.replace(/%$/, ''));
  if (text.trim() !== '' && Number.isInteger(number)) return number;
  throw new Refusal('malformed_request', `${field}: "${text}" is no whole number`, { field, value: text });
}

function expectationFrom({
  within,
  none,
  then = [],
  repair,
  force,
}: DrillWords): NonNullable<ExperimentSpec['expectation']> {
  const links = then.map((one) => {
    const [link = '', time] = one.split('=', 2);
    return { link, ...(time === undefined ? {} : { within: time }) };
  });
  return {
    ...(within === undefined ? {} : { within }),
    ...(none === undefined ? {} : { none: true as const, for: none }),
    ...(links.length === 0 ? {} : { then: links }),
    ...(repair === undefined ? {} : { repair: repair as 'expect' | 'ignore' }),
    ...(force === true ? { force } : {}),
  };
}
