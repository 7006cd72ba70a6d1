import type { Reaction } from '../../catalogue/nma/reactions.ts';

/** A finding of a monitor; up to `minOccurrences` earlier ones of the reason are swallowed. */
export type Finding = Reaction & { readonly minOccurrences?: number };
