import { createRealClock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { visible } from '../../shared/printable.ts';
import { version } from '../../shared/version.ts';
import { connect } from '../drilling/connect.ts';
import { installedImages, listNodes } from '../drilling/nodes.ts';
import { usage, withArguments } from './arguments.ts';
import { clusterHelp, clusterOptions } from './connect.ts';
import { printed } from './drill.ts';
import type { Ports } from './ports.ts';
import { renderColumns } from './render-doctor.ts';

const nodesHelp = (xidrill: string) => `usage: ${xidrill} nodes [-o text|name|json|yaml]

The nodes of the cluster, and which of them may be drilled: those with the label xidrill.dev/drill=allowed and an agent.

${clusterHelp}`;

/** All nodes as a table. */
export function runNodes(argv: readonly string[], ports: Ports): Promise<number> {
  const options = { ...clusterOptions, output: { type: 'string', short: 'o', default: 'text' } } as const;
  return withArguments({ name: 'nodes', help: nodesHelp, options }, argv, ports, async ({ values }) => {
    const { output, namespace } = values;
    if (!['text', 'name', 'json', 'yaml'].includes(output))
      throw usage(`--output: "${output}" is none of text, name, json, yaml`);
    const { nodes, notRead } = await listNodes({
      cluster: connect(values),
      namespace,
      clock: createRealClock(),
    });
    const word = (value: boolean | undefined) => (value === undefined ? '?' : value ? 'yes' : 'no');
    const rows = nodes.map((node) =>
      [
        node.name,
        word(node.drillAllowed),
        word(node.agent),
        word(node.ready),
        word(node.hasGpu),
        node.instanceType || '–',
        node.acceleratedHardware || '–',
      ].map(visible),
    );
    if (output === 'name') ports.print(nodes.map(({ name }) => `node/${name}\n`).join(''));
    else if (output !== 'text') ports.print(await printed({ items: nodes, notRead } as never, output));
    else
      ports.print(
        `${renderColumns([['NODE', 'ALLOWED', 'AGENT', 'READY', 'GPU', 'TYPE', 'ACCELERATED'], ...rows])}\n`,
      );
    for (const command of notRead) ports.complain(`something may not be read: ${command}\n`);
    return 0;
  });
}

const versionHelp = (xidrill: string) => `usage: ${xidrill} version

The version of this command line, and of the coordinator and agents in the cluster where there is one.

${clusterHelp}`;

/** The versions, and whether they are the same. */
export function runVersion(argv: readonly string[], ports: Ports): Promise<number> {
  const command = { name: 'version', help: versionHelp, options: clusterOptions };
  return withArguments(command, argv, ports, async ({ values }) => {
    ports.print(`xidrill ${version}\n`);
    try {
      const images = await installedImages(connect(values), values.namespace);
      for (const { component, image, pods } of images) {
        const isSame = image.endsWith(`:${version}`) || image.includes(`:${version}@`);
        const skew = isSame ? '' : `; this command line is ${version}`;
        ports.print(`${visible(component)}: ${visible(image)}, ${pods} pods${skew}\n`);
      }
      if (images.length === 0) ports.print(`no pods of Xidrill in namespace ${values.namespace}\n`);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      ports.print(`what runs in the cluster is not known: ${visible(thrown.message)}\n`);
    }
    return 0;
  });
}
