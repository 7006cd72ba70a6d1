import type { Test } from 'tap';
import type { EngineProcesses } from '../../agent/engine-process/port.ts';

export type EngineProcessesUnderTest = {
  readonly processes: EngineProcesses;
  /** Starts a process that waits, and answers with its pid. */
  readonly start: () => Promise<number>;
  readonly kill: (pid: number) => Promise<void>;
};

/** Runs over every adapter of `EngineProcesses`. */
export async function engineProcessContract(
  t: Test,
  make: (t: Test) => EngineProcessesUnderTest,
): Promise<void> {
  const { processes, start, kill } = make(t);
  const pid = await start();
  const found = await processes.look(pid);
  if (found === undefined) throw new Error('what was started is not there');
  const { startTime } = found;

  await t.test('a process is found, and not stopped', async (t) => {
    t.equal(await processes.whyNotPausable(pid), undefined, 'it could be stopped');
    t.match(found, { pid, startTime: /^\d+$/, state: /^[^Tt]$/ });
    t.same((await processes.look(pid))?.startTime, startTime, 'it keeps the time of its start');
  });

  await t.test('it stops, also twice, and goes on', async (t) => {
    for (const attempt of ['first', 'second']) {
      t.same(await processes.pause({ pid, startTime }), { pid, state: 'T' }, attempt);
    }
    t.match(await processes.look(pid), { state: 'T', startTime });
    for (const attempt of ['first', 'second']) {
      t.match(await processes.resume({ pid, startTime }), { pid, state: /^[^Tt]$/ }, attempt);
    }
  });

  await t.test('a later process with the number is left alone', async (t) => {
    const other = { pid, startTime: '1' };
    await t.rejects(processes.pause(other), { name: 'Refusal', reason: 'engine_not_found' });
    t.match(await processes.look(pid), { state: /^[^Tt]$/ });
    await processes.pause({ pid, startTime });
    t.equal(await processes.resume(other), undefined);
    t.match(await processes.look(pid), { state: 'T' });
    await processes.resume({ pid, startTime });
  });

  await t.test('one that has ended is gone', async (t) => {
    await kill(pid);
    t.equal(await processes.look(pid), undefined);
    t.equal(await processes.whyNotPausable(pid), 'it has ended');
    t.equal(await processes.resume({ pid, startTime }), undefined);
    await t.rejects(processes.pause({ pid, startTime }), { name: 'Refusal', reason: 'engine_not_found' });
  });
}
