import t from 'tap';
import type { Violation } from '../../../coordinator/catalogue/nma/reactions.ts';
import {
  createHostEngine,
  type HostEngineOptions,
} from '../../../coordinator/rehearsal/host-engine/engine.ts';
import type { HealthSystem } from '../../../coordinator/rehearsal/host-engine/health.ts';
import { createManualClock } from '../../manual-clock.ts';

const gpus = [
  { id: 0, name: 'NVIDIA H100', pci: '00000000:01:00.0', uuid: 'GPU-0', nvlink: true },
  { id: 1, name: 'NVIDIA H100', pci: '00000000:04:00.0', uuid: 'GPU-1', nvlink: true },
];

function setUp(options: Partial<HostEngineOptions> = {}) {
  const clock = createManualClock();
  const engine = createHostEngine({ clock, version: '4.6.0', gpus, pid: 100, ...options });
  /** As dcgmi does it: the whole second of now, plus the offset. */
  const inject = (fieldId: number, value: number, gpuId = 0, offset = 1) =>
    engine.inject({
      gpuId,
      fieldId,
      value,
      text: String(value),
      stampMs: (Math.floor(clock.now() / 1000) + offset) * 1000,
    });
  const listen = () => {
    const heard: (Violation & { gpu: number })[] = [];
    const connection = engine.connect('nma');
    connection.registerPolicies((violation, gpu) => heard.push({ ...violation, gpu }));
    return { heard, connection };
  };
  const codes = () => engine.healthCheck().map((incident) => `${incident.code} ${incident.result}`);
  return { clock, engine, inject, listen, codes };
}

t.test('an entry that nobody watches', async (t) => {
  const { clock, engine, inject } = setUp();
  t.equal(engine.facts(0, 230), undefined, 'none before the first injection');
  inject(230, 79);
  t.match(engine.facts(0, 230), { samples: 1, watchers: 0, maxAgeMs: 30_000, intervalMs: 0, fetches: 0 });
  t.equal(engine.facts(0, 230)?.newestUs, (Math.floor(clock.now() / 1000) + 1) * 1e6);
  await clock.advance(39_000);
  t.equal(engine.facts(0, 230)?.samples, 1, 'its sample does not go by itself');
  inject(230, 80);
  t.equal(engine.facts(0, 230)?.samples, 1, 'the next one after 30 s replaces it');
  inject(230, 81);
  inject(230, 82);
  t.equal(engine.facts(0, 230)?.samples, 3, 'three of one second are three');
  t.equal(inject(230, 79, 7), false, 'a GPU that is not there');
});

t.test('a watched entry: watchers, interval, age', async (t) => {
  const { engine, inject, listen } = setUp();
  const { connection } = listen();
  t.match(engine.facts(0, 230), {
    watchers: 1,
    intervalMs: 10_000,
    maxAgeMs: 3_600_000,
    samples: 0,
    newestUs: 0,
  });
  connection.enableHealth();
  t.match(
    engine.facts(0, 230),
    { watchers: 2, intervalMs: 10_000, maxAgeMs: 3_600_000 },
    'policy and health',
  );
  t.match(engine.facts(0, 311), { watchers: 1, intervalMs: 30_000, maxAgeMs: 600_000 });
  t.equal(engine.facts(0, 856), undefined);
  connection.watchFields('watch', [112, 856, 857, 170, 174]);
  t.match(engine.facts(0, 856), { watchers: 1 });
  inject(230, 31);
  inject(230, 31);
  t.equal(engine.facts(0, 230)?.samples, 2);
});

t.test('what a disconnect leaves behind', async (t) => {
  const { engine, listen, inject } = setUp();
  const { connection, heard } = listen();
  connection.enableHealth();
  connection.watchFields('watch', [112, 856, 857]);
  t.ok(engine.fieldGroups().some((group) => group.name === 'watch'));
  connection.close();
  t.match(engine.facts(0, 230), { watchers: 2 }, 'policy and health watches stay');
  t.match(engine.facts(0, 856), { watchers: 0 }, 'the client’s go');
  t.notOk(engine.fieldGroups().some((group) => group.name === 'watch'));
  inject(230, 79);
  t.same(heard, [], 'nobody is told any more');
  const again = engine.connect('nma');
  again.registerPolicies(() => undefined);
  again.enableHealth();
  t.match(engine.facts(0, 230), { watchers: 4 }, 'so that they grow with each reconnect');
  t.throws(() => connection.healthCheck(), { message: 'nma: the connection is gone' });
});

