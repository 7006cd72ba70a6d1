import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createForkedNvml } from '../../../agent/nvml/forked.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { createManualClock } from '../../manual-clock.ts';
import { because, children } from './rig.ts';

// Two dozen children, each a Node of its own.
/** A child that answers the request in `line` with what the test gives, and then stays. */
function startWriting(t: Test, program: string, log = createSilentLog()) {
  const folder = t.testdir({
    'child.mjs': `
      import { writeSync } from 'node:fs';
      import { createInterface } from 'node:readline';
      const line = (value) => writeSync(3, (typeof value === 'string' ? value : JSON.stringify(value)) + '\\n');
      const gpu = (more) => ({ index: 0, uuid: 'GPU-1', pci: '00000000:3B:00.0', minor: 0, name: 'H100',
        driverVersion: '580.1', temperatureCelsius: 41, powerWatts: 71, smClockMhz: 1, memoryClockMhz: 1,
        ecc: null, remappedRows: null, migEnabled: false, notes: [], ...more });
      const facts = (...gpus) => ({ driverVersion: '580.1', gpus });
      createInterface({ input: process.stdin }).on('line', (request) => {
        const { id } = JSON.parse(request);
        ${program}
      }).on('close', () => process.exit(0));`,
  });
  const clock = createManualClock();
  const nvml = createForkedNvml({
    clock,
    log,
    childPath: join(folder, 'child.mjs'),
    locate: async (path) => ({ path }),
  });
  t.teardown(() => nvml.close());
  return { nvml, clock };
}

const garbage: readonly (readonly [string, string, RegExp])[] = [
  ['null', "line('null')", /no message: "null"/],
  ['a number', "line('7')", /no message: "7"/],
  ['broken JSON', 'line(\'{"id":1,\')', /no JSON: /],
  ['bytes of no text', 'writeSync(3, Buffer.from([0xff, 0, 0xfe, 10]))', /no JSON: /],
  ['a message of Node’s own', "line({ cmd: 'NODE_HANDLE' })", /no message: /],
  ['no id', 'line({ answer: facts() })', /no message: /],
  [
    'a line without an end',
    "for (let i = 0; i < 80; i += 1) writeSync(3, 'x'.repeat(8192))",
    /a message of more than 524288 char/,
  ],
  ['a huge line', "line(JSON.stringify('x'.repeat(600_000)))", /a message of /],
  [
    'thousands of messages',
    "for (let i = 0; i < 10_001; i += 1) line({ id, calling: 'nvmlInit_v2' })",
    /more than 10000 messages/,
  ],
  [
    'thousands for another request',
    'for (let i = 0; i < 10_001; i += 1) line({ id: 99, answer: facts() })',
    /more than 10000 messages/,
  ],
  ['an answer that is null', 'line({ id, answer: null })', /an answer of an unknown form: /],
  ['an answer without members', 'line({ id, answer: {} })', /an answer of an unknown form: .*driverVersion/],
  [
    'GPUs that are no list',
    "line({ id, answer: { driverVersion: '1', gpus: {} } })",
    /an answer of an unknown form: \/gpus /,
  ],
  [
    'a GPU of another form',
    'line({ id, answer: facts(gpu({ uuid: 7 })) })',
    /an answer of an unknown form: \/gpus\/0\/uuid /,
  ],
  [
    'a place that is no address',
    "line({ id, answer: facts(gpu({ pci: 'nowhere' })) })",
    /"nowhere" is no PCI address/,
  ],
  ['one index twice', 'line({ id, answer: facts(gpu(), gpu()) })', /two GPUs have one index/],
  [
    'a failure of an unknown kind',
    "line({ id, answer: { failure: { kind: 'other' } } })",
    /an answer of an unknown form: /,
  ],
  [
    'a flood of errors',
    "for (let i = 0; i < 300; i += 1) writeSync(2, 'x'.repeat(8192))",
    /more than 1048576 characters of errors/,
  ],
];

for (const [what, program, expected] of garbage) {
  t.test(`M7 ${what}: the child is named and killed, and not started again at once`, async (t) => {
    const { nvml } = startWriting(t, program);
    const first = because(await nvml.list());
    t.match(first, /^the NVML child was killed, because it sent /);
    t.match(first, expected);
    t.match(because(await nvml.list()), /; not asked again for 1 s$/);
    await nvml.close();
    t.same(children(), []);
  });
}

t.test('a child after the other is as bad: each is asked later than the one before', async (t) => {
  const { nvml, clock } = startWriting(t, "line('null')");
  for (const seconds of [1, 2]) {
    t.match(because(await nvml.list()), /no message: "null"/);
    t.match(because(await nvml.list()), new RegExp(`; not asked again for ${seconds} s$`));
    clock.jump(seconds * 1_000);
  }
});

t.test('an answer to another request is not taken for this one’s', async (t) => {
  const { nvml } = startWriting(
    t,
    "line({ id: id + 1, answer: facts(gpu({ name: 'other' })) }); line({ id: 0, calling: 'x' }); line({ id, answer: facts(gpu()) });",
  );
  const answer = await nvml.list();
  t.match(answer, { available: true, gpus: [{ name: 'H100' }] });
});

t.test('a second answer to a request that has been answered is dropped', async (t) => {
  const { nvml } = startWriting(
    t,
    "line({ id, answer: facts(gpu({ notes: [String(id)] })) }); line({ id, answer: facts(gpu({ name: 'late' })) });",
  );
  for (const id of ['1', '2'])
    t.match(await nvml.list(), { available: true, gpus: [{ name: 'H100', notes: [id] }] });
});

t.test(
  'M7 garbage between two requests ends the child, and the next one is not started at once',
  async (t) => {
    const warned = Promise.withResolvers<object>();
    const log = { ...createSilentLog(), warn: (fields: object) => warned.resolve(fields) };
    const { nvml, clock } = startWriting(
      t,
      "line({ id, answer: facts(gpu()) }); setTimeout(() => line('}{'), 50);",
      log,
    );
    t.equal((await nvml.list()).available, true);
    t.match(await warned.promise, { how: { kind: 'garbled', because: /no JSON/ } });
    t.match(because(await nvml.list()), /it sent no JSON.*; not asked again for 1 s$/);
    clock.jump(1_000);
    t.equal((await nvml.list()).available, true);
  },
);
