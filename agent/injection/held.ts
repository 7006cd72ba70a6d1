import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { EngineProcesses } from '../engine-process/port.ts';
import type { PartRecovery, Recovery } from './channel.ts';
import { recoverProcess } from './recovery.ts';

/** What an order of an earlier process has left on the node. */
export type LeftBehind = {
  readonly orderId: string;
  readonly recovery: readonly PartRecovery[];
  /** What was done already, by part: processes are continued before anything else. */
  readonly done: ReadonlyMap<number, { readonly note: string; readonly isDone: boolean }>;
};

/**
 * What this agent holds on the node (a paused process, a sample in the future), one file an order, apart from the receipts:
 * it is released whatever state those are in, and their number does not matter.
 */
export type Held = {
  /** On disk before the first effect. Throws `journal_unwritable`; then nothing may be injected. */
  hold(orderId: string, recovery: readonly PartRecovery[]): void;
  /** Everything was taken back. Never throws: what stays is only taken back once more. */
  release(orderId: string): void;
  /** Of earlier processes. */
  readonly left: readonly LeftBehind[];
};

/**
 * Reads what earlier processes have left and continues every process that they paused, before it returns: nothing that fails
 * later may keep an engine stopped. Never throws; what cannot be read is named in the log and set aside.
 */
export async function openHeld(options: {
  readonly stateDir: string;
  readonly engineProcesses: EngineProcesses;
  readonly log: Log;
}): Promise<Held> {
  const { stateDir, log } = options;
  const folder = join(stateDir, 'held');
  const left = await Promise.all(
    readAll(folder, stateDir, log).map(async ({ orderId, recovery }): Promise<LeftBehind> => {
      const done = new Map<number, { note: string; isDone: boolean }>();
      for (const { part, ...one } of recovery) {
        if (one.kind === 'process') done.set(part, await recoverProcess(options.engineProcesses, one));
      }
      return { orderId, recovery, done };
    }),
  );
  return {
    left,
    hold(orderId, recovery) {
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        writeFileSync(join(folder, `${orderId}.json`), `${JSON.stringify(recovery)}\n`, { mode: 0o600 });
      } catch (thrown) {
        remove(join(folder, `${orderId}.json`), log);
        throw new Refusal(
          'journal_unwritable',
          `what has to be taken back cannot be recorded in ${folder}: ${messageFromUnknown(thrown)}`,
          { remedy: 'give --state-dir a directory that this process may write, with space on its disk' },
          thrown,
        );
      }
    },
    release: (orderId) => remove(join(folder, `${orderId}.json`), log),
  };
}

function remove(file: string, log: Log): void {
  try {
    rmSync(file, { force: true });
  } catch (thrown) {
    log.error({ err: thrown, file }, 'the record of what was held could not be removed');
  }
}

function readAll(folder: string, stateDir: string, log: Log): Pick<LeftBehind, 'orderId' | 'recovery'>[] {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT')
      log.error({ err: thrown, folder }, 'what an earlier agent held on this node cannot be read');
    return [];
  }
  return names.flatMap((name) => {
    const file = join(folder, name);
    try {
      const found: unknown = JSON.parse(readFileSync(file, 'utf8'));
      if (!Array.isArray(found) || !found.every(isRecovery)) throw new Error('not a list of recoveries');
      return [{ orderId: name.slice(0, -'.json'.length), recovery: found }];
    } catch (thrown) {
      const aside = setAside(stateDir, file, `held-${name}`);
      log.error({ err: thrown, file, aside }, 'a damaged record of what was held was set aside');
      return [];
    }
  });
}

/** Moves a damaged file to `stateDir`/damaged; answers with its new place, or with the old one where it cannot be moved. */
export function setAside(stateDir: string, file: string, name: string): string {
  const aside = join(stateDir, 'damaged', name);
  try {
    mkdirSync(join(stateDir, 'damaged'), { recursive: true, mode: 0o700 });
    renameSync(file, aside);
    return aside;
  } catch {
    return file;
  }
}

function isRecovery(value: unknown): value is PartRecovery {
  if (typeof value !== 'object' || value === null) return false;
  const { part, kind, pid } = value as Partial<PartRecovery>;
  if (!Number.isInteger(part) || !Number.isInteger(pid) || Number(pid) < 1) return false;
  const one = value as Recovery;
  if (kind === 'process') return typeof (one as { startTime?: unknown }).startTime === 'string';
  const { gpuId, field, undo } = one as { gpuId?: unknown; field?: unknown; undo?: unknown };
  return kind === 'hold' && Number.isInteger(gpuId) && Number.isInteger(field) && Array.isArray(undo);
}
