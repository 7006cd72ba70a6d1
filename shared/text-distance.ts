/** Levenshtein's distance, less for a text that stands in the other as a whole. */
export function textDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  const whole = from.length > 2 && (to.includes(from) || from.includes(to));
  return (previous[to.length] ?? 0) / (whole ? 4 : 1);
}
