import t from 'tap';
import { findHelm } from '../charts/helm.ts';
import { type Arrow, flowRows, partsOfArrow, podsOf } from '../charts/network/flows.ts';
import { objectsIn, type Rendered, release, template } from '../charts/render.ts';
import { until } from '../cluster/processes.ts';
import { type Attached, attach } from './attached.ts';
import { type FlowWorld, startFlowWorld } from './flow-world.ts';
import { network } from './network.ts';

t.setTimeout(600_000);
const found = attach();
if ('because' in found) t.pass('', { skip: found.because });
else await flows(found);

/** The table of the chart's NetworkPolicies (test/charts/network/flows.ts), as kube-router enforces them between real pods. */
async function flows(attached: Attached): Promise<void> {
  const { kubectl, apply } = attached;
  const helm = findHelm();
  if ('because' in helm) throw new Error(helm.because);
  const rows = flowRows(`${network.gateway}/32`);
  // The cluster has addresses of IPv4 only.
  const possible = (arrow: Arrow) => !partsOfArrow(arrow).to.endsWith('of IPv6');
  const all = [
    ...new Set(
      rows
        .flatMap(({ needed, open = {}, denied }) => [...needed, ...(Object.keys(open) as Arrow[]), ...denied])
        .filter(possible),
    ),
  ];
  const removePolicies = () => kubectl('-n', release.namespace, 'delete', 'networkpolicies', '--all');

  let world: FlowWorld | undefined;
  let ports = '';
  t.teardown(async () => {
    await removePolicies();
    await world?.stop();
  });
  /** Pods with the ports of this row; those of the row before, where they are the same. */
  async function worldOf(objects: readonly Rendered[]): Promise<FlowWorld> {
    const pods = podsOf(objects);
    const wanted = JSON.stringify(pods);
    if (world !== undefined && wanted === ports) return world;
    await world?.stop();
    world = await startFlowWorld(attached, pods, all);
    ports = wanted;
    return world;
  }

  // Those with ports of their own need other pods, and come last.
  const inOrder = rows.toSorted(
    (a, b) => Number('agent.port' in a.values) - Number('agent.port' in b.values),
  );
  for (const { name, values, needed, open = {}, denied } of inOrder) {
    const allowed = [...needed, ...(Object.keys(open) as Arrow[])].filter(possible);
    const arrows = [...allowed, ...denied.filter(possible)];
    t.test(name, async (t) => {
      const { code, stdout, stderr } = await template(helm, values);
      t.equal(code, 0, stderr);
      const objects = objectsIn(stdout);
      const policies = objects.filter(({ kind }) => kind === 'NetworkPolicy');
      const between = await worldOf(objects);
      /** Until all are as they should be, twice: each node follows in its own time. */
      const settled = async (wanted: readonly Arrow[], of: readonly Arrow[]) => {
        let rightly = 0;
        let last: readonly Arrow[] = [];
        const isWanted = (arrow: Arrow) => wanted.includes(arrow);
        await until(
          'the policies are enforced',
          async () => {
            last = await between.try(of);
            const isRight = last.every(isWanted) && wanted.every((arrow) => last.includes(arrow));
            rightly = isRight ? rightly + 1 : 0;
            return rightly === 2;
          },
          60,
        ).catch(() => undefined);
        return last;
      };
      // Refused is only what would come about otherwise.
      await removePolicies();
      t.strictSame(await settled(arrows, arrows), arrows, 'without policies all of it comes about');
      if (policies.length > 0) await apply(...policies);
      t.strictSame(
        await settled(allowed, arrows),
        allowed,
        `${allowed.length} of ${arrows.length} come about`,
      );
    });
  }
}
