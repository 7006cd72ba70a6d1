import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { createFakeEngineProcesses } from '../../../agent/engine-process/fake.ts';
import { createEngineProcesses } from '../../../agent/engine-process/signals.ts';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { engineProcessContract } from '../../contract/engine-process.ts';
import { createManualClock } from '../../manual-clock.ts';

t.test('the contract, on simulated engines', (t) =>
  engineProcessContract(t, () => {
    const engine = createHostEngine({ clock: createManualClock(), version: '4.6.0', gpus: [], pid: 100 });
    return {
      processes: createFakeEngineProcesses({ engines: () => [engine] }),
      start: async () => 100,
      kill: async () => engine.kill(),
    };
  }),
);

t.test('the contract, on real processes', (t) =>
  engineProcessContract(t, (t) => {
    const children = new Map<number, ChildProcess>();
    t.teardown(() => {
      for (const child of children.values()) child.kill('SIGKILL');
    });
    return {
      processes: createEngineProcesses(),
      async start() {
        const child = spawn('sleep', ['60']);
        await once(child, 'spawn');
        const pid = child.pid ?? 0;
        children.set(pid, child);
        return pid;
      },
      async kill(pid) {
        const child = children.get(pid);
        child?.kill('SIGKILL');
        if (child !== undefined) await once(child, 'exit');
      },
    };
  }),
);

t.test('a process that does not stop is not said to have stopped', async (t) => {
  // It never asks after its child, which stays as a process that has ended.
  const child = spawn('sh', ['-c', 'sleep 0.01 & echo $!; exec sleep 60']);
  t.teardown(() => child.kill('SIGKILL'));
  const pid = Number(await new Promise((resolve) => child.stdout?.once('data', resolve)));
  const processes = createEngineProcesses();
  let found = await processes.look(pid);
  while (found?.state !== 'Z') found = await processes.look(pid);
  await t.rejects(processes.pause(found), {
    name: 'Refusal',
    reason: 'process_not_paused',
    message: /in state Z/,
    details: { pid, remedy: /root/ },
  });
});

t.test('a name with blanks and parentheses hides nothing', async (t) => {
  const child = spawn('node', [
    '-e',
    'process.title = ") T 1 ("; setInterval(() => {}, 1000); console.log(1)',
  ]);
  t.teardown(() => child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout?.once('data', resolve));
  t.match(await createEngineProcesses().look(child.pid ?? 0), { state: /^[RS]$/, startTime: /^\d{3,}$/ });
});
