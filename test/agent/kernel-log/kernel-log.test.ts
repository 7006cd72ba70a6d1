import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createDeviceKernelLog } from '../../../agent/kernel-log/device.ts';
import { createFakeKernelLog } from '../../../agent/kernel-log/fake.ts';
import { kernelLogContract } from '../../contract/kernel-log.ts';
import { createManualClock } from '../../manual-clock.ts';
import { temporaryFolder } from '../rig.ts';
import { watchKernelLog, whyNoKernelLog } from './device.ts';

const why = whyNoKernelLog();
const real = why === undefined ? {} : { skip: why };

t.test('the contract, on the fake', async (t) => {
  await kernelLogContract(t, async () => {
    const kernelLog = createFakeKernelLog({ clock: createManualClock() });
    return { kernelLog, breakIt: () => kernelLog.breakWith('EACCES') };
  });
});

t.test('the contract, on the real device', real, async (t) => {
  await kernelLogContract(t, async () => ({ kernelLog: createDeviceKernelLog({ path: '/dev/kmsg' }) }));
});

t.test('the fake has what only a test can bring about', async (t) => {
  const clock = createManualClock();
  const kernelLog = createFakeKernelLog({ clock });
  t.equal(kernelLog.kernelSays('crit', 'EXT4-fs error é').priority, 2, 'the kernel writes facility 0');
  t.equal(kernelLog.records().at(-1)?.raw.endsWith('error \\xc3\\xa9'), true, 'escaped as the kernel does');

  kernelLog.dropWrites(true);
  await t.rejects(
    kernelLog.write('err', 'x'),
    { name: 'Refusal', reason: 'read_back_failed' },
    'printk_devkmsg=off',
  );
  t.equal(kernelLog.records().length, 1, 'and nothing is kept');
  kernelLog.dropWrites(false);

  const stop = new AbortController();
  const tail = kernelLog.tail({ from: 'oldest', signal: stop.signal })[Symbol.asyncIterator]();
  await tail.next();
  for (let count = 0; count < 5000; count += 1) kernelLog.kernelSays('info', `storm ${count}`);
  t.match((await tail.next()).value, { lost: /^904 records were overwritten/ });
  t.match((await tail.next()).value, { record: { text: 'storm 904' } });
  stop.abort();
});

t.test('anything but the device is refused, by name, and left as it was', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, 'untouched');
  mkdirSync(join(folder, 'folder'));
  symlinkSync(file, join(folder, 'link'));
  symlinkSync(join(folder, 'nowhere'), join(folder, 'dangling'));
  const rows = [
    [file, 'not_a_kernel_log', /regular file/],
    [join(folder, 'link'), 'not_a_kernel_log', /regular file/],
    [join(folder, 'folder'), 'not_a_kernel_log', /no character device/],
    ['/dev/null', 'not_a_kernel_log', /character device 1:3;/],
    [join(folder, 'missing'), 'kernel_log_unavailable', /ENOENT/],
    [join(folder, 'dangling'), 'kernel_log_unavailable', /ENOENT/],
    [join(file, 'below'), 'kernel_log_unavailable', /ENOTDIR/],
  ] as const;
  for (const [path, reason, message] of rows) {
    const kernelLog = createDeviceKernelLog({ path });
    t.match(kernelLog.unavailable(), { reason, message }, path);
    t.ok(kernelLog.unavailable()?.message.startsWith(path), `${path}: the message names it`);
    await t.rejects(kernelLog.write('err', 'x'), { reason, message }, `${path}: a write`);
    const tail = kernelLog.tail({ from: 'end', signal: new AbortController().signal });
    await t.rejects(tail[Symbol.asyncIterator]().next(), { reason, message }, `${path}: a tail`);
    kernelLog.close();
  }
  t.equal(readFileSync(file, 'utf8'), 'untouched');
  t.equal(existsSync(join(folder, 'missing')), false, 'nothing is created');
  t.equal(existsSync(join(folder, 'nowhere')), false);
});

t.test('a record of the same text from before is not taken for the new one', real, async (t) => {
  const text = `xidrill before ${process.pid}`;
  const seen = watchKernelLog(t);
  const first = await createDeviceKernelLog({ path: '/dev/kmsg' }).write('err', text);
  const other = createDeviceKernelLog({ path: '/dev/kmsg' });
  t.teardown(() => other.close());
  const second = await other.write('err', text);
  t.ok(second.sequence > first.sequence);
  t.same(
    seen
      .records()
      .filter((record) => record.text === text)
      .map(({ sequence }) => sequence),
    [first.sequence, second.sequence],
  );
});

t.test(
  'the record is found while another process floods the log, even with the same text',
  real,
  async (t) => {
    const text = `xidrill flood ${process.pid}`;
    const flood = fork(fileURLToPath(new URL('./flood.ts', import.meta.url)), [text]);
    const gone = once(flood, 'exit');
    t.teardown(async () => {
      flood.kill('SIGKILL');
      await gone;
    });
    const kernelLog = createDeviceKernelLog({ path: '/dev/kmsg' });
    t.teardown(() => kernelLog.close());
    const sequences: number[] = [];
    let between = 0;
    while (sequences.length < 200) {
      if (sequences.length % 20 === 0) {
        const isWriting = once(flood, 'message');
        flood.send('more');
        await isWriting;
      }
      // The flood has priority 15, ours 11: that is what tells them apart.
      const record = await kernelLog.write('err', text);
      if (record.priority !== 11 || record.text !== text) t.fail(`not ours: ${record.raw}`);
      between += record.sequence - (sequences.at(-1) ?? record.sequence - 1) - 1;
      sequences.push(record.sequence);
    }
    t.ok(between >= 180, 'all but the first burst, and perhaps the last, came between ours');
    t.equal(
      new Set(sequences).size,
      sequences.length,
      `${sequences.length} records, ${between} between them`,
    );
  },
);
