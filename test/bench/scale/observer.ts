import { eventNamespace } from '../../../coordinator/catalogue/nma/conditions.ts';
import type { Cluster, KubeObject } from '../../../coordinator/cluster/port.ts';
import { createReflector, type Reflector } from '../../../coordinator/cluster/reflector.ts';
import { conditionsOf, nodeEventFrom } from '../../../coordinator/view/node.ts';
import { createRealClock } from '../../../shared/clock.ts';
import { createSilentLog } from '../../../shared/log.ts';
import { namespace } from './objects.ts';

/** What one drill looked like from outside: milliseconds of `performance.now()`, by node. */
export type Observed = {
  /** When the API server sent the reaction, to this process. */
  readonly reactedAt: ReadonlyMap<string, number>;
  /** When it sent the Injection with a verdict in it. */
  readonly storedAt: ReadonlyMap<string, number>;
  /** When it sent the Experiment with the selected nodes in it. */
  readonly selectedAt: number | undefined;
};

export type Observer = {
  /** Begins anew for the experiment of this name. */
  begin(experiment: string): void;
  observed(): Observed;
  stop(): Promise<void>;
};

/** Watches the same objects as the coordinator, from this process, to compare when each of the two has seen what. */
export async function startObserver(cluster: Cluster): Promise<Observer> {
  const base = { cluster, clock: createRealClock(), random: Math.random, log: createSilentLog() };
  let experiment = '';
  let reactedAt = new Map<string, number>();
  let storedAt = new Map<string, number>();
  let selectedAt: number | undefined;
  const once = (map: Map<string, number>, node: string) => {
    if (!map.has(node)) map.set(node, performance.now());
  };
  const reflectors: readonly Reflector[] = [
    createReflector({
      ...base,
      resource: 'nodes',
      onChange: ({ type, object, previous }) => {
        if (type === 'modified' && previous !== undefined && hasNewFault(previous, object))
          once(reactedAt, object.metadata.name);
      },
    }),
    createReflector({
      ...base,
      resource: 'events',
      query: { namespace: eventNamespace, fieldSelector: 'involvedObject.kind=Node' },
      onChange: ({ type, object }) => {
        if (type !== 'deleted') once(reactedAt, nodeEventFrom(object).node);
      },
    }),
    createReflector({
      ...base,
      resource: 'injections',
      query: { namespace },
      onChange: ({ object }) => {
        const { spec, status } = object as unknown as InjectionParts;
        if (spec.experiment === experiment && status?.verdict != null) once(storedAt, spec.node);
      },
    }),
    createReflector({
      ...base,
      resource: 'experiments',
      query: { namespace },
      onChange: ({ object }) => {
        const { status } = object as { status?: { selected?: readonly string[] } };
        if (object.metadata.name === experiment && status?.selected !== undefined)
          selectedAt ??= performance.now();
      },
    }),
  ];
  for (const reflector of reflectors) reflector.start();
  await Promise.all(reflectors.map(({ ready }) => ready));
  return {
    begin(name) {
      experiment = name;
      reactedAt = new Map();
      storedAt = new Map();
      selectedAt = undefined;
    },
    observed: () => ({ reactedAt, storedAt, selectedAt }),
    stop: async () => {
      await Promise.all(reflectors.map((reflector) => reflector.stop()));
    },
  };
}

type InjectionParts = {
  readonly spec: { readonly experiment: string; readonly node: string };
  readonly status?: { readonly verdict?: string | null };
};

function hasNewFault(before: KubeObject, after: KubeObject): boolean {
  const falseOnes = (node: KubeObject) =>
    conditionsOf(node).flatMap(({ type, status, message }) => (status === 'False' ? [type + message] : []));
  const known = new Set(falseOnes(before));
  return falseOnes(after).some((fault) => !known.has(fault));
}
