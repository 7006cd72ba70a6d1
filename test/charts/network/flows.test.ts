import t from 'tap';
import { findHelm } from '../helm.ts';
import { objectsIn, type Rendered, template } from '../render.ts';
import { type Arrow, flowRows, partsOfArrow, podsOf } from './flows.ts';
import { type Endpoint, type Flow, judge, type Policy, partsOf } from './policy-model.ts';

/** Where each pod of the table is, and the node below it; those that are not named are on a node of their own. */
const places: Readonly<Record<string, readonly [address: string, node: string]>> = {
  agent: ['10.0.1.20', '10.0.1.10'],
  'other agent': ['10.0.3.20', '10.0.3.10'],
  coordinator: ['10.0.2.20', '10.0.2.10'],
};

/** Everything of the table by its name. */
function worldOf(objects: readonly Rendered[]): ReadonlyMap<string, Endpoint> {
  const pods = Object.entries(podsOf(objects)).map(([name, { namespace, ...pod }], index): Endpoint => {
    const [address, nodeAddress] = places[name] ?? [`10.0.9.${20 + index}`, '10.0.9.10'];
    const namespaceLabels = { 'kubernetes.io/metadata.name': namespace };
    return { name, address, pod: { ...pod, namespace, namespaceLabels, nodeAddress } };
  });
  const others = [
    { name: 'node of agent', address: '10.0.1.10' },
    { name: 'node of coordinator', address: '10.0.2.10' },
    { name: 'API server', address: '10.0.0.5' },
    { name: 'API server of IPv6', address: 'fd00:10::5' },
    { name: 'metadata', address: '169.254.169.254' },
    { name: 'internet', address: '203.0.113.7' },
  ];
  return new Map([...pods, ...others].map((endpoint) => [endpoint.name, endpoint]));
}

function flowOf(arrow: Arrow, world: ReadonlyMap<string, Endpoint>): Flow {
  const { from: left, to: right, ...rest } = partsOfArrow(arrow);
  const [from, to] = [world.get(left), world.get(right)];
  if (from === undefined || to === undefined) throw new Error(`${arrow}: the world has no such thing`);
  return { from, to, ...rest };
}

const helm = findHelm();
if ('because' in helm) t.pass('', { skip: helm.because });
else
  for (const row of flowRows('10.0.0.0/24'))
    t.test(row.name, async (t) => {
      const { code, stdout, stderr } = await template(helm, row.values);
      t.equal(code, 0, stderr);
      const objects = objectsIn(stdout);
      const policies = objects.filter(
        ({ kind }) => kind === 'NetworkPolicy',
      ) as readonly unknown[] as Policy[];
      const world = worldOf(objects);
      const ask = (arrow: Arrow) => judge(policies, flowOf(arrow, world));

      for (const arrow of row.needed) t.ok(ask(arrow).isAllowed, `needed: ${arrow}`);
      for (const [arrow, because] of Object.entries(row.open ?? {}))
        t.ok(ask(arrow as Arrow).isAllowed, `open: ${arrow}, ${because}`);
      for (const arrow of row.denied) t.notOk(ask(arrow).isAllowed, `denied: ${arrow}`);

      // Needed is a part without which a flow of the product would fail.
      const used = new Set(
        row.needed
          .map(ask)
          .flatMap(({ Egress, Ingress }) =>
            [Egress, Ingress].filter((through) => through.length === 1).flat(),
          ),
      );
      const unneeded = policies.flatMap(partsOf).filter(({ name }) => !used.has(name));
      t.strictSame(
        unneeded.map(({ name }) => name),
        [],
        'no rule allows what nothing needs',
      );
    });
