/** What a command needs of its process. */
export type Ports = {
  /** How it was called, for usage lines and for commands to copy, such as `kubectl xidrill`. */
  readonly program: string;
  /** The whole standard input. */
  readonly readInput: () => Promise<string>;
  readonly readFile: (path: string) => Promise<string>;
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
  /** Somebody may be typing: standard input is a terminal. */
  readonly isTerminal: boolean;
  /** Columns of the terminal; undefined: a pipe, nothing is cut. */
  readonly width: number | undefined;
  readonly isColoured: boolean;
};

/** Exit codes beside those that a command has for its results. */
export const exits = { usage: 2, failed: 4 } as const;

/** The look of text for a terminal of that width, or for a pipe. */
export function lookOf({ width, isColoured }: Ports): {
  readonly width: number;
  readonly isColoured: boolean;
} {
  return { width: width === undefined ? 160 : Math.max(60, Math.min(width, 160)), isColoured };
}
