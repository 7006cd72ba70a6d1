import type { Cluster } from '../cluster/port.ts';
import { createStore, experimentFrom, injectionFrom, type Store } from '../store/store.ts';
import type { View } from './view.ts';

/**
 * The store with its lists taken from the view, which gets each object that the store writes at once. Where the view is not up
 * to date, the API server is asked as before. Single objects are always read from the API server: they are read after a
 * conflict, to find out what somebody else wrote.
 */
export function createKnownStore(deps: {
  readonly cluster: Cluster;
  /** Of our custom resources. */
  readonly namespace: string;
  readonly view: View;
  /** Resolves when the view may be read; rejects after a while where it does not get there. */
  readonly ready: () => Promise<void>;
}): Store {
  const { cluster, namespace, view } = deps;
  const store = createStore(cluster, namespace, view.learn);
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
  };
}

/** As the API server orders a list. */
function byName(left: { metadata: { name: string } }, right: { metadata: { name: string } }): number {
  return left.metadata.name < right.metadata.name ? -1 : 1;
}
