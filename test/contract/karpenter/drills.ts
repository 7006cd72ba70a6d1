import type { Test } from 'tap';
import type { Cluster } from '../../../coordinator/cluster/port.ts';
import type { ExperimentAnswer, InjectionAnswer } from '../../../coordinator/routes/answers.ts';
import { conditionsOf, field } from '../../../coordinator/view/node.ts';
import type { KarpenterVersion } from '../../cluster/karpenter/build.ts';
import type { Rest } from '../../coordinator/rig.ts';
import {
  fault,
  type Outcome,
  others,
  type PoolRow,
  type Scenario,
  scenarios,
  waitSeconds,
} from './scenarios.ts';

/** A Karpenter in a cluster of pools, with a coordinator beside it that knows its policies; its NodeRepair is off at first. */
export type KarpenterSubject = {
  readonly version: KarpenterVersion;
  readonly cluster: Cluster;
  readonly rest: Rest;
  /** Names of the nodes of each pool as they were at the start. */
  readonly pools: ReadonlyMap<string, readonly string[]>;
  /** Milliseconds of the clock that Karpenter goes by. */
  now(): number;
  /** Looks again and again until it is so. */
  until(what: string, isSo: () => Promise<boolean>): Promise<void>;
  /** What Karpenter's Deployment says of it, and the Karpenter that runs. */
  installKarpenter(options: { readonly nodeRepair: boolean }): Promise<void>;
  /** Ends NMA on the node, and leaves it so. */
  stopNma(node: string): Promise<void>;
  /** The Deployment of the pool wants no pods any more, and they are gone. */
  idle(pool: string): Promise<void>;
  /** The kubelet of the node writes nothing from now on, and ends no pod. */
  silence(node: string): Promise<void>;
};

/** Every pool that the scenarios need. */
export const pools: readonly PoolRow[] = [
  ...scenarios.map(({ pool }) => pool),
  ...Object.values(others).map((name) => ({ name, nodes: 1 })),
];

/** Longer than the wait, a poll of 10 s and a nomination of 20 s (karpenter.md §2): what has not begun by then is blocked. */
const blockedAfter = `${waitSeconds + 35}s`;
/** With the gate off nothing looks at nodes at all. */
const offAfter = `${waitSeconds + 10}s`;

type Forecast = {
  readonly willAct: string;
  readonly afterSeconds: number | null;
  readonly blockedBy: readonly { readonly code: string }[];
};
type Preview = {
  readonly targets: readonly { readonly node: string; readonly repair: readonly Forecast[] }[];
};

/** All scenarios, one after the other where they change Karpenter and else at once: what was forecast is what happens, link by link. */
export async function karpenterContract(t: Test, rig: KarpenterSubject): Promise<void> {
  const { version } = rig;
  const already = nodeOf(rig, others.already);
  await t.test('(h) the gate is off: predicted, refused, forced and found', async (t) => {
    const beforehand = await start(rig, 'already', [already], [], 'force');
    await drillBlocked(t, rig, {
      name: 'gate-off',
      nodes: [nodeOf(rig, others.off)],
      code: 'karpenter-gate-off',
    });
    t.match(await ended(rig, beforehand), { verdict: 'pass' });
  });

  await prepare(rig);
  // It begins half a second after its start, and the node is gone in seconds.
  const since = await transitionOf(rig, already);
  await rig.installKarpenter({ nodeRepair: true });

  await t.test('(j) False already when Karpenter starts: due at once, by its own transition', async (t) => {
    await rig.until('its wait is over', async () => rig.now() > since + waitSeconds * 1000);
    await rig.until(
      'it is gone',
      async () => (await rig.cluster.read('nodes', { name: already })) === undefined,
    );
    t.pass('the latched condition was enough');
  });

  // One cluster, a pool each: they take as long as the slowest.
  const running = scenarios.map(async (scenario) => [scenario, await outcomeOf(rig, scenario)] as const);
  const recovered = recoveredOf(rig);
  for (const [scenario, done] of await Promise.all(running))
    await t.test(`(${scenario.pool.name}) ${scenario.title}`, async (t) =>
      assertOutcome(t, version, scenario, done),
    );

  await t.test('(i) True again before it is due: nothing happens', async (t) => {
    const { injections } = await recovered;
    const [injection] = injections;
    t.match(linkOf(injection, 'taint'), { state: 'missed', because: /is True again since/ });
    t.match((await recovered).experiment, { verdict: 'fail', explanation: { code: 'condition-recovered' } });
  });
}

function nodeOf({ pools }: KarpenterSubject, pool: string, index = 0): string {
  const name = pools.get(pool)?.[index];
  if (name === undefined) throw new RangeError(`pool ${pool} has no node ${index}`);
  return name;
}

