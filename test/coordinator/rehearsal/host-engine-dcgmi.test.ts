import t, { type Test } from 'tap';
import { createFakeDcgmi, createFakeEngineFinder } from '../../../coordinator/rehearsal/host-engine/dcgmi.ts';
import { createHostEngine } from '../../../coordinator/rehearsal/host-engine/engine.ts';
import { dcgmiContract } from '../../contract/dcgmi.ts';
import { engineFinderContract } from '../../contract/engine-finder.ts';
import { createManualClock } from '../../manual-clock.ts';

const gpus = [
  {
    id: 0,
    name: 'NVIDIA H100 80GB HBM3',
    pci: '00000000:01:00.0',
    uuid: 'GPU-00000000-feed-beef-cafe-000000000000',
  },
  {
    id: 1,
    name: 'NVIDIA H100 80GB HBM3',
    pci: '00000000:04:00.0',
    uuid: 'GPU-00000000-feed-beef-cafe-000000000001',
  },
];

function setUp(options: { gpuCount?: number; version?: string; dcgmiPath?: null } = {}) {
  const clock = createManualClock();
  const engine = createHostEngine({
    clock,
    version: options.version ?? '4.6.0',
    gpus: gpus.slice(0, options.gpuCount ?? 2),
    pid: 4711,
    ...(options.dcgmiPath === null && { dcgmiPath: null }),
  });
  const dcgmi = createFakeDcgmi({ clock, engines: () => [engine] });
  const run = (...args: string[]) => dcgmi.run(engine.process(), args, { timeoutMs: 10_000 });
  return { clock, engine, dcgmi, run };
}

t.test('the contract of Dcgmi', (t) =>
  dcgmiContract(t as Test, async () => {
    const { dcgmi, engine } = setUp();
    return { dcgmi, engine: engine.process(), gpus };
  }),
);

t.test('the contract of EngineFinder', (t) =>
  engineFinderContract(t as Test, async () => {
    const clock = createManualClock();
    const engines: ReturnType<typeof createHostEngine>[] = [];
    return {
      finder: createFakeEngineFinder({ engines: () => engines }),
      start: async () => {
        const pid = 5000 - engines.length;
        engines.push(
          createHostEngine({
            clock,
            version: '4.6.0',
            gpus,
            pid,
            address: `127.0.0.1:${5555 + engines.length}`,
          }),
        );
        return pid;
      },
      stop: async (pid) => engines.find((engine) => engine.process().pid === pid)?.kill(),
    };
  }),
);

t.test('the recorded output of discovery', async (t) => {
  const { run } = setUp();
  t.equal(
    (await run('discovery', '-l')).output.trimEnd(),
    `2 GPUs found (Active).
+--------+----------------------------------------------------------------------+
| GPU ID | Device Information                                                   |
+--------+----------------------------------------------------------------------+
| 0      | Name: NVIDIA H100 80GB HBM3                                          |
|        | PCI Bus ID: 00000000:01:00.0                                         |
|        | Device UUID: GPU-00000000-feed-beef-cafe-000000000000                |
+--------+----------------------------------------------------------------------+
| 1      | Name: NVIDIA H100 80GB HBM3                                          |
|        | PCI Bus ID: 00000000:04:00.0                                         |
|        | Device UUID: GPU-00000000-feed-beef-cafe-000000000001                |
+--------+----------------------------------------------------------------------+
0 NvSwitches found.
+-----------+
| Switch ID |
+-----------+
+-----------+
0 ConnectX found.
+----------+
| ConnectX |
+----------+
+----------+
0 CPUs found.
+--------+----------------------------------------------------------------------+
| CPU ID | Device Information                                                   |
+--------+----------------------------------------------------------------------+
+--------+----------------------------------------------------------------------+`,
  );
});

t.test('the recorded output of introspection', async (t) => {
  const { run } = setUp();
  await run('test', '--inject', '--gpuid', '0', '-f', '230', '-v', '79');
  const { output } = await run('test', '--introspect', '--gpuid', '0', '-f', '230');
  t.same(
    output.split('\n').map((line) => line.trimEnd()),
    [
      ' Field ID                  : xid_errors',
      ' Flags                     : 0',
      ' Last Status               : 0',
      ' Number of Samples         : 1',
      ' Newest Timestamp          : Mon Nov 23 02:24:09 2026',
      ' Oldest Timestamp          : Mon Nov 23 02:24:09 2026',
      ' Monitor Interval (ms)     : 0',
      ' Max Age (sec)             : 30',
      ' Fetch Count               : 0',
      ' Total Fetch Usec          : 0',
      ' Usec Per Fetch            : 0',
      ' Number of Watchers        : 0',
      '',
      '',
    ],
  );
});

