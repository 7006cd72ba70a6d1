import { readdirSync, readFileSync } from 'node:fs';

/**
 * The processes whose command line has these words, by their numbers in this process namespace, the oldest first. Those on
 * one node have its name as $NODE, or in a container as $MY_NODE_NAME or $NODE_NAME.
 */
export function processesOf(words: string, node?: string): readonly number[] {
  // As numbers: listed as words, 1000 comes before 60.
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids
    .map(Number)
    .toSorted((a, b) => a - b)
    .flatMap((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
        const isOnIt =
          node === undefined ||
          environment.some((entry) => /^(MY_)?NODE(_NAME)?=/.test(entry) && entry.endsWith(`=${node}`));
        return line.includes(words) && isOnIt ? [pid] : [];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}
