import type { JsonObject, KubeObject } from '../../cluster/port.ts';
import { type ResourceRow, resources } from '../../cluster/resources.ts';
import type { Schema } from './schema.ts';

/** A kind in one version, as far as serving it goes. */
export type ServedKind = {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly custom: boolean;
  readonly statusSubresource: boolean;
  /** Whether metadata.generation counts changes of the spec. */
  readonly counted: boolean;
  /** Built-in strategies keep a new object's status (nodes), start their own (pods), or drop it. */
  readonly statusAtCreation: 'keep' | 'drop' | JsonObject;
  /** Whether PUT without a resourceVersion overwrites. */
  readonly unconditionalUpdate: boolean;
  /** Whether PUT makes what is not there. */
  readonly createOnUpdate: boolean;
  /** Field selectors beyond metadata.name and metadata.namespace. */
  readonly fields: readonly string[];
  readonly schema?: Schema;
  /** Where its objects lie: all versions of a kind share one. */
  readonly bucket: string;
};

/** The kinds that are served now: those built in, and those of CustomResourceDefinitions. */
export type Kinds = {
  find(group: string, version: string, plural: string): ServedKind | undefined;
  all(): readonly ServedKind[];
  /** Serves what a CustomResourceDefinition defines, in place of what its name defined before. */
  define(definition: KubeObject): void;
  /** Ends what a definition defined; answers with the buckets of its objects. */
  forget(definition: KubeObject): readonly string[];
};

type Traits = Partial<Omit<ServedKind, 'group' | 'version' | 'kind' | 'plural' | 'namespaced' | 'bucket'>>;

const workload: Traits = { counted: true, statusSubresource: true };

/** How built-in kinds differ, each as in kube-apiserver's strategy for it. */
const traits: Readonly<Record<string, Traits>> = {
  nodes: {
    statusSubresource: true,
    statusAtCreation: 'keep',
    fields: ['spec.unschedulable'],
    shortNames: ['no'],
  },
  pods: {
    ...workload,
    statusAtCreation: { phase: 'Pending' },
    fields: ['spec.nodeName', 'status.phase', 'spec.restartPolicy', 'spec.serviceAccountName'],
    shortNames: ['po'],
  },
  events: {
    fields: [
      'involvedObject.kind',
      'involvedObject.namespace',
      'involvedObject.name',
      'involvedObject.uid',
      'involvedObject.apiVersion',
      'involvedObject.resourceVersion',
      'involvedObject.fieldPath',
      'reason',
      'reportingComponent',
      'source',
      'type',
    ],
    createOnUpdate: true,
    shortNames: ['ev'],
  },
  namespaces: {
    statusSubresource: true,
    statusAtCreation: { phase: 'Active' },
    fields: ['status.phase'],
    shortNames: ['ns'],
  },
  serviceaccounts: { shortNames: ['sa'] },
  configmaps: { shortNames: ['cm'] },
  daemonsets: { ...workload, shortNames: ['ds'] },
  deployments: { ...workload, shortNames: ['deploy'] },
  poddisruptionbudgets: { ...workload, unconditionalUpdate: false, shortNames: ['pdb'] },
  leases: { unconditionalUpdate: false, createOnUpdate: true },
  customresourcedefinitions: { ...workload, unconditionalUpdate: false, shortNames: ['crd', 'crds'] },
};

type CrdSpec = {
  readonly group: string;
  readonly scope: string;
  readonly names: {
    readonly kind: string;
    readonly plural: string;
    readonly listKind?: string;
    readonly singular?: string;
    readonly shortNames?: readonly string[];
  };
  readonly versions: readonly {
    readonly name: string;
    readonly served: boolean;
    readonly schema?: { readonly openAPIV3Schema?: Schema };
    readonly subresources?: { readonly status?: object };
    readonly selectableFields?: readonly { readonly jsonPath: string }[];
  }[];
};

/** With the built-in kinds of resources.ts. */
export function createKinds(): Kinds {
  const served = new Map<string, ServedKind>();
  const add = (kind: ServedKind) => served.set(`${kind.group}/${kind.version}/${kind.plural}`, kind);
  for (const row of Object.values(resources)) if (isBuiltIn(row)) add(builtIn(row));

  function forget(definition: KubeObject): readonly string[] {
    const spec = crdSpec(definition);
    const gone = [...served.entries()].filter(
      ([, kind]) => kind.custom && kind.group === spec.group && kind.plural === spec.names.plural,
    );
    for (const [key] of gone) served.delete(key);
    return [...new Set(gone.map(([, kind]) => kind.bucket))];
  }

  return {
    find: (group, version, plural) => served.get(`${group}/${version}/${plural}`),
    all: () => [...served.values()],
    define: (definition) => {
      forget(definition);
      for (const kind of kindsOfDefinition(crdSpec(definition))) add(kind);
    },
    forget,
  };
}

/** The spec of a CustomResourceDefinition. */
export function crdSpec(definition: KubeObject): CrdSpec {
  return definition.spec as CrdSpec;
}

/** `v1` for the core group, else `group/version`. */
export function apiVersionOf({ group, version }: Pick<ServedKind, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** The reverse of `apiVersionOf`. */
export function groupVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const [first = '', second] = apiVersion.split('/');
  return second === undefined ? { group: '', version: first } : { group: first, version: second };
}

/** Groups of Kubernetes itself have no dot or end in k8s.io; every other row of ours needs its CRD first. */
function isBuiltIn({ apiVersion }: ResourceRow): boolean {
  const { group } = groupVersion(apiVersion);
  return !group.includes('.') || group.endsWith('.k8s.io');
}

function builtIn(row: ResourceRow): ServedKind {
  const { group, version } = groupVersion(row.apiVersion);
  return {
    group,
    version,
    kind: row.kind,
    listKind: `${row.kind}List`,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    shortNames: [],
    namespaced: row.namespaced,
    custom: false,
    statusSubresource: false,
    counted: false,
    statusAtCreation: 'drop',
    unconditionalUpdate: true,
    createOnUpdate: false,
    fields: [],
    bucket: `${group}/${row.plural}`,
    ...traits[row.plural],
  };
}

function kindsOfDefinition({ group, names, scope, versions }: CrdSpec): readonly ServedKind[] {
  return versions
    .filter((version) => version.served)
    .map((version) => ({
      group,
      version: version.name,
      kind: names.kind,
      listKind: names.listKind ?? `${names.kind}List`,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      namespaced: scope === 'Namespaced',
      custom: true,
      statusSubresource: version.subresources?.status !== undefined,
      counted: true,
      statusAtCreation: version.subresources?.status === undefined ? 'keep' : 'drop',
      unconditionalUpdate: false,
      createOnUpdate: false,
      fields: (version.selectableFields ?? []).map(({ jsonPath }) => jsonPath.replace(/^\./, '')),
      ...(version.schema?.openAPIV3Schema !== undefined && { schema: version.schema.openAPIV3Schema }),
      bucket: `${group}/${names.plural}`,
    }));
}
