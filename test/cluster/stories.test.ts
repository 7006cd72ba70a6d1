import t from 'tap';
import { killSwitchName } from '../../coordinator/store/kill-switch.ts';
import { until } from './processes.ts';
import { drill, experimentAt, injectionsAt, namespace, recordsWith, startRig } from './rig.ts';

t.setTimeout(900_000);
const rig = await startRig(t, 'drilled');
const agent = await rig.startAgent();
const coordinator = await rig.startCoordinator(agent.url);

t.test('a task-blocked drill passes on the event in the real API server', async (t) => {
  const nma = await rig.startNma();
  const { status, body } = await drill(coordinator.url, { name: 'blocked', fault: { name: 'task-blocked' } });
  t.equal(status, 200);
  t.equal(body.verdict, 'pass', JSON.stringify(body.explanation));
  t.equal(body.explanation?.code, 'reacted');
  t.ok(body.explanation?.evidence.some(({ observed }) => observed.includes('AppBlocked: Process "xidrill-')));
  t.ok((body.latency?.seconds ?? 99) < 30);
  t.match(body.skipped, [{ node: 'drilled-other', because: /xidrill.dev\/drill=allowed/ }]);

  const [injection] = await injectionsAt(coordinator.url, 'blocked');
  const readBack = injection?.status?.receipt?.surfaces[0]?.readBack;
  t.ok(
    readBack !== undefined && 'sequence' in readBack && readBack.sequence > 0,
    'the sequence number is the proof',
  );
  t.ok(
    injection?.status?.timeline?.some(({ match }) => match),
    'the timeline shows the matching event',
  );

  const listed = await rig.plane.kubectl(['-n', namespace, 'get', 'experiments,injections']);
  t.match(
    listed.stdout,
    /blocked +task-blocked +Completed +pass +yes +reacted/,
    'kubectl shows fault, phase, verdict and cause',
  );
  t.match(listed.stdout, /blocked-\w+ +blocked +drilled +task-blocked +Completed +pass/);
  await nma.kill();
});

t.test(
  'the same with the monitoring agent stopped fails, and says that it is not running on that node',
  async (t) => {
    const { body } = await drill(coordinator.url, {
      name: 'silent',
      fault: { name: 'task-blocked' },
      expectation: { within: '8s' },
    });
    t.equal(body.verdict, 'fail');
    t.equal(body.explanation?.code, 'nma-not-running', JSON.stringify(body.explanation));
    t.ok(
      body.explanation?.evidence.some(({ source }) => source.includes('readBack')),
      'the record is proven by read-back',
    );
  },
);

t.test('kubectl apply gives the same as REST', async (t) => {
  const nma = await rig.startNma();
  await rig.apply({
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    metadata: { name: 'applied', namespace },
    spec: { fault: { name: 'task-blocked' }, target: { selector: { names: ['drilled'] } } },
  });
  const answer = await experimentAt(coordinator.url, 'applied');
  t.equal(answer.verdict, 'pass', JSON.stringify(answer.explanation));
  t.equal(answer.injections.length, 1);
  await nma.kill();

  await rig.apply({
    apiVersion: 'xidrill.dev/v1alpha1',
    kind: 'Experiment',
    metadata: { name: 'wrong', namespace },
    spec: { fault: { name: 'no-such-fault' } },
  });
  const refused = await experimentAt(coordinator.url, 'wrong');
  t.match(refused, { verdict: 'error', explanation: { code: 'fault-unknown', summary: /no-such-fault/ } });

  const rejected = await rig.plane.kubectl(
    ['apply', '-f', '-'],
    JSON.stringify({
      apiVersion: 'xidrill.dev/v1alpha1',
      kind: 'Experiment',
      metadata: { name: 'rejected', namespace },
      spec: { fault: { name: 'task-blocked' }, target: { mode: 'some' } },
    }),
  );
  t.not(rejected.exitCode, 0);
  t.match(rejected.stderr, /spec\.target\.mode/, 'the real API server names the field');
});