t.test('the XID policy: every value, one in 5 s of sample time', async (t) => {
  const { clock, inject, listen } = setUp();
  const { heard } = listen();
  inject(230, 13);
  inject(230, 31);
  inject(230, 79);
  t.same(
    heard.map((each) => each.policy === 'XID' && each.xid),
    [13],
    'the others are dropped, not delayed',
  );
  inject(230, 46, 1);
  t.equal(heard.length, 2, 'another GPU has a slot of its own');
  await clock.advance(6000);
  inject(230, 0);
  t.match(heard.at(-1), { xid: 0, gpu: 0 });
  await clock.advance(1000);
  inject(230, 48, 0, 7);
  t.match(heard.at(-1), { xid: 48 }, 'an offset makes room');
  await clock.advance(6000);
  inject(230, 64);
  t.match(heard.at(-1), { xid: 48 }, 'and mutes what comes before it');
  inject(150, 101);
  t.match(heard.at(-1), { policy: 'Thermal' }, 'but not another kind');
  t.equal(heard.length, 5);
});

t.test('an hour’s offset mutes the kind for an hour, and a new listener starts clean', async (t) => {
  const { clock, inject, listen } = setUp();
  const { heard } = listen();
  inject(230, 79, 0, 3600);
  t.equal(heard.length, 1, 'itself it is told at once');
  await clock.advance(1_800_000);
  inject(230, 48);
  t.equal(heard.length, 1);
  const { heard: fresh } = listen();
  inject(230, 48);
  t.equal(fresh.length, 1);
  await clock.advance(1_806_000);
  inject(230, 48);
  t.equal(heard.length, 2);
});

t.test('counters: an increase from 4.6, above 0 before', async (t) => {
  // 1, 1, 2, 0, 1, 5, each six seconds after the one before
  const rows: [version: string, fired: number[]][] = [
    ['4.6.0', [1, 2, 1, 5]],
    ['4.5.3', [1, 1, 2, 1, 5]],
    ['4.5.2', [1, 1, 2, 1, 5]],
  ];
  for (const [version, fired] of rows) {
    for (const fieldId of [319, 202, 409]) {
      const { clock, inject, listen } = setUp({ version });
      const { heard } = listen();
      for (const value of [1, 1, 2, 0, 1, 5]) {
        inject(fieldId, value);
        await clock.advance(6000);
      }
      const found = heard.map((each) =>
        each.policy === 'PCIe'
          ? each.replays
          : each.policy === 'DBE' || each.policy === 'NVLink'
            ? each.errors
            : -1,
      );
      t.same(found, fired, `field ${fieldId} on ${version}`);
    }
  }
});

t.test('a counter that the GPU does not have needs a 0 first, from 4.6', async (t) => {
  const plain = [{ id: 0, name: 'Tesla T4', pci: '00000000:00:1E.0', uuid: 'GPU-2' }];
  const { clock, inject, listen } = setUp({ gpus: plain });
  const { heard } = listen();
  inject(409, 7);
  t.same(heard, [], 'nothing to compare with');
  await clock.advance(20_000);
  inject(409, 0);
  await clock.advance(1000);
  inject(409, 7);
  t.match(heard, [{ policy: 'NVLink', fieldId: 409, errors: 7 }]);
});

t.test('two injections of one second compare the first one twice', async (t) => {
  const { inject, listen } = setUp();
  const { heard } = listen();
  inject(319, 0);
  inject(319, 3);
  t.same(heard, []);
});

