import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createFakeHostFiles } from '../../../agent/host-files/fake.ts';
import { createFileTail, type FileTail } from '../../../coordinator/rehearsal/nma/file-tail.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { logFiles } from '../../../shared/surfaces/log-file.ts';
import { createManualClock } from '../../manual-clock.ts';
import { drill } from '../catalogue/nma/drill.ts';

const podStuck =
  '"Pod still has one or more containers in the non-exited state and will not be removed from desired state" pod="default/x"';

function logDrill(t: Test, version = '1.7.0') {
  const files = createFakeHostFiles({ files: [logFiles.ipamd, logFiles.cron] });
  const made = drill(t, version, { files });
  const condition = (type: string) => {
    const found = made.cluster.condition('n1', type);
    return found && [found.status, found.reason];
  };
  return { ...made, files, condition };
}

t.test('journal lines come out of the kernel log by their identifier', async (t) => {
  const { clock, kernelLog, messages, settle, condition } = logDrill(t as Test);
  await settle();
  await kernelLog.write('err', 'systemd: Failed to start nma-probe-1.');
  await kernelLog.write('err', 'systemd[1]: Failed to start nma-probe-2.');
  await kernelLog.write('err', 'kubelet: Failed to start nma-probe-3.');
  await kernelLog.write('err', 'Failed to start nma-probe-4.');
  kernelLog.kernelSays('err', 'systemd: Failed to start nma-probe-5.');
  await kernelLog.write('err', 'kubelet: OCI runtime create failed: x');
  await clock.advance(1000);
  t.same(messages(), [
    '1 ServiceFailedToStart: Failed to start nma-probe-1.',
    '1 ServiceFailedToStart: Failed to start nma-probe-2.',
    '1 ContainerRuntimeFailed: OCI runtime create failed',
  ]);
  await kernelLog.write('err', 'kubelet: fork/exec /usr/bin/runc: resource temporarily unavailable');
  await clock.advance(16_000);
  t.same(condition('KernelReady'), ['False', 'ForkFailedOutOfPIDs']);
});

t.test('PodStuckTerminating: the third line', async (t) => {
  const { clock, kernelLog, condition, said } = logDrill(t as Test);
  await clock.advance(20_000);
  for (const status of ['True', 'True', 'False']) {
    await kernelLog.write('err', `kubelet: ${podStuck}`);
    await clock.advance(16_000);
    t.equal(condition('ContainerRuntimeReady')?.[0], status);
  }
  t.equal(said().filter((line) => line === 'condition has not met MinOccurrences').length, 2);
});

t.test('probe failures: six in a second, and a restarted NMA counts anew', async (t) => {
  const { clock, kernelLog, nma, messages } = logDrill(t as Test);
  await clock.advance(1000);
  const line = 'kubelet: Liveness probe for "default/x:app" failed (failure): connection refused';
  const write = async (times: number) => {
    for (let time = 0; time < times; time += 1) await kernelLog.write('err', line);
    await clock.advance(100);
  };
  await write(5);
  t.same(messages(), []);
  await nma.restart();
  await clock.advance(100);
  await write(5);
  t.same(messages(), [], 'the limiter is full again');
  await write(1);
  t.same(messages(), ['1 LivenessProbeFailures: Exceeded a safe rate of liveness probe failures']);
});

t.test('files of the node', async (t) => {
  const { clock, files, messages, condition, nma } = logDrill(t as Test);
  await files.append(logFiles.ipamd, 'Unable to reach API Server');
  await clock.advance(16_000);
  t.same(condition('NetworkingReady'), ['False', 'IPAMDNotReady']);
  for (let time = 0; time < 5; time += 1) await files.append(logFiles.ipamd, 'Starting L-IPAMD');
  await files.append(logFiles.cron, 'Nov 22 08:00:00 host CROND[1]: (root) CMD (x)');
  await clock.advance(1000);
  t.same(messages(), []);
  await files.append(logFiles.ipamd, 'Starting L-IPAMD');
  await files.append(logFiles.cron, 'Nov 22 08:01:00 host CROND[2]: (root) CMD (x)');
  await clock.advance(1000);
  t.same(messages(), [
    '1 IPAMDRepeatedlyRestart: IPAMD is restarting often which leads to other CNI components failing.',
    '1 RapidCron: A cron job is running faster than every 5 minutes, which can impact node performance',
  ]);
  await nma.stop();
  await files.append(logFiles.ipamd, 'InsufficientFreeAddressesInSubnet');
  await clock.advance(1000);
  t.equal(messages().length, 2, 'nobody follows a file any more');
});

t.test('a disabled monitor reads nothing', async (t) => {
  const { clock, kernelLog, messages } = drill(t as Test, '1.7.0', { plugins: ['kernel-monitor'] });
  await kernelLog.write('err', 'systemd: Failed to start nma-probe-1.');
  await clock.advance(20_000);
  t.same(messages(), []);
});

t.test('a real file is followed from its end, and so is the one that replaces it', async (t) => {
  const root = t.testdir({ var: { log: {} } });
  const clock = createManualClock();
  const tail: FileTail = createFileTail({ root, clock, log: createSilentLog() });
  const file = join(root, 'var/log/messages');
  const lines: string[] = [];
  t.teardown(tail.tail('/var/log/messages', (line) => lines.push(line)));
  /** Disk is real: time moves on, and `push` is repeated, until the line has come. */
  const until = async (line: string, push: () => void = () => undefined) => {
    while (!lines.includes(line)) {
      push();
      await clock.advance(100);
    }
  };
  /** Written again and again until one is seen: from then on the file is being followed. */
  const followed = (mark: string) => until(mark, () => appendFileSync(file, `${mark}\n`));
  await clock.advance(1000);
  writeFileSync(file, 'held before 1\n');
  await followed('mark 1');
  appendFileSync(file, 'a\nb\n');
  await until('b');
  writeFileSync(`${file}.new`, 'held before 2\n');
  renameSync(`${file}.new`, file);
  await followed('mark 2');
  rmSync(file);
  await clock.advance(1000);
  mkdirSync(file);
  await clock.advance(1000);
  rmSync(file, { recursive: true });
  writeFileSync(file, 'held before 3\n');
  await followed('mark 3');
  appendFileSync(file, 'c\n');
  await until('c');
  t.same(
    lines.filter((line) => !line.startsWith('mark')),
    ['a', 'b', 'c'],
  );
});

t.test('the end of following ends its timers', async (t) => {
  const root = t.testdir({});
  const stop = createFileTail({ root, clock: createRealClock(), log: createSilentLog() }).tail(
    '/x',
    () => undefined,
  );
  stop();
  t.pass('the process can end: a timer left behind would hold this test open');
});
