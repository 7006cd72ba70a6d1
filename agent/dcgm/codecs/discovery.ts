/** A GPU as `dcgmi discovery -l` lists it; `id` is this engine's own number. */
export type EngineGpu = {
  readonly id: number;
  readonly name: string;
  /** As NVML spells it: `00000000:3B:00.0`. */
  readonly pci: string;
  readonly uuid: string;
};

/** The table of `dcgmi discovery -l`; `problems` are lines that were not understood. */
export type Discovery = {
  readonly gpus: readonly EngineGpu[];
  readonly problems: readonly string[];
};

/** What the engine prints for a text that it cannot read from the driver any more. */
const blank = '<<<NULL>>>';

/**
 * Reads `dcgmi discovery -l`. GPUs whose name, address and UUID are blank are left out and named as a problem: such
 * an engine stopped talking to the driver (it does so after a kernel-log line with Xid 119) until it is restarted.
 */
export function parseDiscovery(output: string): Discovery {
  const summary = /^(\d+) GPUs? found/m.exec(output);
  if (summary === null) return { gpus: [], problems: ['the list of GPUs has an unknown shape'] };
  const gpus = parseTable(output);
  const blinded = gpus.filter((gpu) => [gpu.name, gpu.pci, gpu.uuid].includes(blank));
  const problems: string[] = [];
  if (blinded.length > 0) {
    const ids = blinded.map((gpu) => gpu.id).join(', ');
    problems.push(
      `the engine answers ${blank} for GPU ${ids}: it no longer reads the driver until it is restarted ` +
        '(a kernel-log line with Xid 119 does this)',
    );
  }
  if (gpus.length !== Number(summary[1])) {
    problems.push(`the engine counts ${summary[1]} GPUs and lists ${gpus.length}`);
  }
  return { gpus: gpus.filter((gpu) => !blinded.includes(gpu)), problems };
}

function parseTable(output: string): EngineGpu[] {
  const gpus: { id: number; name: string; pci: string; uuid: string }[] = [];
  let isGpuTable = false;
  for (const line of output.split('\n')) {
    const [, left, right] = /^\|([^|]*)\|(.*)\|\s*$/.exec(line)?.map((cell) => cell.trim()) ?? [];
    if (left === undefined || right === undefined) continue;
    // The CPU table has the same two columns.
    if (right === 'Device Information') isGpuTable = left === 'GPU ID';
    else if (isGpuTable) readRow(gpus, left, right);
  }
  return gpus;
}

function readRow(
  gpus: { id: number; name: string; pci: string; uuid: string }[],
  left: string,
  right: string,
): void {
  if (/^\d+$/.test(left)) gpus.push({ id: Number(left), name: '', pci: '', uuid: '' });
  const gpu = gpus.at(-1);
  const [, label, value] = /^(Name|PCI Bus ID|Device UUID): *(.*)$/.exec(right) ?? [];
  if (gpu === undefined || value === undefined) return;
  if (label === 'Name') gpu.name = value;
  if (label === 'PCI Bus ID') gpu.pci = value;
  if (label === 'Device UUID') gpu.uuid = value;
}