t.test('thresholds are exceeded, not reached', async (t) => {
  const rows: [fieldId: number, value: number, fires: boolean][] = [
    [150, 48, false],
    [150, 100, false],
    [150, 101, true],
    [155, 250.9, false],
    [155, 251, true],
  ];
  for (const [fieldId, value, fires] of rows) {
    const { inject, listen } = setUp();
    const { heard } = listen();
    inject(fieldId, value);
    t.equal(heard.length === 1, fires, `${fieldId} = ${value}`);
  }
});

t.test('retired pages want both halves', async (t) => {
  const { clock, inject, listen } = setUp();
  const { heard } = listen();
  inject(391, 11);
  t.same(heard, [], '390 is not supported');
  await clock.advance(1000);
  inject(390, 0);
  await clock.advance(1000);
  inject(391, 11);
  t.match(heard, [{ policy: 'MaxRtPg', sbePages: 0, dbePages: 11 }]);
});

t.test('the DBE policy does not read 311', async (t) => {
  const { inject, listen } = setUp();
  const { heard } = listen();
  inject(311, 5);
  t.same(heard, []);
});

t.test('health: an Xid stays until the engine is restarted', async (t) => {
  const { clock, engine, inject, codes } = setUp();
  inject(230, 79);
  engine.connect('nma').enableHealth();
  t.same(codes(), [], 'one from before the first health watch is not seen');
  inject(230, 79);
  t.same(codes(), ['120 FAIL']);
  await clock.advance(600_000);
  inject(230, 0);
  t.same(codes(), ['120 FAIL']);
  inject(230, 109);
  t.same(codes(), ['120 FAIL'], '109 leaves nothing');
  engine.restart();
  engine.connect('nma').enableHealth();
  t.same(codes(), []);
});

t.test('health: an Xid comes by way of the memory or the InfoROM watch', async (t) => {
  // dcgm-measured.md §4
  const rows: [systems: HealthSystem[], with79: string[], with31: string[]][] = [
    [['PCIe'], [], []],
    [['NVLink'], [], []],
    [['Thermal', 'Power'], [], []],
    [['Driver'], [], []],
    [['InfoROM'], ['120 FAIL'], []],
    [['Memory'], ['120 FAIL'], ['101 WARN']],
    [['PCIe', 'Memory'], ['120 FAIL'], ['101 WARN']],
  ];
  for (const [systems, with79, with31] of rows) {
    for (const [xid, expected] of [
      [79, with79],
      [31, with31],
    ] as const) {
      const { engine, inject, codes } = setUp();
      engine.connect('dcgmi').enableHealth(systems);
      inject(230, xid);
      t.same(codes(), expected, `Xid ${xid} with ${systems}`);
    }
  }
});

t.test('health: a system that is off sees nothing', async (t) => {
  const { engine, inject, codes } = setUp();
  engine.connect('dcgmi').enableHealth(['PCIe']);
  inject(311, 1);
  t.same(codes(), []);
  inject(202, 500);
  t.same(codes(), ['3 WARN']);
});

t.test('health: the InfoROM is read once an hour', async (t) => {
  const { clock, engine, inject, codes } = setUp();
  engine.connect('nma').enableHealth();
  inject(84, 0);
  await clock.advance(3_000_000);
  t.same(codes(), ['9 WARN']);
  inject(84, 1);
  t.same(codes(), []);
  inject(84, 0);
  await clock.advance(3_601_000);
  t.same(codes(), [], 'the next reading takes it away');
});

t.test('health: retired pages are one check of two halves, and one of its own', async (t) => {
  const rows: [sbe: number, dbe: number, expected: string[]][] = [
    [0, 15, []],
    [0, 16, ['8 FAIL']],
    [63, 0, ['7 FAIL']],
    [50, 13, ['7 FAIL']],
    [0, 63, ['7 FAIL', '8 FAIL']],
  ];
  for (const [sbe, dbe, expected] of rows) {
    const { engine, inject, codes } = setUp();
    engine.connect('nma').enableHealth();
    inject(390, sbe);
    inject(391, dbe);
    t.same(codes(), expected, `${sbe} + ${dbe}`);
  }
});

