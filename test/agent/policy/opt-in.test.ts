import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createOptInFile } from '../../../agent/policy/opt-in.ts';
import { startRig, temporaryFolder } from '../rig.ts';

const path = '/etc/xidrill/armed';
const text = { text: 'xidrill: one line' };
const refusedFor = (because: RegExp) => ({
  status: 400,
  body: {
    code: 'failed_precondition',
    message: because,
    details: { reason: 'node_not_opted_in', value: path, remedy: /install -D .*\/etc\/xidrill\/armed/ },
  },
});

t.test('L7 without the file of the node nothing is injected, whoever asks', async (t) => {
  const root = temporaryFolder(t);
  chmodSync(root, 0o755);
  const rig = await startRig(t, { optIn: createOptInFile({ root, path }) });
  const write = () => rig.call('WriteKernelMessage', text);
  const folder = join(root, 'etc/xidrill');
  const file = join(root, path);
  const consent = async () => ((await rig.call('GetInventory')).body as { optIn?: object }).optIn;
  t.match(await write(), refusedFor(/has not opted in.*ENOENT/));
  t.match(await consent(), { given: false, because: /has not opted in.*ENOENT/, remedy: /install -D/ });
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  t.match(await write(), refusedFor(/ENOENT/));
  mkdirSync(file);
  t.match(await write(), refusedFor(/no regular file/));
  rmSync(file, { recursive: true });
  symlinkSync('/etc/nothing', file);
  t.match(await write(), refusedFor(/ENOENT/));
  rmSync(file);
  writeFileSync(file, '', { mode: 0o644 });
  t.match(await write(), { status: 200 }, 'it is there');
  t.same(await consent(), { given: true });

  chmodSync(file, 0o666);
  t.match(await write(), refusedFor(/mode 0666.*not trusted/));
  chmodSync(file, 0o644);
  chmodSync(folder, 0o777);
  t.match(
    await write(),
    refusedFor(/\/etc\/xidrill .*mode 0777/),
    'who may write the folder can put it there',
  );
  chmodSync(folder, 0o755);
  if (process.geteuid?.() === 0) {
    chownSync(file, 65_532, 65_532);
    t.match(await write(), refusedFor(/uid 65532/));
    chownSync(file, 0, 0);
  }
  t.match(await write(), { status: 200 });
  const written = rig.kernelLog.records().length;
  rmSync(file);
  t.match(await write(), refusedFor(/ENOENT/), 'taken away: from the next order on');
  t.equal(rig.kernelLog.records().length, written);
});

t.test('no method of the agent can put the file there', async (t) => {
  const rig = await startRig(t, { optIn: createOptInFile({ root: temporaryFolder(t), path }) });
  for (const [method, body] of [
    ['AppendLogLine', { file: path, text: 'x' }],
    ['AppendLogLine', { file: `../..${path}`, text: 'x' }],
    ['WriteKernelMessage', { ...text, path }],
  ] as const)
    t.match(await rig.call(method, body), {
      status: 400,
      body: { details: { reason: 'malformed_request' } },
    });
  t.match(await rig.call('AppendLogLine', { file: 'ipamd', text: 'x' }), refusedFor(/ENOENT/));
});
