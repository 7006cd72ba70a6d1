import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Rehearsal } from '../../coordinator/rehearsal/cluster.ts';
import { list, text } from '../../coordinator/view/node.ts';

/** What controllers and kubelets write on a node, whoever drills it. */
const others = /^(karpenter\.sh|node\.kubernetes\.io|eks\.amazonaws\.com)\//;

type Looks = Readonly<Record<string, readonly string[]>>;

/**
 * Closes the rehearsal at the end of the test, which fails where something of ours is left on its nodes: labels, annotations and taints of
 * every Node that is still there have to be, with their values, those of when `remember` was called, no host engine may be paused, and no
 * agent may still have something to take back.
 */
export function closeUntouched(
  t: { teardown(end: () => Promise<void>): unknown },
  rehearsal: Pick<Rehearsal, 'cluster' | 'nodes' | 'close'>,
): { remember(): Promise<void> } {
  let before: Looks | undefined;
  t.teardown(async () => {
    // A test may have taken the API server away: then nothing can be seen.
    const after = before === undefined ? undefined : await looksOf(rehearsal).catch(() => undefined);
    await rehearsal.close();
    const left = before === undefined || after === undefined ? [] : differences(before, after);
    if (left.length > 0) throw new Error(`something was left on a node: ${left.join('; ')}`);
  });
  return {
    async remember() {
      before = await looksOf(rehearsal);
    },
  };
}

function differences(before: Looks, after: Looks): readonly string[] {
  return Object.entries(before).flatMap(([uid, looks]) => {
    const now = after[uid] ?? looks;
    const came = now.filter((one) => !looks.includes(one)).map((one) => `+ ${one}`);
    const went = looks.filter((one) => !now.includes(one)).map((one) => `- ${one}`);
    return [...came, ...went];
  });
}

/** By uid: a node that was replaced is another one. */
async function looksOf({ cluster, nodes }: Pick<Rehearsal, 'cluster' | 'nodes'>): Promise<Looks> {
  const { items } = await cluster.list('nodes');
  return Object.fromEntries(
    items.map((object) => {
      const { name, uid = '', labels = {}, annotations = {} } = object.metadata;
      const pairs = [...Object.entries(labels), ...Object.entries(annotations)];
      const taints = list(object, 'spec', 'taints').map((taint) => [
        text(taint, 'key') ?? '',
        `${text(taint, 'value') ?? ''}:${text(taint, 'effect') ?? ''}`,
      ]);
      const written = [...pairs, ...taints].filter(([key = '']) => !others.test(key));
      const node = nodes.get(name);
      const paused = node?.engines.filter((engine) => engine.state() === 'suspended') ?? [];
      return [
        uid,
        [
          ...written.map((pair) => pair.join('=')),
          ...paused.map((engine) => `host engine ${engine.process().pid} is paused`),
          ...filesIn(join(node?.stateDir ?? '', 'held')).map((file) => `${name} holds ${file}`),
        ],
      ];
    }),
  );
}

/** The agent's records of what it has to take back (agent/injection/held.ts). */
function filesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