t.test('health: checks by version', async (t) => {
  const rows: [version: string, fieldId: number, value: number, expected: string[]][] = [
    ['4.5.3', 393, 512, []],
    ['4.6.0', 393, 512, ['132 WARN']],
    ['4.4.2', 1507, 1, []],
    ['4.5.0', 1507, 1, ['52 FAIL']],
    ['4.5.2', 497, 1, []],
    ['4.5.3', 497, 1, ['71 FAIL']],
    ['4.4.2', 174, 16, []],
    ['4.5.0', 174, 16, ['33 FAIL']],
    ['4.3.0', 1214, 1, []],
    ['4.4.2', 1214, 1, ['71 FAIL']],
    ['4.4.2', 1206, 1, []],
    // 1e-20 and 0: up to 4.5 the rates are not reckoned, only compared with "no errors" (dcgm.md §3).
    ['4.5.3', 1217, 276, ['119 FAIL']],
    ['4.6.0', 1217, 276, []],
    ['4.5.3', 1215, 0, ['121 FAIL']],
    ['4.6.0', 1215, 0, []],
    ['4.5.3', 1217, 4095, []],
    ['4.6.0', 1217, 4095, []],
    ['4.4.2', 1215, 262, []],
  ];
  for (const [version, fieldId, value, expected] of rows) {
    const { clock, engine, inject, codes } = setUp({ version });
    engine.connect('nma').enableHealth();
    await clock.advance(2000);
    if (value === 1) inject(fieldId, 0);
    inject(fieldId, value);
    t.same(codes(), expected, `${fieldId} = ${value} on ${version}`);
  }
});

t.test('the next reading of the driver re-arms a counter', async (t) => {
  const { clock, inject, listen } = setUp();
  const { heard } = listen();
  inject(319, 3);
  await clock.advance(6000);
  inject(319, 3);
  t.equal(heard.length, 1, 'equal: no increase');
  await clock.advance(12_000);
  inject(319, 3);
  t.equal(heard.length, 2, 'the driver said 0 in between');
});

t.test('health: codes differ by version', async (t) => {
  for (const [version, expected] of [
    ['4.6.0', ['131 WARN', '80 FAIL']],
    ['4.5.3', ['101 FAIL', '80 WARN']],
  ] as const) {
    const { engine, inject, codes } = setUp({ version });
    engine.connect('nma').enableHealth();
    inject(230, 94);
    inject(230, 64);
    t.same(codes(), expected, version);
  }
});

t.test('health: fields', async (t) => {
  const rows: [fieldId: number, value: number, expected: string[]][] = [
    [311, 1, ['4 FAIL']],
    [319, 1, []],
    [310, 1_000_000, []],
    [409, 1, ['13 WARN']],
    [409, 6000, ['70 FAIL']],
    [429, 1, ['71 FAIL']],
    [439, 1, ['71 FAIL']],
    [1217, 3084, ['119 FAIL']],
    [1217, 0, ['119 FAIL']],
    [1217, 4095, []],
    [202, 1, []],
    [202, 9, []],
    [202, 100, ['3 WARN']],
    [150, 95, []],
    [150, 110, []],
    [241, 1e9, ['10 WARN']],
    [155, 900, []],
    [240, 1e9, ['12 WARN']],
    [392, 1, ['6 WARN']],
    [395, 1, ['80 FAIL']],
    [393, 1, []],
    [393, 512, ['132 WARN']],
    [84, 0, ['9 WARN']],
    [170, 4, ['123 FAIL']],
    [170, 2, ['123 WARN']],
    [170, 3, []],
    [174, 16, ['33 FAIL']],
    [174, 128, []],
    [497, 1, ['71 FAIL']],
    [1523, 3, ['127 WARN']],
  ];
  for (const [fieldId, value, expected] of rows) {
    const { clock, engine, inject, codes } = setUp();
    engine.connect('nma').enableHealth();
    await clock.advance(2000);
    inject(fieldId, value);
    t.same(codes(), expected, `${fieldId} = ${value}`);
  }
});

