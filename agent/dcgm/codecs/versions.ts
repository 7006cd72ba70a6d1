/** DCGM releases of `dcgmi` and of the engine it asked; null: not in the output. */
export type Versions = { readonly client: string | null; readonly engine: string | null };

/**
 * Reads `dcgmi -v`: the same block twice, for the client and for the host engine. The second one is missing when the
 * engine does not answer within 100 ms; the exit code is 0 all the same.
 */
export function parseVersions(output: string): Versions {
  const [local = '', engine = ''] = output.split(/^Hostengine build info:/m);
  return { client: versionIn(local), engine: versionIn(engine) };
}

function versionIn(block: string): string | null {
  return /^\s*(?:dcgmi\s+)?version\s*:\s*(\d+\.\d+\.\d+)/im.exec(block)?.[1] ?? null;
}