t.test('on a node with one GPU the default GPU is not there', async (t) => {
  const { run } = setUp({ gpuCount: 1 });
  t.match(await run('test', '--inject', '-f', '150', '-v', '95'), {
    exitCode: 255,
    output: 'Error: Unable to inject info. Return: Bad parameter passed to function\n',
  });
});

t.test('the user story: 150 = 48 and 111 = 999 succeed and mean nothing', async (t) => {
  const { run, engine } = setUp();
  const connection = engine.connect('nma');
  const heard: unknown[] = [];
  connection.registerPolicies((violation) => heard.push(violation));
  connection.enableHealth();
  for (const [field, value] of [
    ['150', '48'],
    ['111', '999'],
  ] as const) {
    t.match(await run('test', '--inject', '--gpuid', '0', '-f', field, '-v', value), {
      exitCode: 0,
      output: 'Successfully injected field info.\n',
    });
  }
  t.same(heard, []);
  t.same(connection.healthCheck(), []);
});

t.test('garbage is a real value: Xid 0', async (t) => {
  const { run, engine } = setUp();
  const heard: unknown[] = [];
  engine.connect('nma').registerPolicies((violation) => heard.push(violation));
  await run('test', '--inject', '--gpuid', '0', '-f', '230', '-v', 'abc');
  t.same(heard, [{ policy: 'XID', xid: 0 }]);
});

t.test('an engine that is gone', async (t) => {
  const { clock, engine, dcgmi, run } = setUp();
  const asked = engine.process();
  engine.kill();
  const answer = dcgmi.run(asked, ['discovery', '-l'], { timeoutMs: 10_000 });
  const from = clock.now();
  await clock.advance(5000);
  t.match(await answer, {
    exitCode: 235,
    output:
      'Error: unable to establish a connection to the specified host: 127.0.0.1:5555\n' +
      'Error: Unable to connect to host engine. Host engine connection invalid/disconnected.\n',
  });
  t.equal(clock.now() - from, 5000);
  t.match(await run('-v'), { exitCode: 0, output: /^\nLocal build info:/ });
  t.notMatch((await run('-v')).output, /Hostengine/);
  t.match(await run('--version'), { exitCode: 0, output: '\ndcgmi  version: 4.6.0\n\n' });
});

t.test('an engine that was stopped answers nothing', async (t) => {
  const { clock, engine, dcgmi } = setUp();
  engine.suspend();
  const answer = dcgmi.run(engine.process(), ['discovery', '-l'], { timeoutMs: 8000 });
  const refused = t.rejects(answer, { message: 'dcgmi did not end within 8000 ms and was killed' });
  await clock.advance(8000);
  await refused;
  engine.resume();
  t.match(await dcgmi.run(engine.process(), ['discovery', '-l'], { timeoutMs: 8000 }), { exitCode: 0 });
});

t.test('an image without dcgmi', async (t) => {
  const { engine, dcgmi, run } = setUp({ dcgmiPath: null });
  t.same(await dcgmi.locate(engine.process()), { because: 'there is no dcgmi in its image' });
  await t.rejects(run('discovery', '-l'), { message: 'engine 4711: there is no dcgmi in its image' });
});

t.test('an engine whose port another one holds: the other one answers', async (t) => {
  const clock = createManualClock();
  const holder = createHostEngine({ clock, version: '4.5.3', gpus, pid: 10 });
  const late = createHostEngine({ clock, version: '4.6.0', gpus: [], pid: 11, listening: false });
  const dcgmi = createFakeDcgmi({ clock, engines: () => [holder, late] });
  t.match(
    (await dcgmi.run(late.process(), ['discovery', '-l'], { timeoutMs: 8000 })).output,
    /^2 GPUs found/,
  );
});

t.test('health', async (t) => {
  const { engine, run } = setUp();
  t.match(await run('health', '--check', '-g', '0'), {
    exitCode: 253,
    output: 'Error: Health watches not enabled. Please enable watches. \n',
  });
  engine.connect('nma').enableHealth();
  t.match(await run('health', '--check', '-g', '0'), { exitCode: 0, output: /Overall Health +\| Healthy/ });
  await run('test', '--inject', '--gpuid', '0', '-f', '230', '-v', '79');
  const { exitCode, output } = await run('health', '--check', '-g', '0');
  t.equal(exitCode, 0, 'the exit code never tells');
  t.match(output, /\| Overall Health {12}\| Failure/);
  t.match(output, /-> Internal error {3}\| Failure/);
  t.match(output.replace(/\s*\|\n\|\s*\|\s*/g, ' '), /triggered by XID 79: GPU %d has fallen off the bus/);
});

t.test('an unknown subsystem', async (t) => {
  const { run } = setUp();
  t.match(await run('nonsense'), { exitCode: 255, output: 'ERROR: Invalid subsystem.\n\n' });
});
