import { createHash } from 'node:crypto';
import { Refusal } from '../../shared/errors.ts';
import type { Cluster, KubeObject, ObjectMeta } from '../cluster/port.ts';
import type { ExperimentSpec, ExperimentStatus, InjectionSpec, InjectionStatus } from './experiment.ts';
import { type Injected, injectedByAny, injectedByOrder } from './injected.ts';

/** The custom resource, typed; status is undefined until the runner has taken it up. */
export type Experiment = {
  readonly metadata: ObjectMeta;
  readonly spec: ExperimentSpec;
  readonly status: ExperimentStatus | undefined;
};

/** The custom resource of one target, typed. */
export type Injection = {
  readonly metadata: ObjectMeta;
  readonly spec: InjectionSpec;
  readonly status: InjectionStatus | undefined;
};

/** On each injection: the name of its experiment. */
export const experimentLabel = 'xidrill.dev/experiment';

/**
 * Our custom resources as typed objects. Status writes carry the version they rest on, so that two writers never mix; they
 * are whole, because a merge patch would take the nulls of a receipt for deletions.
 */
export type Store = {
  readonly namespace: string;
  readExperiment(name: string): Promise<Experiment | undefined>;
  /** Refuses with `experiment_unknown` where there is none. */
  requireExperiment(name: string): Promise<Experiment>;
  listExperiments(): Promise<readonly Experiment[]>;
  createExperiment(
    name: string,
    spec: ExperimentSpec,
    annotations: Readonly<Record<string, string>>,
  ): Promise<Experiment>;
  abortExperiment(name: string): Promise<Experiment>;
  /** Sets spec.restoreRequest: its nodes are restored, at its end or now. */
  requestRestore(name: string, request: number): Promise<Experiment>;
  /**
   * Its injections go with it, as Kubernetes' garbage collector gets to them; nothing happens where there is none. With `uid` only
   * that object: `object_conflict` where another one has its name by now.
   */
  deleteExperiment(name: string, uid?: string): Promise<void>;
  writeExperimentStatus(experiment: Experiment, status: ExperimentStatus): Promise<Experiment>;
  listInjections(experiment?: string): Promise<readonly Injection[]>;
  readInjection(name: string): Promise<Injection | undefined>;
  /** Where it exists already, that one is returned: names follow from experiment and node. */
  createInjection(experiment: Experiment, spec: InjectionSpec): Promise<Injection>;
  writeInjectionStatus(injection: Injection, status: InjectionStatus): Promise<Injection>;
};

/**
 * Our custom resources in one namespace, over the cluster. Errors are those of the cluster port. `onWritten` gets each object as
 * the API server answered a write with it, before the caller does.
 */
