import { randomUUID } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import { Refusal } from '../../shared/errors.ts';
import { faults } from '../catalogue/catalogue.ts';
import { eventNamespace } from '../catalogue/nma/conditions.ts';
import type { Cluster } from '../cluster/port.ts';
import { nodesOf, standingOf as nodesStandingOf, notReadOf, reportOn } from '../doctor/doctor.ts';
import { examineNode } from '../doctor/examine.ts';
import { standingOf } from '../drill/restoring.ts';
import { previewDrill } from '../drilling/preview.ts';
import { abort, followProgress, readProgress, restore } from '../drilling/progress.ts';
import { specFrom } from '../drilling/request.ts';
import type { BarredBy } from '../page/actions.ts';
import type { NodeView, PageSource } from '../page/port.ts';
import { previewNode } from '../preview/preview.ts';
import { coverageOf } from '../report/coverage.ts';
import { createKillSwitch, killSwitchName } from '../store/kill-switch.ts';
import { createStore } from '../store/store.ts';
import { createPodDirectory } from '../view/agent-directory.ts';
import { createCollector } from '../view/collect.ts';
import { nodeEventFrom } from '../view/node.ts';
import { takeSnapshot } from '../view/snapshot.ts';

/** What a page shows by somebody's own rights on the API server; no agent and no coordinator is asked. */
type Asking = { readonly cluster: Cluster; readonly namespace: string; readonly clock: Clock };

/** The page's source over a kubeconfig. */
export function createKubeconfigSource(asking: Asking): PageSource {
  const { cluster, namespace, clock } = asking;
  const store = createStore(cluster, namespace);
  const killSwitch = createKillSwitch(asking);
  return {
    async fleet(all) {
      const snapshot = await takeSnapshot(asking);
      const { known } = snapshot;
      const every = known.all('nodes').map(({ metadata }) => metadata.name);
      const names = all ? every.toSorted() : await nodesOf(snapshot, {});
      const nodes = (await nodesStandingOf(snapshot, names, clock)).map(examineNode);
      return reportOn({ known, nodes, clock, notRead: notReadOf(snapshot) });
    },
    node: (name) => viewNode(asking, name),
    drills: () => store.listExperiments(),
    async drill(name) {
      const progress = await readProgress(cluster, namespace, name);
      return { ...progress, ...standingOf(progress.experiment) };
    },
    async coverage() {
      const injections = await store.listInjections();
      const { known } = await takeSnapshot(asking);
      const nodes = known.unread('nodes') === undefined ? known.all('nodes') : undefined;
      return coverageOf({ rows: faults, nodes, injections });
    },
    killSwitch: () => killSwitch.read(),
    async plan(form) {
      const spec = specFrom(form);
      const { chosen, skipped } = await previewDrill({ ...asking, spec });
      return { spec, nodes: chosen, targets: [], skipped };
    },
    async start(form) {
      const name = `drill-${randomUUID().slice(0, 8)}`;
      await store.createExperiment(name, specFrom(form), {});
      return name;
    },
    abort: (name) => abort(cluster, namespace, name),
    restore: (name) => restore(cluster, namespace, name),
    setKillSwitch: (call) => killSwitch.set(call),
  };
}

/**
 * By the rights of the kubeconfig (SelfSubjectAccessReview). The kill switch is a ConfigMap there: who may not make one can still
 * change one that exists, so that only the right to patch is asked for.
 */
export function barredByCluster({ cluster }: Pick<Asking, 'cluster'>): BarredBy {
  return async (_request, { verb, resource, namespace = '' }) => {
    const right =
      resource === 'killswitch'
        ? { verb: 'patch', group: '', resource: 'configmaps', namespace, name: killSwitchName }
        : { verb, group: 'xidrill.dev', resource, namespace };
    try {
      if (await cluster.may(right)) return undefined;
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      return undefined;
    }
    const of = 'name' in right ? `${right.resource}/${right.name}` : `${resource}.${right.group}`;
    return {
      because: `your kubeconfig may not ${right.verb} ${right.resource} in the namespace ${namespace}.`,
      command: `kubectl auth can-i ${right.verb} ${of} -n ${namespace}`,
    };
  };
}

/** Each change of an experiment until its end; what may pass is tried again for a minute. */
export async function* changesOf(asking: Asking, name: string, signal: AbortSignal): AsyncGenerator<string> {
  let last: string | undefined;
  for await (const progress of followProgress({ ...asking, name, signal, onTrouble: () => undefined })) {
    const now = JSON.stringify(progress);
    if (now !== last) yield name;
    last = now;
  }
}

async function viewNode(asking: Asking, name: string): Promise<NodeView> {
  const { known, cluster } = await takeSnapshot(asking);
  const collector = createCollector({
    cluster,
    view: known,
    agents: {
      find: createPodDirectory(known),
      inventory: () =>
        Promise.reject(
          new Refusal('agent_unknown', 'xidrill page asks no agent; the coordinator’s page does'),
        ),
    },
    clock: asking.clock,
  });
  const facts = await collector.facts(name);
  return {
    facts,
    finding: examineNode(facts),
    checks: previewNode(facts).checks,
    events: await eventsOf(asking.cluster, name),
  };
}

async function eventsOf(cluster: Cluster, name: string): Promise<NodeView['events']> {
  try {
    const { items } = await cluster.list('events', {
      namespace: eventNamespace,
      fieldSelector: `involvedObject.kind=Node,involvedObject.name=${name}`,
    });
    return items.map(nodeEventFrom);
  } catch (thrown) {
    if (!(thrown instanceof Refusal) || thrown.reason !== 'cluster_refused') throw thrown;
    return { unread: `events cannot be read: ${thrown.message}` };
  }
}
