import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createDcgm } from '../../../agent/dcgm/client.ts';
import type { Dcgmi } from '../../../agent/dcgm/port.ts';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { createFakeDcgmi, createFakeEngineFinder } from '../../../coordinator/rehearsal/host-engine/dcgmi.ts';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createManualClock } from '../../manual-clock.ts';
import { temporaryFolder } from '../rig.ts';
import { refusalOf } from './refused.ts';
import { installStub, startEngine } from './stub.ts';

/** Simulated engines, with a count of what is run; `hold`: no run ends before `letGo`. */
function setUp(options: { readonly engines: number; readonly keepMs?: number; readonly hold?: boolean }) {
  const clock = createManualClock();
  const all = Array.from({ length: options.engines }, (_, number) =>
    createHostEngine({
      clock,
      version: '4.6.0',
      gpus: [{ id: 0, name: 'NVIDIA A10G', uuid: `GPU-${number}`, pci: '00000000:00:1F.0' }],
      pid: 100 + number,
      address: `127.0.0.1:${6000 + number}`,
    }),
  );
  const engines = () => all;
  const gate = Promise.withResolvers<void>();
  if (options.hold !== true) gate.resolve();
  const inner = createFakeDcgmi({ clock, engines });
  const counted = { runs: 0, now: 0, most: 0 };
  const dcgmi: Dcgmi = {
    ...inner,
    async run(...args) {
      counted.runs += 1;
      counted.now += 1;
      counted.most = Math.max(counted.most, counted.now);
      try {
        await gate.promise;
        return await inner.run(...args);
      } finally {
        counted.now -= 1;
      }
    },
  };
  const { keepMs = 1000 } = options;
  const finder = createFakeEngineFinder({ engines });
  const dcgm = createDcgm({ finder, dcgmi, clock, log: createSilentLog(), keepMs });
  return { dcgm, clock, counted, letGo: gate.resolve };
}

t.test('H3 200 who ask at once share one look, and its answer serves for a second', async (t) => {
  const { dcgm, clock, counted } = setUp({ engines: 1 });
  const [first, ...others] = await Promise.all(Array.from({ length: 200 }, () => dcgm.list()));
  t.equal(first?.length, 1);
  for (const other of others) t.equal(other, first);
  const perLook = counted.runs;
  t.ok(perLook < 6, `${perLook} runs`);
  await dcgm.list();
  t.equal(counted.runs, perLook, 'a moment later it is still good');
  await clock.advance(1000);
  await dcgm.list();
  t.equal(counted.runs, 2 * perLook);
  t.match(await refusalOf(dcgm.choose()), { reason: 'nobody_listens' });
  t.equal(counted.runs, 3 * perLook, 'a write looks anew');
  clock.set(-3_600_000);
  await clock.advance(1000);
  await dcgm.list();
  t.equal(counted.runs, 4 * perLook, 'a clock that was set back makes nothing good for an hour');
});

t.test('one caller who leaves does not end the look of the others', async (t) => {
  const { dcgm, counted, letGo } = setUp({ engines: 1, hold: true });
  const leaving = new AbortController();
  const left = dcgm.list(leaving.signal);
  const stays = dcgm.list();
  leaving.abort(new Error('gone'));
  await t.rejects(left, { message: 'gone' });
  letGo();
  t.match(await stays, [{ pid: 100, version: '4.6.0' }]);
  t.ok(counted.runs > 0);
});

t.test('H3 many engines are asked a few at a time', async (t) => {
  const { dcgm, counted } = setUp({ engines: 40 });
  const found = await dcgm.list();
  t.equal(found.length, 40);
  t.equal(counted.most, 8);
});

t.test('H3 reads of fields queue up, and beyond the queue they are refused', async (t) => {
  const { dcgm, counted, letGo } = setUp({ engines: 1, hold: true });
  const look = dcgm.list();
  letGo();
  const [engine] = await look;
  if (engine === undefined) throw new Error('no engine');
  const held = setUp({ engines: 1, hold: true });
  const leaving = new AbortController();
  const reads = Array.from({ length: 40 }, (_, number) =>
    held.dcgm.introspect(engine, 0, 230, number === 5 ? leaving.signal : undefined).then(
      () => 'answered',
      (thrown: { reason?: string; details?: object }) => thrown,
    ),
  );
  const refused = await Promise.all(reads.slice(18));
  for (const one of refused) t.match(one, { reason: 'dcgmi_busy', details: { retryAfterSeconds: 5 } });
  t.equal(held.counted.now, 2, 'two run');
  leaving.abort(new Error('gone'));
  t.match(await reads[5], { message: 'gone' }, 'who waits may leave');
  held.letGo();
  const answers = await Promise.all(reads.slice(0, 18));
  t.equal(answers.filter((answer) => answer === 'answered').length, 17);
  t.equal(held.counted.most, 2);
  t.equal(await held.dcgm.introspect(engine, 0, 230), null, 'and all places are free again');
  t.equal(counted.now, 0);
});

t.test(
  'H3 a hundred processes of somebody else with the name of an engine hide none of root',
  { skip: userInfo().uid !== 0 && 'starting processes of another user takes root' },
  async (t) => {
    const folder = temporaryFolder(t);
    const program = join(folder, 'nv-hostengine');
    chmodSync(folder, 0o755);
    copyFileSync('/bin/sleep', program);
    chmodSync(program, 0o755);
    const impostors = Array.from({ length: 100 }, () =>
      spawn('setpriv', ['--reuid=65534', '--clear-groups', program, '100'], { stdio: 'ignore' }),
    );
    t.teardown(() => {
      for (const impostor of impostors) impostor.kill('SIGKILL');
    });
    await Promise.all(impostors.map((impostor) => once(impostor, 'spawn')));
    const engine = await startEngine(t, installStub(t));
    const finder = createProcEngineFinder();
    let found = await finder.find();
    const sizes = [found.length];
    const namesMore = () =>
      found.some(({ problems }) => problems.some((problem) => /^\d+ more processes/.test(problem)));
    // They have the name once setpriv has become them; an engine of another test may end while it is looked at.
    while (found.length !== 16 || !namesMore()) {
      found = await finder.find();
      sizes.push(found.length);
    }
    t.equal(Math.max(...sizes), 16, 'never more');
    t.ok(
      found.some(({ pid }) => pid === engine.pid),
      'that of root is among them',
    );
    t.ok(found[0]?.problems.some((problem) => /more processes are named nv-hostengine/.test(problem)));
  },
);
