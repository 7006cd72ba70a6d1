import type { Test } from 'tap';
import type { Cluster } from '../../coordinator/cluster/port.ts';
import type { ExperimentAnswer, InjectionAnswer } from '../../coordinator/routes/answers.ts';
import { type RestoreStepName, restoreStepNames } from '../../coordinator/store/restore.ts';
import { conditionsOf, list } from '../../coordinator/view/node.ts';
import type { Rest } from '../coordinator/rig.ts';

/** A cluster with an API server, on which coordinators of one namespace come one after the other. */
export type RestoreSubject = {
  /** Beside all coordinators. */
  readonly cluster: Cluster;
  /** Starts a coordinator that works through what `through` makes of its cluster, and can be killed. */
  start(
    identity: string,
    through: (cluster: Cluster) => Cluster,
  ): Promise<{ readonly rest: Rest; kill(): Promise<void> }>;
  /** Looks again and again until it is so. */
  until(what: string, isSo: () => Promise<boolean>): Promise<void>;
};

/** A drill of one node, with the expectation that makes its coordinator restore it. */
export type RestoredDrill = { readonly node: string } & (
  | { readonly restore: 'auto' }
  | { readonly expectation: { readonly repair: 'forbid' } }
);

/** How the restores ended, what stood on their nodes before and after, and every pod that a coordinator deleted. */
export type KilledRestores = {
  readonly restores: readonly {
    readonly node: string;
    readonly experiment: ExperimentAnswer;
    readonly injection: InjectionAnswer | undefined;
    readonly before: Seen;
    readonly after: Seen;
  }[];
  /** As `NAME UID`. */
  readonly deleted: readonly string[];
};

/**
 * Coordinators that die in the middle of restores: whenever the first of the drills has begun one of these steps, the coordinator is
 * killed and another one goes on from what is stored.
 */
export async function restoreKilledAt(
  subject: RestoreSubject,
  steps: readonly RestoreStepName[],
  drills: readonly RestoredDrill[],
): Promise<KilledRestores> {
  const { cluster } = subject;
  const deleted: string[] = [];
  const counting = (own: Cluster): Cluster => ({
    ...own,
    remove(resource, key, uid) {
      if (resource === 'pods') deleted.push(`${key.name} ${uid ?? ''}`);
      return own.remove(resource, key, uid);
    },
  });
  const before = await Promise.all(drills.map(({ node }) => lookAt(cluster, node)));
  let coordinator = await subject.start('coordinator-0', counting);
  for (const { node, ...more } of drills) {
    const fault = { name: 'xid', parameters: { xid: 79 } };
    await coordinator.rest.create({ name: node, fault, target: { selector: { names: [node] } }, ...more });
  }
  for (const [index, step] of steps.entries()) {
    const isBegun = async ({ node }: RestoredDrill) => {
      const [injection] = await coordinator.rest.injections(node);
      return injection?.status?.restore?.steps.find((one) => one.step === step)?.since !== undefined;
    };
    await subject.until(`a restore is at ${step}`, async () =>
      (await Promise.all(drills.map(isBegun))).includes(true),
    );
    await coordinator.kill();
    coordinator = await subject.start(`coordinator-${index + 1}`, counting);
  }
  const restores = drills.map(async ({ node }, index) => {
    const experiment = await coordinator.rest.ended(node);
    const [injection] = await coordinator.rest.injections(node);
    return {
      node,
      experiment,
      injection,
      before: before[index] as Seen,
      after: await lookAt(cluster, node),
    };
  });
  const outcome = { restores: await Promise.all(restores), deleted };
  await coordinator.kill();
  return outcome;
}

type Seen = Awaited<ReturnType<typeof lookAt>>;

async function lookAt(cluster: Cluster, name: string) {
  const node = await cluster.read('nodes', { name });
  const query = { namespace: 'kube-system', fieldSelector: `spec.nodeName=${name}` };
  const { labels, annotations } = node?.metadata ?? {};
  return {
    pods: (await cluster.list('pods', query)).items.map(({ metadata }) => metadata.uid ?? '').toSorted(),
    condition: node && conditionsOf(node).find(({ type }) => type === 'AcceleratedHardwareReady'),
    node: { uid: node?.metadata.uid, labels, annotations, taints: list(node, 'spec', 'taints') },
  };
}

/** Each pod was restarted once, in order and in time, and nothing else of the node is changed. */
export function assertRestores(t: Test, { restores, deleted }: KilledRestores): void {
  for (const { node, experiment, injection, before, after } of restores) {
    const shown = `${node}: ${JSON.stringify(experiment.explanation)}`;
    t.match(experiment, { verdict: 'pass', restore: { state: 'restored' } }, shown);
    t.match(injection?.links.at(-1), { link: 'restore', state: 'reached' });
    const { steps = [], repairDueAt } = injection?.status?.restore ?? {};
    t.strictSame(
      steps.map(({ step, state }) => `${step} ${state}`),
      restoreStepNames.map((step) => `${step} done`),
    );
    t.notOk(
      after.pods.some((uid) => before.pods.includes(uid)),
      'both pods are others',
    );
    const came = steps.flatMap(({ replacement }) => replacement?.uid ?? []).toSorted();
    t.strictSame(came, after.pods, 'each was restarted once');
    t.match(after.condition, { status: 'True' });
    t.strictSame(after.node, before.node, 'nothing of ours is left on the node, and no repair began');
    const isTrueAt = steps.find(({ step }) => step === 'condition')?.at ?? '';
    if (repairDueAt !== undefined)
      t.ok(Date.parse(isTrueAt) < Date.parse(repairDueAt), `True at ${isTrueAt}, due at ${repairDueAt}`);
  }
  t.equal(new Set(deleted).size, 2 * restores.length, `only their pods were deleted: ${deleted.join(', ')}`);
}
