import { experimentFrom, injectionFrom, type Store } from '../store/store.ts';
import type { View } from './view.ts';

/**
 * The store with its lists taken from the view, and its own writes told to the view at once. Where the view is not up
 * to date, the API server is asked as before. Single objects are always read from the API server: they are read after a
 * conflict, to find out what somebody else wrote.
 */
export function createKnownStore(deps: {
  readonly store: Store;
  readonly view: View;
  /** Resolves when the view may be read; rejects after a while where it does not get there. */
  readonly ready: () => Promise<void>;
}): Store {
  const { store, view } = deps;
  const asObject = (kind: 'Experiment' | 'Injection') => ({ apiVersion: 'xidrill.dev/v1alpha1', kind });

  const knowExperiment = <T extends Parameters<Store['writeExperimentStatus']>[0]>(experiment: T): T => {
    view.learn('experiments', { ...asObject('Experiment'), ...experiment });
    return experiment;
  };
  const knowInjection = <T extends Parameters<Store['writeInjectionStatus']>[0]>(injection: T): T => {
    view.learn('injections', { ...asObject('Injection'), ...injection });
    return injection;
  };

  return {
    ...store,
    async listExperiments() {
      await deps.ready();
      if (!view.isCurrent('experiments')) return store.listExperiments();
      return view.all('experiments').map(experimentFrom).toSorted(byName);
    },
    async listInjections(experiment) {
      await deps.ready();
      if (!view.isCurrent('injections')) return store.listInjections(experiment);
      const found = experiment === undefined ? view.all('injections') : view.injectionsOf(experiment);
      return found.map(injectionFrom).toSorted(byName);
    },
    createExperiment: async (...given) => knowExperiment(await store.createExperiment(...given)),
    abortExperiment: async (name) => knowExperiment(await store.abortExperiment(name)),
    writeExperimentStatus: async (...given) => knowExperiment(await store.writeExperimentStatus(...given)),
    createInjection: async (...given) => knowInjection(await store.createInjection(...given)),
    writeInjectionStatus: async (...given) => knowInjection(await store.writeInjectionStatus(...given)),
  };
}

/** As the API server orders a list. */
function byName(left: { metadata: { name: string } }, right: { metadata: { name: string } }): number {
  return left.metadata.name < right.metadata.name ? -1 : 1;
}
