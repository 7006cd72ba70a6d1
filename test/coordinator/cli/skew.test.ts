import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createClusterClient } from '../../../coordinator/cluster/client.ts';
import { startApiServer } from '../../../coordinator/rehearsal/apiserver/server.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { node } from '../../contract/cluster-objects.ts';
import { xidrill } from '../../stories/command.ts';
import { kubeconfigOf } from '../doctor/rig.ts';

const namespace = 'xidrill';
const at = '2026-03-04T05:06:07.000Z';

/** Takes whatever another version stores. */
function definition(kind: string, plural: string): object {
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.xidrill.dev` },
    spec: {
      group: 'xidrill.dev',
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase() },
      versions: [
        {
          name: 'v1alpha1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
        },
      ],
    },
  };
}

type World = {
  readonly experiment?: readonly [spec: object, status: object];
  readonly injection?: readonly [spec: object, status: object];
};

const explanation = {
  code: 'arm64-gate',
  summary: 'it was so',
  evidence: [],
  remedy: '',
  refuted: [],
  alsoFound: [],
};
const target = { experiment: 'drill', node: 'n1', fault: 'xid' };
const worlds = {
  'nothing installed': {},
  // All that may be absent is.
  'an older coordinator': {
    experiment: [{ fault: { name: 'xid' } }, { phase: 'Completed', verdict: 'fail' }],
    injection: [target, { phase: 'Completed', verdict: 'fail', explanation }],
  },
  // Members, faults, links, states and verdicts that this version does not know.
  'a newer coordinator': {
    experiment: [
      {
        fault: { name: 'from-the-future', parameters: { new: [{}] } },
        target: { shape: 'ring' },
        priority: 7,
      },
      {
        phase: 'Completed',
        verdict: 'deferred',
        selected: ['n1'],
        mood: {},
        causes: [{ node: 'n1', verdict: 'deferred', code: 'new-cause', summary: 'x', weight: 1 }],
        explanation: { ...explanation, code: 'new-cause', severity: 'mild' },
      },
    ],
    injection: [
      {
        ...target,
        fault: 'from-the-future',
        chain: [{ id: 'firmware', link: 'firmware', role: 'watcher', expected: 'flashed', colour: 'blue' }],
      },
      {
        phase: 'Completed',
        verdict: 'deferred',
        explanation: { ...explanation, code: 'new-cause' },
        links: [
          {
            id: 'firmware',
            link: 'firmware',
            state: 'deferred',
            expected: 'flashed',
            since: at,
            evidence: [],
            hue: 1,
          },
        ],
        timeline: [{ at, clock: 'satellite', kind: 'omen', source: 's', text: 't' }],
      },
    ],
  },
} as const satisfies Readonly<Record<string, World>>;

/** Each command with its exit code in each world, in their order. */
const rows: readonly (readonly [words: string, codes: readonly [number, number, number]])[] = [
  ['list', [4, 0, 0]],
  ['list -o wide', [4, 0, 0]],
  ['list -o json', [4, 0, 0]],
  ['show drill', [4, 1, 4]],
  ['show drill -o json', [4, 1, 4]],
  ['show drill -o junit', [4, 1, 4]],
  ['show drill -o html', [4, 1, 4]],
  ['report drill', [4, 0, 0]],
  ['report drill -o json', [4, 0, 0]],
  ['watch drill', [4, 1, 4]],
  ['abort drill', [4, 0, 0]],
  ['restore drill', [4, 0, 0]],
  ['coverage -o wide', [4, 0, 0]],
  ['nodes', [0, 0, 0]],
  ['killswitch', [0, 0, 0]],
  ['killswitch engage', [0, 0, 0]],
  ['version', [0, 0, 0]],
  ['doctor', [3, 3, 3]],
  ['drill task-blocked --node n1 --dry-run', [0, 0, 0]],
  ['drill task-blocked --node n1', [4, 0, 0]],
  ['run SUITE --run a --timeout 1s', [4, 4, 4]],
];

async function world(t: Test, { experiment, injection }: World): Promise<string> {
  const log = createSilentLog();
  const server = await startApiServer({ clock: createRealClock(), log });
  t.teardown(() => server.close());
  const kubeconfig = { url: server.url };
  const cluster = createClusterClient({ kubeconfig, userAgent: 'test', fieldManager: 'test', log });
  await cluster.create('namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await cluster.create('nodes', node('n1', { 'xidrill.dev/drill': 'allowed' }));
  const stored = [
    ['experiments', 'Experiment', 'drill', experiment],
    ['injections', 'Injection', 'drill-n1', injection],
  ] as const;
  for (const [plural, kind, name, parts] of stored) {
    if (parts === undefined) continue;
    await cluster.create('customresourcedefinitions', definition(kind, plural) as never);
    const metadata = { name, namespace, labels: { 'xidrill.dev/experiment': 'drill' } };
    const [spec, status] = parts;
    const made = await cluster.create(plural, { apiVersion: 'xidrill.dev/v1alpha1', kind, metadata, spec });
    await cluster.replace(plural, { ...made, status }, 'status');
  }
  const folder = mkdtempSync(join(tmpdir(), 'xidrill-skew-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'kubeconfig'), kubeconfigOf(server.url));
  writeFileSync(
    join(folder, 'suite.yaml'),
    'name: s\ndrills:\n- {name: d, fault: {name: task-blocked}, target: {selector: {names: [n1]}}}\n',
  );
  return folder;
}

for (const [index, [name, stored]] of Object.entries(worlds).entries())
  t.test(`every command with ${name}`, async (t) => {
    const folder = await world(t, stored);
    for (const [words, codes] of rows) {
      const argv = words.replace('SUITE', join(folder, 'suite.yaml')).split(' ');
      const { code, out, err } = await xidrill([...argv, '--kubeconfig', join(folder, 'kubeconfig')]);
      t.equal(code, codes[index], `${words}: ${err}`);
      t.notMatch(out + err, /undefined|NaN|\[object|TypeError/, words);
      if (index === 0 && codes[index] === 4) t.match(err, /Xidrill is not installed in this cluster/, words);
    }
  });
