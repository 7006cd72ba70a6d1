import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { commands } from '../../coordinator/cli/commands.ts';
import { xidrill } from './command.ts';
import { startServe } from './served.ts';

t.test('a drill by the command line needs a kubeconfig and nothing else', async (t) => {
  const served = await startServe(t, ['--speed', '50']);
  const at = ['--kubeconfig', served.kubeconfig];
  const drill = (...argv: readonly string[]) => xidrill(['drill', ...argv, ...at]);

  const dry = await drill('xid', '--set', 'xid=109', '--node', 'gpu-1', '--dry-run');
  t.equal(dry.code, 0, dry.err);
  t.match(dry.out, /^apiVersion: xidrill\.dev\/v1alpha1\nkind: Experiment/);
  t.match(dry.out, /# would drill 1 nodes: gpu-1\n/);
  t.match(
    dry.out,
    /# gpu-1:\n# {3}writes dcgmi test --inject .* -f 230 -v 109 {2}\(host engine/,
    'what is written, and where',
  );
  t.match(dry.out, /# {3}detection: condition AcceleratedHardwareReady=False, reason NvidiaXID109Error/);
  t.match(dry.out, /# not cpu-1: /);
  const blocked = await drill('xid', '--set', 'xid=79', '--node', 'gpu-broken', '--dry-run', '-o', 'json');
  t.match(
    JSON.parse(blocked.out).targets[0].refusals.map(({ reason }: { reason: string }) => reason),
    ['agent_unknown', 'arm64-gate'],
    'what stands against it; the agents of this cluster are no pods',
  );
  t.equal((await xidrill(['list', '-o', 'name', ...at])).out, '', 'a dry run writes nothing');

  const passed = await drill('xid', '--set', 'xid=109', '--node', 'gpu-1', '--name', 'first', '--wait');
  t.equal(passed.code, 0, passed.out + passed.err);
  t.match(passed.out, /first: [\s\S]*gpu-1: reached ✓ order[\s\S]*gpu-1: reached ✓ detection/);
  t.match(passed.out, /✓ pass: NMA reacted on node gpu-1[\s\S]*proof/);
  t.notMatch(passed.out, '\u001b', 'a pipe gets plain lines');

  const failed = await drill('xid', '--set', 'xid=79', '--node', 'gpu-broken', '--name', 'second', '--wait');
  t.equal(failed.code, 1, failed.err);
  t.match(failed.out, /✗ fail: .*arm64[\s\S]*page +coordinator\/diagnosis\/CAUSES\.md#arm64-gate/);

  const json = await drill('task-blocked', '--node', 'cpu-1', '--wait', '-o', 'json');
  t.equal(json.code, 0, json.err);
  t.match(JSON.parse(json.out), { status: { verdict: 'pass' } });

  const list = await xidrill(['list', ...at]);
  t.match(list.out, /^NAME +PHASE +VERDICT +FAULT +NODES +AGE\n/);
  t.match(list.out, /second +Completed +fail +xid +1 /);
  const show = await xidrill(['show', 'second', ...at]);
  t.equal(show.code, 1, 'the verdict');
  t.match(show.out, /second {2}xid {2}Completed[\s\S]*gpu-broken[\s\S]*✗ fail/);
  t.match(await xidrill(['show', 'nothere', ...at]), { code: 2, err: /no experiment "nothere"/ });
  t.match(await xidrill(['nodes', ...at]), { code: 0, out: /gpu-1 +yes +\S+ +yes +yes +g5\.xlarge/ });
  t.match(await xidrill(['version', ...at]), { code: 0, out: /^xidrill \d/ });
});

t.test('the kill switch by the command line stops what runs, and is seen by all', async (t) => {
  const served = await startServe(t, ['--speed', '5']);
  const at = ['--kubeconfig', served.kubeconfig];
  const kill = (...argv: readonly string[]) => xidrill(['killswitch', ...argv, ...at]);
  const state = async () =>
    (await (await fetch(`${served.rest}/api/v1/killswitch`)).json()) as Record<string, unknown>;

  t.match(await kill(), { code: 0, out: /^✓ released in namespace xidrill\n/ });
  await xidrill([...'drill xid --set xid=43 --none 20m --node gpu-1 --name goes-on'.split(' '), ...at]);
  // A switch that is engaged before the first order keeps it from being sent: there is nothing to abort then.
  const injected = async () => {
    const answer = await fetch(`${served.rest}/api/v1/experiments/goes-on`);
    return ((await answer.json()) as { injected: string }).injected;
  };
  while ((await injected()) !== 'yes') await sleep(20);
  const engaged = await kill('engage', '--reason', 'incident 42');
  t.match(engaged, {
    code: 0,
    out: /^✗ engaged in namespace xidrill: incident 42/,
  });
  t.match(await state(), { engaged: true, reason: 'incident 42' });
  const watched = await xidrill(['watch', 'goes-on', ...at]);
  t.match(watched, { code: 4, out: /aborted/i }, 'the running drill is aborted');
  const refused = await xidrill(['drill', 'task-blocked', '--node', 'cpu-1', '--wait', ...at]);
  t.match(refused, { code: 4, out: /incident 42/ });
  t.match(JSON.parse((await kill('-o', 'json')).out), { engaged: true, reason: 'incident 42' });
  t.match(await kill('release'), { code: 0, out: /^✓ released in namespace xidrill/ });
  t.match(await state(), { engaged: false, reason: undefined });
  t.match(await kill('stop'), { code: 2, err: /one of engage, release/ });
  t.match(await kill('--reason', 'x'), { code: 2, err: /--reason is for engage/ });
});

t.test('on a terminal the chain is drawn in place, and Ctrl-C asks once', async (t) => {
  const served = await startServe(t, ['--speed', '5']);
  const at = ['--kubeconfig', served.kubeconfig];
  const words = ['drill', 'xid', '--set', 'xid=43', '--none', '20m', '--node', 'gpu-1'];
  const left = await xidrill([...words, '--name', 'long', ...at], { interruptAt: /long/, isLive: true });
  t.equal(left.code, 130, 'no: it goes on without us');
  t.match(left.err, /long goes on; see it with: xidrill watch long/);
  const live = await xidrill(['watch', 'long', ...at], {
    interruptAt: /gpu-1[\s\S]*gpu-1/,
    answer: true,
    isLive: true,
  });
  t.equal(live.code, 4, 'yes: it is aborted, and followed to its end');
  t.match(live.err, /long is being aborted/);
  t.match(live.out, /\u001b\[\d+F/, 'the cursor goes back to the first line');
  t.notMatch(live.out, '\u001b[2J', 'and the screen is never cleared as a whole');
  t.match(live.out, /– aborted: /);
  t.match(await xidrill(['show', 'long', ...at]), { code: 4, out: /long {2}xid {2}Aborted/ });
  t.match(await xidrill(['abort', 'nothere', ...at]), { code: 2, err: /no experiment/ });
});

t.test('help, usage and what needs no cluster', async (t) => {
  for (const { name } of commands) {
    const { code, out } = await xidrill([name, '--help']);
    t.equal(code, 0, name);
    t.match(out, new RegExp(`^usage: xidrill ${name}`), name);
    t.match(await xidrill([name, '--no-such-option']), { code: 2, out: '', err: /usage: xidrill/ }, name);
  }
  // As kubectl starts it: the commands that it prints are typed in the same way.
  const plugin = { program: 'kubectl xidrill' };
  for (const { name } of commands)
    t.match(
      (await xidrill([name, '--help'], plugin)).out,
      new RegExp(`^usage: kubectl xidrill ${name}`),
      name,
    );
  t.match(await xidrill(['show'], plugin), { code: 2, err: /remedy: kubectl xidrill list shows them/ });
  t.match(await xidrill(['faults', 'xidd'], plugin), {
    code: 2,
    err: /remedy: kubectl xidrill faults lists/,
  });
  t.match(await xidrill(['drill', 'xid', '--set', 'xid=79']), { code: 2, err: /say which nodes/ });
  t.match(await xidrill(['drill', 'xid', '--set', 'xid=x', '--node', 'a']), {
    code: 2,
    err: /must be a whole number/,
  });
  t.match(await xidrill(['faults', 'xid']), { code: 0, out: /set +xid: integer 1 to 255, required/ });
  t.match(await xidrill(['faults', 'xidd']), { code: 2, err: /did you mean xid/ });
  t.match((await xidrill(['faults', '-o', 'name'])).out, /^xid\n/);
  for (const shell of ['bash', 'zsh', 'fish'])
    t.match((await xidrill(['completion', shell])).out, /doctor why drill/, shell);
  t.match(await xidrill(['list', '--kubeconfig', '/nothing']), { code: 4, err: /kubeconfig cannot be used/ });
});
