import type { KubeObject } from '../../cluster/port.ts';
import type { ServedKind } from './kinds.ts';
import { badRequest, type Cause } from './status-error.ts';

/** Fields of Go type metav1.Time: stored without fractions of a second. */
const wholeSecondFields = new Set([
  'lastHeartbeatTime',
  'lastTransitionTime',
  'lastProbeTime',
  'lastUpdateTime',
  'firstTimestamp',
  'lastTimestamp',
  'timeAdded',
  'startTime',
  'startedAt',
  'finishedAt',
]);

/** Fields of Go type metav1.MicroTime: exactly six decimals, so that what a plain ISO date gives is refused. */
const microsecondFields = new Set(['renewTime', 'acquireTime', 'eventTime', 'lastObservedTime']);

const microseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;
const instant = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** What decoding a built-in kind into its Go type does to times; the rest of a built-in kind is kept as it came. */
export function decoded(kind: ServedKind, object: KubeObject): KubeObject {
  if (kind.custom || kind.plural === 'configmaps' || kind.plural === 'customresourcedefinitions')
    return object;
  const { metadata, ...rest } = object;
  const checked = withTimes(rest, '') as Omit<KubeObject, 'metadata'>;
  return { ...checked, metadata } as KubeObject;
}

function withTimes(value: unknown, field: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withTimes(item, field));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withTimes(item, key)]));
  }
  if (typeof value !== 'string') return value;
  if (microsecondFields.has(field) && !microseconds.test(value)) throw unparsable(value, '.000000');
  if (!wholeSecondFields.has(field)) return value;
  const parts = instant.exec(value);
  if (parts === null) throw unparsable(value, '');
  return `${parts[1]}${parts[2]}`;
}

function unparsable(value: string, fraction: string): Error {
  const layout = `2006-01-02T15:04:05${fraction}Z07:00`;
  return badRequest(
    `parsing time ${JSON.stringify(value)} as "${layout}": cannot parse ${JSON.stringify(value)}`,
  );
}

type Pod = {
  readonly spec?: { readonly containers?: readonly { readonly name?: string; readonly image?: string }[] };
};
type Event = { readonly involvedObject?: { readonly namespace?: string } };
type Taints = {
  readonly spec?: { readonly taints?: readonly { readonly key?: string; readonly effect?: string }[] };
};

/** The checks of the real server that our own objects could fail. */
export function builtInCauses(kind: ServedKind, object: KubeObject): readonly Cause[] {
  if (kind.custom) return [];
  if (kind.plural === 'pods') return podCauses(object);
  if (kind.plural === 'events') return eventCauses(object);
  if (kind.plural === 'nodes') return nodeCauses(object);
  return [];
}

function podCauses(object: KubeObject): readonly Cause[] {
  const containers = (object as Pod).spec?.containers ?? [];
  if (containers.length === 0) return [required('spec.containers')];
  return containers.flatMap(({ name, image }, at) => [
    ...(name ? [] : [required(`spec.containers[${at}].name`)]),
    ...(image ? [] : [required(`spec.containers[${at}].image`)]),
  ]);
}

/** An event about a cluster-scoped object lies in `default`, any other beside its object. */
function eventCauses(object: KubeObject): readonly Cause[] {
  const about = (object as Event).involvedObject?.namespace ?? '';
  const wanted = about === '' ? 'default' : about;
  if (object.metadata.namespace === wanted) return [];
  const message = `Invalid value: ${JSON.stringify(about)}: does not match event.namespace`;
  return [{ reason: 'FieldValueInvalid', message, field: 'involvedObject.namespace' }];
}

/** The real one names this path, too, although taints lie in the spec. */
function nodeCauses(object: KubeObject): readonly Cause[] {
  const taints = (object as Taints).spec?.taints ?? [];
  return taints.flatMap(({ key, effect }, at) => [
    ...(key ? [] : [required(`metadata.taints[${at}].key`)]),
    ...(effect ? [] : [required(`metadata.taints[${at}].effect`)]),
  ]);
}

function required(field: string): Cause {
  return { reason: 'FieldValueRequired', message: 'Required value', field };
}