t.test('health: a counter does not stay, the next poll takes it away', async (t) => {
  const { clock, engine, inject, codes } = setUp();
  engine.connect('nma').enableHealth();
  await clock.advance(2000);
  inject(311, 1);
  await clock.advance(26_000);
  t.same(codes(), ['4 FAIL']);
  await clock.advance(10_000);
  t.same(codes(), []);
});

t.test('health: a hold by offset lasts until the sample’s time', async (t) => {
  const { clock, engine, inject, codes } = setUp();
  engine.connect('nma').enableHealth();
  inject(395, 1, 0, 330);
  await clock.advance(300_000);
  t.same(codes(), ['80 FAIL']);
  await clock.advance(70_000);
  t.same(codes(), []);
});

t.test('watched fields: what lies in the future is not read yet', async (t) => {
  const { clock, engine, inject } = setUp();
  const connection = engine.connect('nma');
  connection.enableHealth();
  connection.watchFields('watch', [170, 174]);
  const read = () =>
    connection
      .valuesSince(clock.now() - 300_000)
      .filter((each) => each.gpuId === 0 && each.value !== 0)
      .map((each) => `${each.fieldId}=${each.value}`);
  inject(170, 4, 0, 60);
  t.same(read(), []);
  await clock.advance(90_000);
  t.same(read(), ['170=4']);
  await clock.advance(200_000);
  t.same(read(), ['170=4'], 'later polls do not erase it');
});

t.test('an engine without GPUs takes no policies', async (t) => {
  const { engine } = setUp({ gpus: [] });
  t.throws(() => engine.connect('nma').registerPolicies(() => undefined), {
    message: 'cannot get policy for a group with no GPUs',
  });
});

t.test('killed, suspended, restarted', async (t) => {
  const { engine, listen, inject } = setUp();
  const { connection, heard } = listen();
  t.equal(connection.alive(), 'yes');
  engine.suspend();
  t.equal(connection.alive(), 'silent');
  engine.resume();
  t.equal(connection.alive(), 'yes');
  engine.kill();
  t.equal(connection.alive(), 'gone');
  t.throws(() => engine.connect('nma'), {
    message: 'nma: Host engine connection invalid/disconnected',
  });
  engine.restart(200);
  t.equal(connection.alive(), 'gone', 'a new process knows nothing of old connections');
  t.equal(engine.process().pid, 200);
  inject(230, 79);
  t.same(heard, []);
  t.match(engine.facts(0, 230), { watchers: 0 });
});

t.test('the kernel log as a second way in', async (t) => {
  const { clock, engine, listen, inject, codes } = setUp();
  const { connection, heard } = listen();
  connection.enableHealth();
  const line = (text: string) => engine.readKernelRecord(`11,1,2,-;${text}`);
  line('NVRM: Xid (PCI:0000:01:00): 79, pid=1, GPU has fallen off the bus.');
  t.equal(engine.facts(0, 230)?.samples, 1, 'it reaches the cache');
  t.same([heard, codes()], [[], []], 'and nobody is told');
  line('NVRM: Xid (PCI:0000:01:00): 31, pid=1, MMU fault');
  line('NVRM: Xid (PCI:0000:01:00): 79');
  line('NVRM: Xid (PCI:00000000:01:00.0): 79, x');
  line('NVRM: Xid (PCI:0000:00:1f): 119, x');
  t.equal(engine.facts(0, 230)?.samples, 1, 'another Xid, no comma, another spelling, no such GPU: nothing');
  t.equal(engine.isBlind(), false);
  line('NVRM: Xid (PCI:0000:01:00): 119, pid=1, Timeout after 6s of waiting for RPC response');
  t.equal(engine.isBlind(), true);
  await clock.advance(60_000);
  t.same(codes(), ['11 WARN', '11 WARN'], 'the power of every GPU is unreadable');
  inject(230, 79);
  t.equal(heard.length, 1, 'injection still works');
  engine.restart();
  t.equal(engine.isBlind(), false);
});