t.test(
  'the kill switch that kubectl makes stops what runs, and nothing starts until it is gone',
  async (t) => {
    const { url } = coordinator;
    const json = { 'content-type': 'application/json' };
    const state = async () =>
      (await (await fetch(`${url}/api/v1/killswitch`)).json()) as { engaged: boolean };
    const post = (body: object) =>
      fetch(`${url}/api/v1/experiments`, { method: 'POST', headers: json, body: JSON.stringify(body) });
    const fault = { name: 'task-blocked' };
    t.match(await state(), { engaged: false });
    const running = { name: 'running', fault, expectation: { message: 'never', within: '30m' } };
    t.equal((await post(running)).status, 202);

    const made = await rig.plane.kubectl([
      ...['-n', namespace, 'create', 'configmap', killSwitchName],
      ...['--from-literal=engaged=true', '--from-literal=reason=incident 42'],
    ]);
    t.equal(made.exitCode, 0, made.stderr);
    t.match(await experimentAt(url, 'running'), { verdict: 'aborted' });
    t.match(await state(), { engaged: true, reason: 'incident 42' });
    const refused = await post({ name: 'refused', fault });
    t.match(
      [refused.status, await refused.json()],
      [423, { code: 'kill_switch_engaged', detail: /incident 42/ }],
    );
    await until('the agent is informed', async () =>
      (await (await fetch(`${agent.url}/readyz`)).text()).includes('kill switch engaged: incident 42'),
    );

    const put = (body: object) =>
      fetch(`${url}/api/v1/killswitch`, { method: 'PUT', headers: json, body: JSON.stringify(body) });
    t.match(await (await put({ engaged: false })).json(), { engaged: false });
    const object = await rig.getJson('-n', namespace, 'configmap', killSwitchName);
    t.strictSame(object.data, { engaged: 'false' }, 'the reason is gone with it');
    const eventsOf = async () =>
      ((await rig.getJson('-n', namespace, 'events')).items as { reason: string; message: string }[]).filter(
        ({ reason }) => reason.startsWith('KillSwitch'),
      );
    await until('both changes are events', async () => (await eventsOf()).length === 2);
    t.match(
      (await eventsOf()).toSorted((left, right) => left.reason.localeCompare(right.reason)),
      [
        { reason: 'KillSwitchEngaged', message: /by field manager kubectl-create: incident 42/ },
        { reason: 'KillSwitchReleased', message: /by field manager xidrill-coordinator/ },
      ],
    );
    await rig.plane.kubectl(['-n', namespace, 'delete', 'configmap', killSwitchName]);
    t.match(await (await put({ engaged: true })).json(), { engaged: true }, 'REST makes it where it is gone');
    await rig.plane.kubectl(['-n', namespace, 'delete', 'configmap', killSwitchName]);
    t.match(await state(), { engaged: false });
    await until(
      'the agent is released',
      async () => !(await (await fetch(`${agent.url}/readyz`)).text()).includes('kill switch'),
    );
  },
);

t.test('a dry run shows the plan and changes nothing', async (t) => {
  const before = await rig.getJson('-n', namespace, 'experiments,injections');
  const response = await fetch(`${coordinator.url}/api/v1/experiments?dryRun=All`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'planned', fault: { name: 'task-blocked' } }),
  });
  t.equal(response.status, 200);
  const plan = (await response.json()) as {
    targets: { node: string; writes: string[]; order: { body: { text: string } } }[];
  };
  t.match(plan, {
    dryRun: 'All',
    targets: [{ node: 'drilled', expectation: { kind: 'event', reason: 'AppBlocked' } }],
    skipped: [{ node: 'drilled-other' }],
  });
  const after = await rig.getJson('-n', namespace, 'experiments,injections');
  t.equal((after.items as unknown[]).length, (before.items as unknown[]).length, 'no object was created');
  t.equal(recordsWith(plan.targets[0]?.order.body.text ?? 'none'), 0, 'nothing was written');
});

t.test('a disarmed agent is the explanation', async (t) => {
  const disarmed = await rig.startAgent({ disarmed: true });
  const other = await rig.startCoordinator(disarmed.url, { leaseSeconds: 1 });
  await coordinator.kill();
  const { body } = await drill(other.url, { name: 'disarmed', fault: { name: 'task-blocked' } });
  t.match(body, { verdict: /error|fail/, explanation: { code: 'agent-disarmed', remedy: /--arm/ } });
  await Promise.all([other.kill(), disarmed.kill()]);
});

t.test('the records of ended experiments are removed, the oldest first', async (t) => {
  const names = async () =>
    ((await rig.getJson('-n', namespace, 'experiments')).items as { metadata: { name: string } }[]).map(
      ({ metadata }) => metadata.name,
    );
  const before = await names();
  t.ok(before.length > 2, `there are ${before.join(', ')}`);
  const nma = await rig.startNma();
  const tidy = await rig.startCoordinator(agent.url, { flags: ['--keep-ended-count', '2'] });
  const { body } = await drill(tidy.url, { name: 'newest', fault: { name: 'task-blocked' } });
  t.equal(body.verdict, 'pass', JSON.stringify(body.explanation));
  await until('two are left', async () => (await names()).length === 2);
  t.ok((await names()).includes('newest'));
  t.match(tidy.errors(), /records removed/);
  const removed = before.length - 1;
  t.match(
    await (await fetch(`${tidy.url}/metrics`)).text(),
    new RegExp(`xidrill_removed_experiments_total\\{why="count"\\} ${removed}`),
  );
  await Promise.all([tidy.kill(), nma.kill()]);
  const aged = await rig.startCoordinator(agent.url, { flags: ['--keep-ended', '1s'] });
  await until('none is left', async () => (await names()).length === 0);
  await aged.kill();
});
