/** What to do, as an explanation has it: the next step in words, and what of it can be copied. */
export type Advice = {
  readonly remedy: string;
  /** Words in capitals are to be filled in. */
  readonly commands: readonly string[];
};

/** A step of a remedy that is to be run. */
type Run = { readonly run: string };

/** Marks a step of an `advice` that is to be run; where it is an instruction in words, it stays a part of the sentence. */
export function run(step: string): Run {
  return { run: step };
}

/** What can be copied into a shell; undefined: it is an instruction in words, such as how to replace a node of Auto Mode. */
export function commandOf(step: string | undefined): string | undefined {
  return step?.startsWith('kubectl ') ? step : undefined;
}

/** A remedy with its commands, which are never looked for in the text: `` advice`See why: ${run('kubectl describe pod x')}.` ``. */
export function advice(words: TemplateStringsArray, ...parts: readonly (string | Run | Advice)[]): Advice {
  const pieces = parts.map((part): Advice => {
    if (typeof part === 'string') return { remedy: part, commands: [] };
    if ('remedy' in part) return part;
    const command = commandOf(part.run);
    return { remedy: part.run, commands: command === undefined ? [] : [command] };
  });
  return {
    remedy: String.raw({ raw: words }, ...pieces.map(({ remedy }) => remedy)),
    commands: pieces.flatMap(({ commands }) => commands),
  };
}

/** Several pieces of advice as one, in their order. */
export function together(parts: readonly Advice[]): Advice {
  return {
    remedy: parts.map(({ remedy }) => remedy).join(' '),
    commands: [...new Set(parts.flatMap(({ commands }) => commands))],
  };
}

/** The two members of an explanation; without commands there is one. */
export function explained({ remedy, commands }: Advice): { remedy: string; commands?: string[] } {
  return { remedy, ...(commands.length === 0 ? {} : { commands: [...commands] }) };
}
