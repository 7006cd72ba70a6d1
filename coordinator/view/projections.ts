import type { JsonObject, KubeObject, ObjectMeta } from '../cluster/port.ts';
import { field, list, text, textMap } from './node.ts';
import { quantities } from './quantities.ts';

/**
 * What the view keeps of each kind, in the object's own shape so that the same readers work on whole objects. A Node of
 * EKS is about 21 KB, most of it `status.images` and managedFields; about 2 KB of it is ever looked at.
 */

/** Node annotations that say what a controller does with the node; kubelets and CNIs write many others. */
const controllerPrefixes = ['karpenter.', 'eks.amazonaws.com/', 'sagemaker.amazonaws.com/', 'xidrill.dev/'];

/** Conditions, taints, labels, GPU resources and identity of a Node. */
export function projectNode(node: KubeObject): KubeObject {
  const annotations = textMap(node.metadata, 'annotations');
  return {
    ...identityOf(node),
    metadata: {
      ...metadataOf(node),
      ...present({
        ownerReferences: node.metadata.ownerReferences,
        finalizers: node.metadata.finalizers,
        annotations: pick(annotations, (key) => controllerPrefixes.some((prefix) => key.startsWith(prefix))),
      }),
    },
    spec: present({
      unschedulable: field(node, 'spec', 'unschedulable'),
      providerID: field(node, 'spec', 'providerID'),
      taints: field(node, 'spec', 'taints'),
    }),
    status: {
      conditions: list(node, 'status', 'conditions'),
      capacity: gpuResources(node, 'capacity'),
      allocatable: gpuResources(node, 'allocatable'),
      nodeInfo: present({
        architecture: field(node, 'status', 'nodeInfo', 'architecture'),
        bootID: field(node, 'status', 'nodeInfo', 'bootID'),
        kubeletVersion: field(node, 'status', 'nodeInfo', 'kubeletVersion'),
      }),
    },
  };
}

/** On a NodeClaim: when pods that still hold its drain are removed by force, RFC 3339 (karpenter pkg/apis/v1/labels.go). */
export const terminationAnnotation = 'karpenter.sh/nodeclaim-termination-timestamp';

/** A NodeClaim's identity, its conditions, the Node that it became, and the bound of its drain. */
export function projectNodeClaim(claim: KubeObject): KubeObject {
  return {
    ...identityOf(claim),
    metadata: {
      ...metadataOf(claim),
      ...present({
        finalizers: claim.metadata.finalizers,
        annotations: pick(textMap(claim.metadata, 'annotations'), (key) => key === terminationAnnotation),
      }),
    },
    status: present({
      conditions: list(claim, 'status', 'conditions'),
      nodeName: field(claim, 'status', 'nodeName'),
    }),
  };
}

/** Both event shapes, core/v1 and what events.k8s.io writes into it. */
export function projectEvent(event: KubeObject): KubeObject {
  const { involvedObject, type, reason, message, count, series, source } = event;
  const { firstTimestamp, lastTimestamp, eventTime, reportingComponent } = event;
  return {
    ...identityOf(event),
    metadata: metadataOf(event),
    involvedObject: present({
      kind: field(involvedObject, 'kind'),
      name: field(involvedObject, 'name'),
    }),
    ...present({ type, reason, message, count, series, source, reportingComponent }),
    ...present({ firstTimestamp, lastTimestamp, eventTime }),
  };
}

/** A pod's place, controller, state, images and environment; not its volumes' contents, probes and affinities. */
export function projectPod(pod: KubeObject): KubeObject {
  const owners = pod.metadata.ownerReferences?.filter(({ controller }) => controller === true);
  return {
    ...identityOf(pod),
    metadata: { ...metadataOf(pod), ...(owners?.length ? { ownerReferences: owners } : {}) },
    spec: present({
      nodeName: field(pod, 'spec', 'nodeName'),
      serviceAccountName: field(pod, 'spec', 'serviceAccountName'),
      containers: list(pod, 'spec', 'containers').map(projectContainer),
      volumes: list(pod, 'spec', 'volumes').map((volume) => ({ name: text(volume, 'name') ?? '' })),
    }),
    status: present({
      phase: field(pod, 'status', 'phase'),
      podIP: field(pod, 'status', 'podIP'),
      startTime: field(pod, 'status', 'startTime'),
      conditions: list(pod, 'status', 'conditions').map((condition) =>
        present({ type: field(condition, 'type'), status: field(condition, 'status') }),
      ),
      containerStatuses: list(pod, 'status', 'containerStatuses').map((status) =>
        present({
          name: field(status, 'name'),
          restartCount: field(status, 'restartCount'),
          state: field(status, 'state'),
          lastState: field(status, 'lastState'),
        }),
      ),
    }),
  };
}

/** A DaemonSet's or Deployment's containers, selectors and account, and how many of its pods are ready. */
export function projectWorkload(workload: KubeObject): KubeObject {
  const template = ['spec', 'template', 'spec'] as const;
  return {
    ...identityOf(workload),
    metadata: metadataOf(workload),
    status: present({
      observedGeneration: field(workload, 'status', 'observedGeneration'),
      readyReplicas: field(workload, 'status', 'readyReplicas'),
    }),
    spec: {
      ...present({ replicas: field(workload, 'spec', 'replicas') }),
      template: {
        spec: present({
          serviceAccountName: field(workload, ...template, 'serviceAccountName'),
          nodeSelector: textMap(workload, ...template, 'nodeSelector'),
          containers: list(workload, ...template, 'containers').map(projectContainer),
          tolerations: list(workload, ...template, 'tolerations'),
        }),
      },
    },
  };
}

/** Our own objects are needed whole: their status is written back from here. Only the server's bookkeeping goes. */
export function projectOwn(object: KubeObject): KubeObject {
  // A PUT without managedFields leaves them as they are (API concepts, "Server-Side Apply").
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function projectContainer(container: unknown): object {
  const { name, image, args, command, ports, envFrom } = (container ?? {}) as JsonObject;
  const env = list(container, 'env').map((entry) =>
    // That a value comes from elsewhere has to be known: it is not the default then.
    present({
      name: field(entry, 'name'),
      value: field(entry, 'value'),
      valueFrom: field(entry, 'valueFrom'),
    }),
  );
  return { ...present({ name, image, args, command, ports, envFrom }), ...(env.length === 0 ? {} : { env }) };
}

function identityOf({ apiVersion, kind }: KubeObject): Pick<KubeObject, 'apiVersion' | 'kind'> {
  return { apiVersion, kind };
}

function metadataOf({ metadata }: KubeObject): ObjectMeta {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp } = metadata;
  // Only maps of strings are read as labels, whatever else somebody put there.
  const labels = metadata.labels === undefined ? undefined : textMap(metadata, 'labels');
  return present({ name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, labels });
}

function gpuResources(node: KubeObject, of: 'capacity' | 'allocatable'): Readonly<Record<string, string>> {
  const counts = Object.entries(quantities(field(node, 'status', of)));
  return Object.fromEntries(
    counts.filter(([name]) => name.startsWith('nvidia.com/')).map(([name, count]) => [name, String(count)]),
  );
}

function pick(
  map: Readonly<Record<string, string>>,
  isWanted: (key: string) => boolean,
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map).filter(([key]) => isWanted(key)));
}

/** Without the members that are undefined: an absent part stays absent. */
function present<T extends object>(parts: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