/** What a scenario asks of the cluster before its drill. */
async function prepare(rig: KarpenterSubject): Promise<void> {
  for (const { pool, targets, nodeAnnotations, isIdle, isSilent } of scenarios) {
    for (const name of (rig.pools.get(pool.name) ?? []).slice(0, targets)) {
      if (nodeAnnotations !== undefined)
        await rig.cluster.patch('nodes', { name }, { metadata: { annotations: nodeAnnotations } });
      if (isSilent !== undefined) await silenceNode(rig, name);
    }
    if (isIdle !== undefined) await rig.idle(pool.name);
  }
}

/** What the node lifecycle controller writes of a kubelet that reports no more (pkg/controller/nodelifecycle). */
async function silenceNode(rig: KarpenterSubject, node: string): Promise<void> {
  await rig.silence(node);
  const message = 'Kubelet stopped posting node status.';
  await turn(rig, node, { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message });
}

/** Somebody writes a condition of the node, with a transition of now. */
async function turn(
  { cluster, now }: KarpenterSubject,
  name: string,
  condition: {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  },
): Promise<void> {
  const node = await cluster.read('nodes', { name });
  const conditions = (field(node, 'status', 'conditions') ?? []) as readonly { readonly type: string }[];
  const lastTransitionTime = `${new Date(now()).toISOString().slice(0, 19)}Z`;
  const written = conditions.map((one) =>
    one.type === condition.type ? { ...one, ...condition, lastTransitionTime } : one,
  );
  await cluster.patch('nodes', { name }, { status: { conditions: written } }, 'status');
}

function bodyOf(name: string, nodes: readonly string[], links: readonly object[], force?: 'force') {
  return {
    name,
    fault,
    target: { selector: { names: nodes }, mode: 'all' },
    deadline: '20m',
    expectation: {
      within: '60s',
      ...(links.length === 0 ? {} : { then: links }),
      ...(force === undefined ? {} : { force: true }),
    },
  };
}

async function preview(rig: KarpenterSubject, body: object): Promise<Preview> {
  const { status, body: plan } = await rig.rest.ask<Preview>('POST', '/api/v1/experiments?dryRun=All', body);
  if (status !== 200) throw new Error(`HTTP ${status}: ${JSON.stringify(plan)}`);
  return plan;
}

async function start(
  rig: KarpenterSubject,
  name: string,
  nodes: readonly string[],
  links: readonly object[],
  force?: 'force',
): Promise<string> {
  await rig.rest.create(bodyOf(name, nodes, links, force));
  return name;
}

type Done = {
  readonly experiment: ExperimentAnswer;
  readonly injections: readonly InjectionAnswer[];
};

async function ended(rig: KarpenterSubject, name: string): Promise<ExperimentAnswer> {
  let last: ExperimentAnswer | undefined;
  await rig.until(`${name} has ended`, async () => {
    last = await rig.rest.ended(name);
    return last.endedAt !== null;
  });
  if (last === undefined) throw new Error(`no answer for ${name}`);
  return last;
}

async function doneOf(rig: KarpenterSubject, name: string): Promise<Done> {
  const experiment = await ended(rig, name);
  return { experiment, injections: await rig.rest.injections(name) };
}

const taintOnly = [{ link: 'taint', within: blockedAfter }];
const whileOff = [{ link: 'taint', within: offAfter }];
const removal = [
  { link: 'taint', within: '2m' },
  { link: 'drain', within: '2m' },
  { link: 'termination', within: '2m' },
];

type Run = Done & {
  readonly forecasts: readonly Forecast[];
  /** What a drill that is not forced got; undefined: it was not refused. */
  readonly refusal: { readonly status: number; readonly body: unknown } | undefined;
};

/** Forecast, then drill: not forced where a repair is expected, forced where it is blocked. */
async function outcomeOf(rig: KarpenterSubject, scenario: Scenario): Promise<Run> {
  const { version } = rig;
  const { pool, targets, ends } = scenario;
  const nodes = (rig.pools.get(pool.name) ?? []).slice(0, targets);
  const outcome = ends[version];
  const name = `drill-${pool.name}`;
  const links = linksOf(outcome);
  const plan = await preview(rig, bodyOf(name, nodes, links, 'force'));
  const forecasts = plan.targets.flatMap(({ repair }) => repair);
  if (typeof outcome === 'string') {
    await start(rig, name, nodes, links);
    return { ...(await doneOf(rig, name)), forecasts, refusal: undefined };
  }
  const refusal = await rig.rest.ask('POST', '/api/v1/experiments', bodyOf(name, nodes, links));
  await start(rig, name, nodes, links, 'force');
  return { ...(await doneOf(rig, name)), forecasts, refusal };
}

