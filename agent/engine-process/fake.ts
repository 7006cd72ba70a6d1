import { Refusal } from '../../shared/errors.ts';
import type { EngineProcesses } from './port.ts';

/** What has to be known of a simulated engine. */
export type PausableEngine = {
  /** As it runs now: each start has another pid. */
  process(): { readonly pid: number };
  state(): 'running' | 'suspended' | 'stopped';
  suspend(): void;
  resume(): void;
};

/** Simulated engines get a new pid at each start, so that the pid alone is the process. */
export function createFakeEngineProcesses(options: {
  readonly engines: () => readonly PausableEngine[];
}): EngineProcesses {
  const find = (pid: number) =>
    options.engines().find((engine) => engine.process().pid === pid && engine.state() !== 'stopped');
  const facts = (pid: number, engine: PausableEngine) => ({
    pid,
    state: engine.state() === 'suspended' ? 'T' : 'S',
  });
  const startTime = (pid: number) => String(pid);
  const same = (process: { readonly pid: number; readonly startTime: string }) =>
    process.startTime === startTime(process.pid) ? find(process.pid) : undefined;

  return {
    async look(pid) {
      const engine = find(pid);
      return engine === undefined ? undefined : { ...facts(pid, engine), startTime: startTime(pid) };
    },
    async whyNotPausable(pid) {
      return find(pid) === undefined ? 'it has ended' : undefined;
    },
    async pause(process) {
      const engine = same(process);
      if (engine === undefined) {
        throw new Refusal('engine_not_found', `process ${process.pid} of the host engine has ended`, {
          pid: process.pid,
        });
      }
      engine.suspend();
      return facts(process.pid, engine);
    },
    async resume(process) {
      const engine = same(process);
      engine?.resume();
      return engine === undefined ? undefined : facts(process.pid, engine);
    },
  };
}
