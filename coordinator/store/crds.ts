import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { Cluster, KubeObject } from '../cluster/port.ts';
import { ExperimentSpec, ExperimentStatus, InjectionSpec, InjectionStatus } from './experiment.ts';
import { structuralFrom } from './structural-schema.ts';

const group = 'xidrill.dev';
const version = 'v1alpha1';

type Column = {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly priority?: number;
  readonly description?: string;
};

const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };
const outcome: readonly Column[] = [
  { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
  { name: 'Verdict', type: 'string', jsonPath: '.status.verdict' },
  { name: 'Injected', type: 'string', jsonPath: '.status.injected' },
  { name: 'Cause', type: 'string', jsonPath: '.status.explanation.code' },
  {
    name: 'Latency',
    type: 'number',
    jsonPath: '.status.latency.seconds',
    description: 'seconds to the expected reaction',
  },
];

const rows = [
  {
    kind: 'Experiment',
    plural: 'experiments',
    shortName: 'xd',
    spec: ExperimentSpec,
    status: ExperimentStatus,
    columns: [
      { name: 'Fault', type: 'string', jsonPath: '.spec.fault.name' },
      ...outcome,
      { name: 'Targets', type: 'integer', jsonPath: '.status.counts.total', priority: 1 },
      { name: 'Why', type: 'string', jsonPath: '.status.explanation.summary', priority: 1 },
      age,
    ],
  },
  {
    kind: 'Injection',
    plural: 'injections',
    shortName: 'xdi',
    spec: InjectionSpec,
    status: InjectionStatus,
    columns: [
      { name: 'Experiment', type: 'string', jsonPath: '.spec.experiment' },
      { name: 'Node', type: 'string', jsonPath: '.spec.node' },
      { name: 'Fault', type: 'string', jsonPath: '.spec.fault' },
      ...outcome,
      { name: 'Expected', type: 'string', jsonPath: '.spec.expectation.reason', priority: 1 },
      { name: 'Why', type: 'string', jsonPath: '.status.explanation.summary', priority: 1 },
      age,
    ],
  },
];

/** Our custom resource definitions, made from the schemas that everything else is validated with. */
export function customResourceDefinitions(): readonly KubeObject[] {
  return rows.map(({ kind, plural, shortName, spec, status, columns }) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/name': 'xidrill' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List`, shortNames: [shortName] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: columns,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              required: ['spec'],
              properties: { spec: structuralFrom(spec), status: structuralFrom(status) },
            },
          },
        },
      ],
    },
  }));
}

/** A coordinator without its namespace would look healthy and find nothing, for ever. */
async function assertNamespaceExists(cluster: Cluster, namespace: string): Promise<void> {
  try {
    if ((await cluster.read('namespaces', { name: namespace })) !== undefined) return;
  } catch (thrown) {
    // Reading namespaces is a right of its own; without it the first write will tell.
    if (thrown instanceof Refusal && thrown.reason === 'cluster_refused') return;
    throw thrown;
  }
  throw new Refusal('object_missing', `there is no namespace "${namespace}"`, {
    field: '--namespace',
    value: namespace,
    remedy: `kubectl create namespace ${namespace}`,
  });
}

/** Throws `crds_missing` with what to do, or returns. */
async function assertCrdsInstalled(cluster: Cluster): Promise<void> {
  const found = await Promise.all(
    rows.map(async ({ plural }) => ({
      name: `${plural}.${group}`,
      object: await cluster.read('customresourcedefinitions', { name: `${plural}.${group}` }),
    })),
  );
  const missing = found.filter(({ object }) => object === undefined).map(({ name }) => name);
  if (missing.length === 0) return;
  throw new Refusal('crds_missing', `not installed: ${missing.join(', ')}`, {
    remedy: 'npm run -s crds | kubectl apply -f -',
    missing,
  });
}

/** Between two attempts while the API server does not answer. */
const againMs = 1_000;

/**
 * Both of the above, asked again while the API server does not answer: a coordinator that is started in that time goes on when it is back,
 * and would otherwise wait for its kubelet, minutes in the end. Throws what does not pass, and what the signal was aborted with.
 */
export async function assertInstalled(
  of: { readonly cluster: Cluster; readonly namespace: string; readonly clock: Clock; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  let trouble: string | undefined;
  for (;;) {
    try {
      await assertCrdsInstalled(of.cluster);
      return await assertNamespaceExists(of.cluster, of.namespace);
    } catch (thrown) {
      if (!(thrown instanceof Refusal) || thrown.reason !== 'cluster_unreachable') throw thrown;
      if (thrown.message !== trouble)
        of.log.warn({ because: thrown.message }, 'the API server does not answer; trying again');
      trouble = thrown.message;
      await of.clock.sleep(againMs, signal);
    }
  }
}
