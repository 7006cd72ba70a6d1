import { messageFromUnknown } from '../../shared/errors.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import { parsePci } from '../../shared/pci.ts';
import { checkPart, type Part } from '../../shared/surfaces/table.ts';
import { channelOf } from './channels.ts';
import { exampleParameters, type Parameters, resolveParameters } from './parameters.ts';
import type { FaultRow, NotOfferedRow, ParameterRow } from './row.ts';

const kebab = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const marker = 'a1b2c3';
const anyGpu = { pci: parsePci('0000:00:00.0'), uuid: 'GPU-00000000-0000-0000-0000-000000000000' };

/**
 * Checks every row before anybody asks for one: with its defaults and examples, and with every choice, it has to make
 * an order that can be written where the row says. A defect is a mistake of ours, hence an Error that names rows and
 * parameters, not a refusal.
 */
export function assertCatalogue(rows: readonly FaultRow[], notOffered: readonly NotOfferedRow[] = []): void {
  const names = [...rows, ...notOffered].map(({ name }) => name);
  const defects = [
    ...names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name}: stands twice`),
    ...names
      .filter((name) => !kebab.test(name))
      .map((name) => `${name}: is no name in lower case with dashes`),
    ...rows.flatMap((row) => rowDefects(row).map((defect) => `${row.name}${defect}`)),
  ];
  if (defects.length > 0) throw new Error(`fault catalogue: ${defects.join('; ')}`);
}

function rowDefects(row: FaultRow): readonly string[] {
  const parameters = Object.entries(row.parameters).flatMap(([name, parameter]) =>
    parameterDefects(parameter).map((defect) => `.parameters.${name}: ${defect}`),
  );
  const texts = [...emptyTexts(row), ...placeholderDefects(row)];
  // An order from a row that is broken already only says the same again.
  return parameters.length + texts.length > 0 ? [...parameters, ...texts] : orderDefects(row);
}

function emptyTexts({ title, risk, undo, sources, surfaces }: FaultRow): readonly string[] {
  const empty = Object.entries({ title, risk, undo }).filter(([, text]) => text.trim() === '');
  return [
    ...empty.map(([name]) => `.${name}: is empty`),
    ...(sources.length === 0 ? ['.sources: is empty'] : []),
    ...(surfaces.length === 0 ? ['.surfaces: is empty'] : []),
  ];
}

function parameterDefects(parameter: ParameterRow): readonly string[] {
  const { help, minimum, maximum, pattern, type, allowed = [], required, default: usual } = parameter;
  const defects: string[] = [];
  if (help.trim() === '') defects.push('has no help');
  if (minimum !== undefined && maximum !== undefined && minimum > maximum)
    defects.push(`minimum ${minimum} is above maximum ${maximum}`);
  if ((type === 'choice') !== allowed.length > 0)
    defects.push('allowed is of a choice, and a choice has some');
  if (required === true && usual !== undefined) defects.push('is required and has a default');
  if (pattern !== undefined && !isPattern(pattern)) defects.push(`pattern ${pattern} does not compile`);
  for (const name of typeof usual === 'string' ? placeholders(usual) : []) {
    if (name !== 'marker' && name !== 'markerNumber') defects.push(`default has the unknown {${name}}`);
  }
  return defects;
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

/** What a channel fills in has to be there whenever it is filled in. */
function placeholderDefects({ channel, parameters }: FaultRow): readonly string[] {
  const texts = Object.values(channel).filter((value) => typeof value === 'string');
  return texts.flatMap(placeholders).flatMap((name) => {
    if (name === 'marker') return [];
    const parameter = parameters[name];
    if (parameter === undefined) return [`.channel: {${name}} is no parameter`];
    const isThere = parameter.required === true || parameter.default !== undefined;
    return isThere ? [] : [`.channel: {${name}} may be absent`];
  });
}

function placeholders(text: string): readonly string[] {
  return [...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
}

/** With what a row has by itself, and once more with every choice of every parameter. */
function orderDefects(row: FaultRow): readonly string[] {
  const examples = exampleParameters(row);
  const choices = Object.entries(row.parameters).flatMap(([name, { allowed = [], goesWith }]) =>
    allowed.map((choice) => ({
      where: `.parameters.${name} = ${choice}`,
      given: { ...examples, ...goesWith, [name]: choice },
    })),
  );
  return [{ where: '', given: examples }, ...choices].flatMap(({ where, given }) =>
    defectsWith(row, given).map((defect) => `${where}: ${defect}`),
  );
}

function defectsWith(row: FaultRow, given: Parameters): readonly string[] {
  try {
    const parameters = resolveParameters(row, given, marker);
    const order = channelOf(row.channel).order({ channel: row.channel, parameters, gpu: undefined, marker });
    const parts = scriptOf(order, { gpu: anyGpu });
    return parts.length === 0 ? ['writes nothing'] : parts.flatMap((part) => partDefects(row, part));
  } catch (thrown) {
    return [messageFromUnknown(thrown)];
  }
}

function partDefects(row: FaultRow, part: Part): readonly string[] {
  checkPart(part);
  return row.surfaces.includes(part.surface)
    ? []
    : [`writes to ${part.surface}, which is none of its surfaces`];
}
