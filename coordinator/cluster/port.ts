import type { resources } from './resources.ts';

/** The part of the Kubernetes API that we use, in plain JSON objects; adapters only translate. */
export interface Cluster {
  /** All objects of a kind that match, however many pages it takes, and the version to watch from. */
  list(resource: ResourceName, query?: ListQuery): Promise<Listing>;
  /**
   * Changes after `resourceVersion`, until the server closes the stream (then it just ends) or the signal aborts.
   * Throws `resource_expired` for 410 (before or within the stream), `cluster_unreachable` for what may pass.
   */
  watch(resource: ResourceName, query: WatchQuery): AsyncIterable<WatchEvent>;
  /** undefined: there is none. A kind that is not served throws `object_missing` with `kindServed: false`. */
  read(resource: ResourceName, key: ObjectKey): Promise<KubeObject | undefined>;
  /** Throws `object_exists`, `object_invalid`, `cluster_refused`, `cluster_unreachable`. */
  create(resource: ResourceName, object: KubeObject): Promise<KubeObject>;
  /** Whole-object update; the object's resourceVersion guards it: `object_conflict`, `object_missing`. */
  replace(resource: ResourceName, object: KubeObject, subresource?: 'status'): Promise<KubeObject>;
  /** Merge patch (RFC 7386). With metadata.resourceVersion in the patch it is guarded as well. */
  patch(
    resource: ResourceName,
    key: ObjectKey,
    patch: JsonObject,
    subresource?: 'status',
  ): Promise<KubeObject>;
  /**
   * Server-side apply, taking over what others set: makes the object, or sets these fields of the one that is there. Unlike `create`
   * it needs rights on this name only (verbs patch and create).
   */
  apply(resource: ResourceName, object: KubeObject): Promise<KubeObject>;
  /** Deletes, or does nothing where there is none. With `uid` only that object: `object_conflict` where it is another one. */
  remove(resource: ResourceName, key: ObjectKey, uid?: string): Promise<void>;
  /** The end of a container's log; undefined where the pod or the log is not there. */
  podLog(
    key: ObjectKey,
    options: { readonly container?: string; readonly tailLines: number },
  ): Promise<string | undefined>;
  /** Whether the caller has a right, as `kubectl auth can-i` asks (SelfSubjectAccessReview); nothing is done with it. */
  may(right: Right): Promise<boolean>;
}

/** A right on objects, in the words of Kubernetes RBAC. */
export type Right = {
  readonly verb: string;
  /** Empty: the core group. */
  readonly group: string;
  /** Plural. */
  readonly resource: string;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  /** Absent: all objects of the kind. */
  readonly name?: string;
};

/** The kinds that we read or write; each is a row in resources.ts. */
export type ResourceName = keyof typeof resources;

/** An object of JSON whose members are not known. */
export type JsonObject = { readonly [key: string]: unknown };

/** Any object of the API, as the server sent it or as `project` left it. */
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [key: string]: unknown;
};

/** metadata, as far as we use it (Kubernetes API conventions, Metadata). */
export type ObjectMeta = {
  readonly name: string;
  readonly namespace?: string;
  /** Another object of the same name has another one. */
  readonly uid?: string;
  /** Opaque: compared for equality only, except where the server promises order. */
  readonly resourceVersion?: string;
  /** Counts changes of the spec. */
  readonly generation?: number;
  readonly creationTimestamp?: string;
  /** Set: it is being deleted and waits for finalizers or its grace time. */
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly [key: string]: unknown;
};

/** The object that this one is deleted with. */
export type OwnerReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
};

/** Which object of a kind; cluster-wide kinds have no namespace. */
export type ObjectKey = { readonly name: string; readonly namespace?: string };

/** Which objects, and how much of each is kept. */
export type ListQuery = {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  /** As `kubectl -l` takes it. */
  readonly labelSelector?: string;
  /** As `kubectl --field-selector` takes it; each kind allows its own fields. */
  readonly fieldSelector?: string;
  /**
   * Reduces each object on arrival: a list keeps no more than one page of whole objects, a watch none. Bookmarks are not
   * passed to it. Default: objects as the server sent them.
   */
  readonly project?: (object: KubeObject) => KubeObject;
  /** Objects per page of a list. Default 500, as kubectl asks; fewer for kinds whose objects are large. */
  readonly pageSize?: number;
  /** Ends the waiting: a list rejects with the signal's reason, a watch just ends. */
  readonly signal?: AbortSignal;
};

/** All objects of a list, and the version from which a watch continues it. */
export type Listing = { readonly items: readonly KubeObject[]; readonly resourceVersion: string };

/** A watch from a known version on. */
export type WatchQuery = ListQuery & {
  /** Of a list or of the last event; changes after it are sent. */
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
  /** How long the server may keep it open. Default 120. */
  readonly timeoutSeconds?: number;
  /** Called when the server accepted the watch; its first event may still say that the version has expired. */
  readonly onOpen?: () => void;
};

/** One change, or a bookmark, whose object has a resourceVersion and nothing else to be read. */
export type WatchEvent = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: KubeObject;
};