export function createStore(
  cluster: Cluster,
  namespace: string,
  onWritten: (kind: 'experiments' | 'injections', object: KubeObject) => void = () => undefined,
): Store {
  const key = (name: string) => ({ name, namespace });
  const asWritten = (kind: 'experiments' | 'injections', object: KubeObject): KubeObject => {
    onWritten(kind, object);
    return object;
  };

  async function requireExperiment(name: string): Promise<Experiment> {
    const found = await cluster.read('experiments', key(name));
    if (found !== undefined) return experimentFrom(found);
    throw new Refusal('experiment_unknown', `no experiment "${name}" in namespace ${namespace}`, {
      field: 'name',
      value: name,
    });
  }

  return {
    namespace,
    requireExperiment,
    async readExperiment(name) {
      const found = await cluster.read('experiments', key(name));
      return found === undefined ? undefined : experimentFrom(found);
    },
    async listExperiments() {
      return (await cluster.list('experiments', { namespace })).items.map(experimentFrom);
    },
    async createExperiment(name, spec, annotations) {
      const object = {
        ...typeOf('Experiment'),
        metadata: { name, namespace, annotations },
        spec,
      };
      return experimentFrom(asWritten('experiments', await cluster.create('experiments', object)));
    },
    async abortExperiment(name) {
      await requireExperiment(name);
      const aborted = await cluster.patch('experiments', key(name), { spec: { abort: true } });
      return experimentFrom(asWritten('experiments', aborted));
    },
    async requestRestore(name, request) {
      const requested = await cluster.patch('experiments', key(name), { spec: { restoreRequest: request } });
      return experimentFrom(asWritten('experiments', requested));
    },
    async deleteExperiment(name, uid) {
      await cluster.remove('experiments', key(name), uid);
    },
    async writeExperimentStatus({ metadata, spec }, status) {
      const object = { ...typeOf('Experiment'), metadata, spec, status };
      return experimentFrom(asWritten('experiments', await cluster.replace('experiments', object, 'status')));
    },
    async listInjections(experiment) {
      const query = experiment === undefined ? {} : { labelSelector: `${experimentLabel}=${experiment}` };
      return (await cluster.list('injections', { namespace, ...query })).items.map(injectionFrom);
    },
    async readInjection(name) {
      const found = await cluster.read('injections', key(name));
      return found === undefined ? undefined : injectionFrom(found);
    },
    async createInjection(experiment, spec) {
      const name = injectionName(experiment.metadata.name, spec.node);
      const object = {
        ...typeOf('Injection'),
        metadata: {
          name,
          namespace,
          labels: { [experimentLabel]: experiment.metadata.name },
          ownerReferences: [
            {
              ...typeOf('Experiment'),
              name: experiment.metadata.name,
              uid: experiment.metadata.uid ?? '',
              controller: true,
            },
          ],
        },
        spec,
      };
      try {
        return injectionFrom(asWritten('injections', await cluster.create('injections', object)));
      } catch (thrown) {
        if (!(thrown instanceof Refusal) || thrown.reason !== 'object_exists') throw thrown;
        const existing = await cluster.read('injections', key(name));
        if (existing === undefined) throw thrown;
        return injectionFrom(asWritten('injections', existing));
      }
    },
    async writeInjectionStatus({ metadata, spec }, status) {
      const answered = { ...status, injected: injectedOf(status) };
      const object = { ...typeOf('Injection'), metadata, spec, status: answered };
      return injectionFrom(asWritten('injections', await cluster.replace('injections', object, 'status')));
    },
  };
}

/** Of every order that was sent or is about to be: what its answer says. */
function injectedOf({ links = [] }: InjectionStatus): Injected {
  return injectedByAny(links.filter(({ baseline }) => baseline !== undefined).map(injectedByOrder));
}

function typeOf(kind: 'Experiment' | 'Injection') {
  return { apiVersion: 'xidrill.dev/v1alpha1', kind };
}

/** A node's name can be longer than an object's may get; the hash keeps it unique and the same. */
export function injectionName(experiment: string, node: string): string {
  return `${experiment}-${shortHash(node, 10)}`;
}

/** The experiment's uid is in it: the same name used again later is another order. */
export function orderIdOf(experimentUid: string, node: string): string {
  return `${experimentUid}.${shortHash(node, 10)}`;
}

/** Six characters of [0-9a-z] that tell this order's record from all others. */
export function markerOf(orderId: string): string {
  const number = createHash('sha256').update(`marker\0${orderId}`).digest().readUInt32BE(0);
  return number.toString(36).padStart(6, '0').slice(-6);
}

/** A seed that a caller did not give follows from the name, or from what else the request says: running the same experiment again picks the same nodes. */
export function seedFromName(name: string): number {
  return createHash('sha256').update(name).digest().readUInt32BE(0);
}

/** The first hex digits of the text's SHA-256. */
export function shortHash(text: string, length: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, length);
}

/** The object as an Experiment; the API server has checked it against the definition. */
export function experimentFrom(object: KubeObject): Experiment {
  return {
    metadata: object.metadata,
    spec: object.spec as ExperimentSpec,
    status: (object.status ?? undefined) as ExperimentStatus | undefined,
  };
}

/**
 * The object as an Injection; the API server has checked it against the definition. One that was stored under another definition may
 * lack its chain: nothing is carried out of it, and whatever looks at all of them, such as the kill switch, goes on.
 */
export function injectionFrom(object: KubeObject): Injection {
  const spec = (object.spec ?? {}) as InjectionSpec;
  return {
    metadata: object.metadata,
    spec: Array.isArray(spec.chain) ? spec : { ...spec, chain: [] },
    status: (object.status ?? undefined) as InjectionStatus | undefined,
  };
}
