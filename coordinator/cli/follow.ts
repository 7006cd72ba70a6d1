import type { Clock } from '../../shared/clock.ts';
import { renderDuration } from '../../shared/duration.ts';
import { abort, type Followed, followProgress, type Progress } from '../drilling/progress.ts';
import { knownVerdict, type Verdict } from '../store/timeline.ts';
import { lookOf, type Ports } from './ports.ts';
import { renderChain, renderEnd, renderNews } from './render-drill.ts';

/** What following a drill needs of its process besides. */
export type LivePorts = Ports & {
  /** Replaces the file as a whole. */
  readonly writeFile: (path: string, text: string) => Promise<void>;
  /** Standard output is a terminal that can be drawn on. */
  readonly isLive: boolean;
  /** Lines of it; undefined: not known. */
  readonly height: number | undefined;
  /** Calls back for each Ctrl-C instead of ending the process; returns the way to stop that. */
  readonly onInterrupt: (listener: () => void) => () => void;
  /** Asks a person; resolves with false where nobody can answer. */
  readonly confirm: (question: string) => Promise<boolean>;
};

/** Exit code by verdict, as npm start has them; an aborted drill did not come to its end. */
export const verdictExits = {
  pass: 0,
  fail: 1,
  inconclusive: 3,
  error: 4,
  aborted: 4,
} as const satisfies Record<Verdict, number>;

/** Exit code of what an object says, which may be of a later version. */
export function exitOf(verdict: string): number {
  return verdictExits[knownVerdict(verdict)];
}

/** That somebody left a drill that goes on: what a shell has for Ctrl-C. */
export const leftExit = 130;

/**
 * Shows a drill until it is over: drawn in place on a terminal, a line for each change in a pipe. Ctrl-C asks once whether to abort
 * it; the next one leaves it alone. Resolves with the exit code.
 */
export async function followDrill(
  options: Followed & {
    /** Nothing is shown before the end, which the caller prints. */
    readonly isQuiet?: boolean;
  },
  ports: LivePorts,
): Promise<{ readonly code: number; readonly last: Progress | undefined }> {
  const { cluster, namespace, name, clock, isQuiet = false } = options;
  const leaving = new AbortController();
  const screen = createScreen(options, ports);
  let interrupts = 0;
  const release = ports.onInterrupt(() => {
    interrupts += 1;
    if (interrupts > 1) return leaving.abort();
    screen.pause();
    void askToAbort();
  });

  async function askToAbort(): Promise<void> {
    try {
      const yes = await ports.confirm(`Abort ${name}? What was injected stays. [y/N] `);
      if (!yes) return leaving.abort();
      await abort(cluster, namespace, name);
      ports.complain(`${name} is being aborted\n`);
      screen.resume();
    } catch (thrown) {
      leaving.abort();
      ports.complain(`${name} could not be aborted: ${thrown instanceof Error ? thrown.message : thrown}\n`);
    }
  }

  let last: Progress | undefined;
  try {
    const onTrouble = (message: string) => ports.complain(`${message}; trying again\n`);
    for await (const progress of followProgress({
      cluster,
      namespace,
      name,
      clock,
      signal: leaving.signal,
      onTrouble,
    })) {
      if (!isQuiet) screen.show(progress);
      last = progress;
    }
  } finally {
    release();
  }
  const verdict = last?.experiment.status?.verdict;
  if (leaving.signal.aborted && verdict === undefined) {
    ports.complain(
      `${name} goes on; see it with: ${ports.program} watch ${name}; end it with: ${ports.program} abort ${name}\n`,
    );
    return { code: leftExit, last };
  }
  if (!isQuiet && last !== undefined) ports.print(renderEnd(last, lookOf(ports)));
  return { code: verdict === undefined ? verdictExits.error : exitOf(verdict), last };
}

/** Draws over what it drew before, line by line, so that nothing flickers; a pipe gets what is new. */
function createScreen({ clock }: { readonly clock: Clock }, ports: LivePorts) {
  const look = lookOf(ports);
  const began = clock.elapsed();
  let drawn = 0;
  let isPaused = false;
  let before: Progress | undefined;
  return {
    show(progress: Progress): void {
      if (!ports.isLive) {
        const at = renderDuration(Math.floor((clock.elapsed() - began) / 1000));
        for (const line of renderNews(before, progress)) ports.print(`${at.padStart(8)}  ${line}\n`);
      } else if (!isPaused) {
        const lines = renderChain(
          progress,
          { ...look, height: ports.height ?? 24 },
          (clock.elapsed() - began) / 1000,
        );
        // To the first line drawn before; each line is cleared to its end behind its text, and what is left below at last.
        const up = drawn === 0 ? '' : `\u001b[${drawn}F`;
        ports.print(`${up}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`);
        drawn = lines.length;
      }
      before = progress;
    },
    pause(): void {
      isPaused = true;
    },
    resume(): void {
      isPaused = false;
      drawn = 0;
    },
  };
}
