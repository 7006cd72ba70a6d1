/** Oldest first. */
const generations = ['Volta', 'Turing', 'Ampere', 'Ada', 'Hopper', 'Blackwell'] as const;
/** An architecture of data-centre GPUs, by NVIDIA's name for it. */
export type Generation = (typeof generations)[number];

/** `before`: the first generation that no longer has it. */
export type GenerationRange = {
  /** The first generation that has it; absent: all older ones do. */ readonly from?: Generation;
  readonly before?: Generation;
};

/** Product names as NVML and DCGM report them: `NVIDIA A10G`, `Tesla V100-SXM2-16GB`. */
const names: Readonly<Record<Generation, RegExp>> = {
  Volta: /\bV100S?\b/,
  Turing: /\bT4G?\b/,
  Ampere: /\bA(2|10G?|10M|16|30X?|40|100X?|800)\b|\bRTX A\d{4}\b/,
  Ada: /\bL(2|4|20|40[GS]?)\b|\bAda\b/,
  Hopper: /\bG?H(20|100|200|800)\b/,
  Blackwell: /\bG?B[123]0[0-9]\b|\bBlackwell\b|\bRTX 50[5-9]0\b/,
};

/** undefined: a name that is not known here. */
export function generationOf(name: string): Generation | undefined {
  return generations.find((generation) => names[generation].test(name));
}

/** Whether a GPU of this name has what only some generations have; one of unknown generation is taken to have it. */
export function isWithin({ from, before }: GenerationRange, name: string | undefined): boolean {
  const generation = name === undefined ? undefined : generationOf(name);
  if (generation === undefined) return true;
  const age = generations.indexOf(generation);
  return (
    (from === undefined || age >= generations.indexOf(from)) &&
    (before === undefined || age < generations.indexOf(before))
  );
}

/** `Blackwell GPUs and later`, `GPUs before Blackwell`, `Volta GPUs only`. */
export function renderRange({ from, before }: GenerationRange): string {
  if (from === undefined) return before === undefined ? 'all GPUs' : `GPUs before ${before}`;
  if (before === undefined) return `${from} GPUs and later`;
  const last = generations[generations.indexOf(before) - 1];
  return last === from ? `${from} GPUs only` : `GPUs from ${from} to ${last}`;
}
