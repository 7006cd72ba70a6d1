import type { ListQuery, ResourceName } from './port.ts';
import { type ResourceRow, resources } from './resources.ts';

/** Path of an object or of a kind, and of a subresource of it. */
export function pathOf(
  resource: ResourceName,
  key: { readonly name?: string; readonly namespace?: string | undefined },
  subresource?: 'status' | 'log',
): string {
  const row: ResourceRow = resources[resource];
  const root = row.apiVersion.includes('/') ? `/apis/${row.apiVersion}` : `/api/${row.apiVersion}`;
  const isInside = row.namespaced && key.namespace !== undefined;
  const steps = [
    ...(isInside ? ['namespaces', key.namespace ?? ''] : []),
    row.plural,
    ...(key.name === undefined ? [] : [key.name]),
    ...(subresource === undefined ? [] : [subresource]),
  ];
  return `${root}/${steps.map(encodeURIComponent).join('/')}`;
}

/** The selectors of a list or watch as parameters of the request. */
export function selectorsOf({ labelSelector, fieldSelector }: ListQuery): Record<string, string> {
  return { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
}
