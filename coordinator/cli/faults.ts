import { faults } from '../catalogue/catalogue.ts';
import { findFault } from '../catalogue/parameters.ts';
import type { FaultRow, ParameterRow } from '../catalogue/row.ts';
import { usage, withArguments } from './arguments.ts';
import { printed } from './drill.ts';
import { lookOf, type Ports } from './ports.ts';
import { renderColumns } from './render-doctor.ts';
import { labelled, wrap } from './text.ts';

const options = { output: { type: 'string', short: 'o', default: 'text' } } as const;
const outputs = ['text', 'name', 'json', 'yaml'];

const help = (xidrill: string) => `usage: ${xidrill} faults [NAME] [-o text|name|json|yaml]

What can be injected; with NAME one fault with its parameters, risk, undo and sources. Needs no cluster.
`;

/** The catalogue, or one row of it. */
export function runFaults(argv: readonly string[], ports: Ports): Promise<number> {
  return withArguments({ name: 'faults', help, options }, argv, ports, async ({ values, words }) => {
    const [name, ...more] = words;
    if (more.length > 0) throw usage('faults takes one name at most');
    if (!outputs.includes(values.output))
      throw usage(`--output: "${values.output}" is none of ${outputs.join(', ')}`);
    const rows = name === undefined ? faults : [findFault(name)];
    if (values.output === 'name') ports.print(rows.map((row) => `${row.name}\n`).join(''));
    else if (values.output !== 'text')
      ports.print(await printed((name === undefined ? { items: rows } : rows[0]) as never, values.output));
    else if (name === undefined)
      ports.print(
        `${renderColumns([['NAME', 'WRITTEN TO', 'WHAT HAPPENS'], ...rows.map((row) => [row.name, row.surfaces.join(','), row.title])])}\n`,
      );
    else ports.print(rows.map((row) => renderFault(row, ports)).join('\n'));
    return 0;
  });
}

function renderFault(row: FaultRow, ports: Ports): string {
  const look = lookOf(ports);
  const lines = [
    wrap(`${row.name}: ${row.title}`, '', '  ', look.width),
    labelled('written', row.surfaces.join(', '), look),
    ...Object.entries(row.parameters).map(([name, parameter]) =>
      labelled('set', `${name}: ${describe(parameter)}`, look),
    ),
    labelled('risk', row.risk, look),
    labelled('undo', row.undo, look),
    ...row.sources.map((source) => labelled('source', source, look)),
  ];
  return `${lines.join('\n')}\n`;
}

function describe({ type, help, required, default: usual, minimum, maximum, allowed }: ParameterRow): string {
  const range = minimum === undefined && maximum === undefined ? '' : ` ${minimum ?? ''} to ${maximum ?? ''}`;
  const choices = allowed === undefined ? '' : ` (${allowed.join(', ')})`;
  const need =
    required === true ? ', required' : usual === undefined ? '' : `, default ${JSON.stringify(usual)}`;
  return `${type}${range}${choices}${need}; ${help}`;
}
