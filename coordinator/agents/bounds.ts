/** Of one text: more than any message of an agent, which lists at most 16 host engines. */
const longestText = 16 * 1024;

/** Deeper than any answer of an agent: functions that follow a value down would run out of stack. */
const deepest = 32;

/**
 * Why a parsed JSON value of an agent cannot be worked with or stored: a text of more than 16 KiB, members nested more than 32
 * deep, a number beyond `largest` (default 2^53, as far as every reader of JSON is exact; 1e999 overflows any). Completes "the
 * answer …". undefined: it can.
 */
export function whyUnbounded(value: unknown, largest = Number.MAX_SAFE_INTEGER): string | undefined {
  const left: { readonly value: unknown; readonly path: string; readonly depth: number }[] = [
    { value, path: '', depth: 0 },
  ];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { value: found, path, depth } = next;
    if (typeof found === 'string' && found.length > longestText)
      return `has a text of ${found.length} characters in ${path}; ${longestText} are the limit`;
    if (typeof found === 'number' && Math.abs(found) > largest)
      return `has a number in ${path} that cannot be stored: ${found}`;
    if (typeof found !== 'object' || found === null) continue;
    if (depth >= deepest) return `is nested more than ${deepest} deep in ${path.slice(0, 200)}`;
    for (const [name, member] of Object.entries(found)) {
      if (name.length > longestText) return `has a name of ${name.length} characters in ${path}`;
      left.push({ value: member, path: `${path}/${name}`, depth: depth + 1 });
    }
  }
  return undefined;
}
