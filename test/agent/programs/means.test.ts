import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { createProcEngineFinder } from '../../../agent/engines/proc.ts';
import { lookAtMeans, means } from '../../../agent/programs/means.ts';
import { startRig } from '../rig.ts';

const root = { uid: '0', capabilities: '000001ffffffffff' };
const inPod = { pids: 'pid:[4026532999]', own: 'mnt:[1]', first: 'mnt:[1]' };
const withHostPid = { pids: 'pid:[4026531836]', own: 'mnt:[1]', first: 'mnt:[9]' };

type Seen = { pids: string; own: string; first: string; uid?: string; capabilities?: string };

/** A /proc in which the agent looks at itself and at process 1. */
function procOf(t: Test, { pids, own, first, uid = root.uid, capabilities = root.capabilities }: Seen) {
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-means-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'self/ns'), { recursive: true });
  mkdirSync(join(folder, '1/ns'), { recursive: true });
  mkdirSync(join(folder, '1/root/etc'), { recursive: true });
  symlinkSync(pids, join(folder, 'self/ns/pid'));
  symlinkSync(own, join(folder, 'self/ns/mnt'));
  symlinkSync(first, join(folder, '1/ns/mnt'));
  writeFileSync(
    join(folder, 'self/status'),
    `Name:\tnode\nUid:\t0\t${uid}\t0\t0\nCapEff:\t${capabilities}\n`,
  );
  return folder;
}

t.test('R8: what the agent itself lacks shows without running anything', async (t) => {
  const rows: readonly (readonly [string, Seen, readonly [string, RegExp][]])[] = [
    ['as the chart runs it', withHostPid, []],
    ['on a node that is a container', { ...withHostPid, pids: 'pid:[4026532111]' }, []],
    ['on the host itself', { ...inPod, pids: withHostPid.pids }, []],
    ['without hostPID', inPod, [['host-pid', /only the processes of its own container/]]],
    ['as another user', { ...withHostPid, uid: '65532' }, [['rights', /runs as uid 65532/]]],
    [
      'without privileged',
      { ...withHostPid, capabilities: '00000000a80425fb' },
      [['rights', /no CAP_SYS_PTRACE, no CAP_SYS_ADMIN \(CapEff 00000000a80425fb\)/]],
    ],
  ];
  for (const [name, seen, expected] of rows) {
    const procRoot = procOf(t, seen);
    const lacks = await lookAtMeans({
      procRoot,
      hostRoot: join(procRoot, '1/root'),
      nsenterPaths: [process.execPath],
    });
    t.match(
      lacks,
      expected.map(([what, because]) => ({ means: what, because, remedy: /chart/ })),
      name,
    );
    t.equal(lacks.length, expected.length, `${name}: ${JSON.stringify(lacks)}`);
  }
  const procRoot = procOf(t, withHostPid);
  t.match(
    await lookAtMeans({ procRoot, hostRoot: join(procRoot, 'nowhere'), nsenterPaths: ['/nowhere/nsenter'] }),
    [
      { means: 'host-root', because: /ENOENT/ },
      { means: 'nsenter', remedy: /agent\.image\.repository/ },
    ],
  );
});

t.test('every value that a remedy names is one of the chart', async (t) => {
  const values = parse(readFileSync('charts/xidrill/values.yaml', 'utf8')) as Record<string, unknown>;
  const named = Object.values(means).flatMap((text) => text.match(/\bagent(?:\.\w+)+/g) ?? []);
  t.ok(named.length > 5, 'they name some');
  for (const path of named) {
    const found = path
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], values);
    t.not(found, undefined, path);
  }
});

t.test('R8: an agent without hostPID does not take the node for one without engines', async (t) => {
  const procRoot = procOf(t, inPod);
  const finder = createProcEngineFinder({ procRoot });
  t.match(await finder.whyBlind(), { means: 'host-pid' });
  const lacks = await lookAtMeans({ procRoot, hostRoot: '/', nsenterPaths: [process.execPath] });
  const rig = await startRig(t, { engines: 'none', lacks });
  t.match((await rig.call('GetInventory')).body.agentLacks, [{ means: 'host-pid', remedy: /hostPID: true/ }]);
  const refused = await rig.call('InjectXid', { gpu: { index: 0 }, xid: 31, surfaces: ['dcgm'] });
  t.match(refused.body, {
    message: /cannot be seen: the agent sees only the processes of its own container/,
    details: { reason: 'agent_incapable' },
  });
});

t.test('R8: what is missing for what the node has is listed with its remedy', async (t) => {
  const lacksOf = async (rig: Awaited<ReturnType<typeof startRig>>) =>
    (await rig.call('GetInventory')).body.agentLacks as { means: string; because: string }[];
  const rig = await startRig(t);
  t.same(await lacksOf(rig), [], 'nothing');
  rig.nvml.breakWith('libnvidia-ml.so.1 cannot be loaded', true);
  t.match(await lacksOf(rig), [
    { means: 'nvml', because: /cannot be loaded/, remedy: /agent\.gpu\.runtimeClassName/ },
  ]);
  rig.nvml.breakWith('NVML did not answer within 5000 ms');
  t.same(await lacksOf(rig), [], 'a driver that hangs is the node’s');
  rig.nvml.breakWith(undefined);
  rig.kernelLog.breakWith('EACCES');
  t.match(await lacksOf(rig), [{ means: 'kernel-log', because: /EACCES/, remedy: /agent\.kernelLog/ }]);
  rig.kernelLog.breakWith(undefined);
  rig.systemJournal.breakWith({ cause: 'agent-lacks', because: 'the agent has no nsenter' });
  t.match(await lacksOf(rig), [{ means: 'journal', because: /no nsenter/ }]);
  rig.systemJournal.breakWith({ cause: 'node-lacks', because: 'the node has no journalctl' });
  t.same(await lacksOf(rig), [], 'what the node lacks is not the agent’s');
  const bare = await startRig(t, { engines: 'none' });
  bare.nvml.breakWith('libnvidia-ml.so.1 cannot be loaded', true);
  t.same(await lacksOf(bare), [], 'a node without driver and engine needs no NVML');
});
