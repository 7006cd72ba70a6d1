/** DCGM releases of `dcgmi` and of the engine it asked; null: not in the output, or twice and not the same. */
export type Versions = { readonly client: string | null; readonly engine: string | null };

/**
 * Reads `dcgmi -v`: the same block twice, for the client and for the host engine. The second one is missing when the
 * engine does not answer within 100 ms; the exit code is 0 all the same.
 */
export function parseVersions(output: string): Versions {
  // What stands before the first title is the client's: `dcgmi --version` prints none.
  const [first = '', ...rest] = output.split(/^(Local|Hostengine) build info:/m);
  const blocks = rest.flatMap((title, index) =>
    index % 2 === 0 ? [{ title, text: rest[index + 1] ?? '' }] : [],
  );
  const textOf = (wanted: string) => blocks.filter(({ title }) => title === wanted).map(({ text }) => text);
  return { client: versionIn([first, ...textOf('Local')]), engine: versionIn(textOf('Hostengine')) };
}

function versionIn(blocks: readonly string[]): string | null {
  // To the end of its line: of a line that was cut off, a part of a number may be missing.
  const pattern = /^\s*(?:dcgmi\s+)?version\s*:\s*(\d+\.\d+\.\d+)(?:[-+.]\S*)?[ \t]*\n/gim;
  const found = new Set(blocks.flatMap((text) => [...text.matchAll(pattern)].map(([, version]) => version)));
  const [version] = found;
  return found.size === 1 ? (version ?? null) : null;
}
