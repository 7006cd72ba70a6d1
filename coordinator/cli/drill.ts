import { randomBytes } from 'node:crypto';
import { createRealClock } from '../../shared/clock.ts';
import { visible } from '../../shared/printable.ts';
import { connect } from '../drilling/connect.ts';
import { previewDrill } from '../drilling/preview.ts';
import { specFrom } from '../drilling/request.ts';
import { createStore } from '../store/store.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { followDrill, type LivePorts } from './follow.ts';
import { exits } from './ports.ts';
import { someOf } from './render-doctor.ts';

const options = {
  ...clusterOptions,
  name: { type: 'string' },
  set: { type: 'string', multiple: true, default: [] as string[] },
  node: { type: 'string', multiple: true, default: [] as string[] },
  selector: { type: 'string', short: 'l' },
  mode: { type: 'string' },
  value: { type: 'string' },
  seed: { type: 'string' },
  gpu: { type: 'string' },
  within: { type: 'string' },
  none: { type: 'string' },
  then: { type: 'string', multiple: true, default: [] as string[] },
  repair: { type: 'string' },
  deadline: { type: 'string' },
  restore: { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
  'dry-run': { type: 'boolean', default: false },
  wait: { type: 'boolean' },
  'no-wait': { type: 'boolean', default: false },
  output: { type: 'string', short: 'o', default: 'text' },
} as const;

const outputs = ['text', 'json', 'yaml', 'name'];

const help = (
  xidrill: string,
) => `usage: ${xidrill} drill FAULT [--set NAME=VALUE]... (--node NAME... | --selector LABELS) [options]

Creates an Experiment, which the coordinator carries out: your own rights on experiments are all that it takes. On a terminal, and
with --wait, it shows the chain of links until the verdict. Ctrl-C asks once whether to abort.

      --set NAME=VALUE   a parameter of the fault (${xidrill} faults FAULT lists them); may be given several times
      --node NAME        a node; may be given several times, then all of them are drilled
  -l, --selector LABELS  nodes with these labels, as kubectl -l takes them
      --mode MODE        one (default), all, fixed, fixed-percent, random-max-percent
      --value N          how many nodes for fixed, per cent for the percent modes
      --seed N           picks the nodes; the same seed, the same nodes
      --gpu GPU          index, UUID or PCI address
      --within TIME      how long the reaction is awaited, such as 90s
      --none TIME        a negative drill: for so long the condition must not change
      --then LINK[=TIME] a link after the detection that must be reached, such as replacement=20m; may be given several times
      --repair expect    all links of a repair must be reached
      --restore          takes back what was left on the nodes, at the end
      --force            although the forecast says that the repair cannot happen
      --deadline TIME    ends the drill whatever happens
      --name NAME        of the Experiment; made if absent
      --dry-run          writes nothing: the Experiment as it would be, the nodes that fit now, and what would be written there
      --wait             until the verdict, also in a pipe; --no-wait: not even on a terminal
  -o, --output O         text (default), json, yaml (the Experiment at the end), name
${clusterHelp}
exit code: the verdict: 0 pass, 1 fail, 3 inconclusive, 4 error or aborted; 2 usage; without --wait 0 when it was created
`;

/** The command; resolves with the exit code. */
export function runDrill(argv: readonly string[], ports: LivePorts): Promise<number> {
  return withArguments({ name: 'drill', help, options }, argv, ports, async ({ values, words }) => {
    const [fault, ...more] = words;
    if (fault === undefined || more.length > 0)
      throw usage(`wanted one fault, not ${words.length} words`, `${ports.program} faults lists them`);
    if (values.node.length === 0 && values.selector === undefined)
      throw usage('say which nodes: --node NAME or --selector LABELS');
    if (!outputs.includes(values.output))
      throw usage(`--output: "${values.output}" is none of ${outputs.join(', ')}`);
    const spec = specFrom({ ...values, fault, nodes: values.node });
    const name = values.name ?? `drill-${randomBytes(4).toString('hex')}`;
    const cluster = connect(values);
    const { namespace } = values;
    const clock = createRealClock();
    if (values['dry-run'])
      return dryRun({ cluster, namespace, name, spec, clock, isJson: values.output === 'json' }, ports);
    await createStore(cluster, namespace).createExperiment(name, spec, {});
    const waits = values.wait ?? (ports.isLive && !values['no-wait']);
    if (!waits) {
      ports.print(
        values.output === 'name'
          ? `experiment.xidrill.dev/${name}\n`
          : `${name} was created; ${ports.program} watch ${name} shows it\n`,
      );
      return 0;
    }
    const isQuiet = values.output !== 'text';
    const { code, last } = await followDrill({ cluster, namespace, name, clock, isQuiet }, ports);
    if (isQuiet && last !== undefined) ports.print(await printed(last.experiment, values.output));
    return code;
  });
}

/** Prints the Experiment as it would be, and what it would do now. Resolves with the exit code. */
async function dryRun(
  asked: Parameters<typeof previewDrill>[0] & { readonly name: string; readonly isJson: boolean },
  ports: LivePorts,
): Promise<number> {
  const { name, namespace, spec, isJson } = asked;
  const object = {
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    metadata: { name, namespace },
    spec,
  };
  const [{ stringify }, { dryTargets, dryLines }] = await Promise.all([
    import('yaml'),
    import('./dry-run.ts'),
  ]);
  const { chosen, skipped, notRead, snapshot } = await previewDrill(asked);
  const targets = await dryTargets({ ...asked, snapshot, nodes: chosen ?? [] });
  const missing = notRead();
  if (isJson)
    ports.print(`${JSON.stringify({ object, chosen, targets, skipped, notRead: missing }, null, 2)}\n`);
  else {
    const lines = [
      ...(chosen === undefined
        ? ['which nodes it would take you may not see']
        : [`would drill ${chosen.length} nodes: ${someOf(chosen)}`]),
      ...targets.flatMap(dryLines),
      ...((chosen?.length ?? 0) > targets.length ? [`the other nodes are not looked at in a dry run`] : []),
      ...skipped.slice(0, 10).map(({ node, because }) => `not ${node}: ${because}`),
      ...(skipped.length > 10 ? [`and ${skipped.length - 10} more are left out`] : []),
      ...missing.map((command) => `not read: ${command}`),
    ];
    // Comments, so that the output can be piped into kubectl as it is.
    ports.print(`${stringify(object)}${lines.map((line) => `# ${visible(line)}\n`).join('')}`);
  }
  return chosen?.length === 0 ? exits.usage : 0;
}

/** An object in the form that was asked for; others than text. */
export async function printed(
  object: { readonly metadata?: { readonly name: string } },
  output: string,
): Promise<string> {
  if (output === 'name') return `experiment.xidrill.dev/${object.metadata?.name ?? ''}\n`;
  if (output === 'json') return `${JSON.stringify(object, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(object, { aliasDuplicateObjects: false });
}
