import type { Cluster, WatchQuery } from '../../coordinator/cluster/port.ts';

/** A cluster that counts what is asked of it, as `verb resource`. */
export function counting(cluster: Cluster): {
  readonly cluster: Cluster;
  readonly counts: Map<string, number>;
} {
  const counts = new Map<string, number>();
  const count = (call: string) => counts.set(call, (counts.get(call) ?? 0) + 1);
  return {
    counts,
    cluster: {
      list: (resource, query) => {
        count(`list ${resource}`);
        return cluster.list(resource, query);
      },
      watch: (resource, query: WatchQuery) => {
        count(`watch ${resource}`);
        return cluster.watch(resource, query);
      },
      read: (resource, key) => {
        count(`get ${resource}`);
        return cluster.read(resource, key);
      },
      create: (resource, object) => {
        count(`create ${resource}`);
        return cluster.create(resource, object);
      },
      replace: (resource, object, subresource) => {
        count(`update ${resource}`);
        return cluster.replace(resource, object, subresource);
      },
      patch: (resource, key, patch, subresource) => {
        count(`patch ${resource}`);
        return cluster.patch(resource, key, patch, subresource);
      },
      apply: (resource, object) => {
        count(`patch ${resource}`);
        return cluster.apply(resource, object);
      },
      remove: (resource, key) => {
        count(`delete ${resource}`);
        return cluster.remove(resource, key);
      },
      podLog: (key, options) => {
        count('get pods/log');
        return cluster.podLog(key, options);
      },
      may: (right) => {
        count('create selfsubjectaccessreviews');
        return cluster.may(right);
      },
    },
  };
}
