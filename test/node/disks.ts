import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { RealNode } from './node.ts';

/** Of kubelets, container runtimes and CNI plugins. */
const runtimes = /^var\/(log\/(pods|containers)|lib\/cni)\//;

/** What was written to the disks of nodes, and what of this machine's is hidden there, as `NODE PATH`; without what runtimes write. */
export function filesOn(nodes: readonly RealNode[]): readonly string[] {
  return nodes.flatMap(({ name, disk }) =>
    // The upper layer of its root, in which a removed file is a device (node.sh; overlayfs.rst, whiteouts).
    readdirSync(join(disk, 'system/upper'), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(disk, 'system/upper/').length))
      .filter((path) => !runtimes.test(path))
      .map((path) => `${name} ${path}`),
  );
}