function linksOf(outcome: Outcome): readonly object[] {
  if (typeof outcome === 'object') return taintOnly;
  return outcome === 'removed' ? removal : [...removal, { link: 'replacement', within: '2m' }];
}

function assertOutcome(t: Test, version: KarpenterVersion, scenario: Scenario, run: Run): void {
  const { ends, targets, pods = { '1.14.3': /./, '1.15.0': /./ } } = scenario;
  const outcome = ends[version];
  t.equal(run.injections.length, targets);
  if (typeof outcome === 'object') {
    const { blockedBy: code } = outcome;
    t.match(run.refusal, { status: 400, body: { code: 'repair_blocked', blocks: [{ code }] } });
    for (const forecast of run.forecasts) t.match(forecast, { willAct: 'no', blockedBy: [{ code }] });
    for (const injection of run.injections) t.match(linkOf(injection, 'taint'), { state: 'missed' });
    t.same([...new Set(run.experiment.causes?.map((cause) => cause.code))], [code]);
    return;
  }
  for (const forecast of run.forecasts)
    t.match(forecast, { willAct: 'yes', afterSeconds: waitSeconds, blockedBy: [] });
  t.match(run.experiment, { verdict: 'pass' }, JSON.stringify(run.experiment.explanation));
  for (const injection of run.injections) {
    assertTimes(t, injection);
    const [shown] = linkOf(injection, 'drain')?.evidence ?? [];
    t.match(shown?.observed, pods[version], 'what became of the pod');
  }
}

/** Never before it is due; how much later is Karpenter’s affair and this machine’s. */
function assertTimes(t: Test, injection: InjectionAnswer): void {
  const at = (name: string) => Date.parse(linkOf(injection, name)?.at ?? '');
  const transition = injection.status?.timeline?.find(({ match, kind }) => match && kind === 'condition')?.at;
  const passed = injection.links
    .filter(({ state }) => state === 'reached')
    .map(({ link, at: time }) => `${link} ${(Date.parse(time ?? '') - at('detection')) / 1000} s`);
  t.comment(`after detection: ${passed.join(', ')}`);
  for (const { link, state, evidence } of injection.links) {
    t.equal(state, 'reached', link);
    t.ok(link === 'order' || evidence.length > 0, `${link} has evidence`);
  }
  t.ok(at('taint') <= at('termination'), 'the taint comes first');
  t.ok(at('taint') - Date.parse(transition ?? '') >= (waitSeconds - 1) * 1000, 'not before it is due');
}

async function drillBlocked(
  t: Test,
  rig: KarpenterSubject,
  { name, nodes, code }: { readonly name: string; readonly nodes: readonly string[]; readonly code: string },
): Promise<void> {
  const plan = await preview(rig, bodyOf(name, nodes, whileOff, 'force'));
  t.match(plan, { targets: [{ repair: [{ willAct: 'no', blockedBy: [{ code }] }] }] });
  t.match(await rig.rest.ask('POST', '/api/v1/experiments', bodyOf(name, nodes, whileOff)), {
    status: 400,
    body: { code: 'repair_blocked', blocks: [{ code }] },
  });
  const { experiment, injections } = await doneOf(rig, await start(rig, name, nodes, whileOff, 'force'));
  t.match(linkOf(injections[0], 'taint'), { state: 'missed' });
  t.match(experiment, { verdict: 'fail', explanation: { code } });
}

/** Somebody resets the condition as soon as it is False, and NMA does not write it again. */
async function recoveredOf(rig: KarpenterSubject): Promise<Done> {
  const node = nodeOf(rig, others.recovered);
  await start(rig, 'recovered', [node], taintOnly);
  await transitionOf(rig, node);
  await rig.stopNma(node);
  await turn(rig, node, { type: 'AcceleratedHardwareReady', status: 'True', reason: 'Reset', message: '' });
  return doneOf(rig, 'recovered');
}

/** When the condition turned False, milliseconds. */
async function transitionOf({ cluster, until }: KarpenterSubject, name: string): Promise<number> {
  let since: string | null | undefined;
  await until('the condition is False', async () => {
    const node = await cluster.read('nodes', { name });
    const found = node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady');
    since = found?.status === 'False' ? found.lastTransitionTime : undefined;
    return since !== undefined;
  });
  return Date.parse(since ?? '');
}

function linkOf(injection: InjectionAnswer | undefined, name: string) {
  return injection?.links.find(({ link }) => link === name);
}
