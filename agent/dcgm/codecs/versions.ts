export type Versions = { readonly client: string | null; readonly engine: string | null };

/**
 * Reads `dcgmi -v`: the same block twice, for the client and for the host engine. The second one is missing when the
 * engine does not answer within 100 ms; the exit code is 0 all the same.
 */
export function parseVersions(output: string): Versions {
  const [local = '', engine = ''] = output.split(/^Hostengine build info:/m);
  return { client: versionIn(local), engine: versionIn(engine) };
}

/** Whether an engine version is the given one or later; an unknown one counts as the newest. */
export function isVersionAtLeast(version: string | null, wanted: string): boolean {
  if (version === null) return true;
  const [have, want] = [version, wanted].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (const [index, number] of want.entries()) {
    const own = have[index] ?? 0;
    if (own !== number) return own > number;
  }
  return true;
}

function versionIn(block: string): string | null {
  return /^\s*(?:dcgmi\s+)?version\s*:\s*(\d+\.\d+\.\d+)/im.exec(block)?.[1] ?? null;
}
