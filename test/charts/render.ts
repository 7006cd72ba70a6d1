import { parseAllDocuments } from 'yaml';
import { type Answer, chart, type Helm } from './helm.ts';

export const release = { name: 'drills', namespace: 'gpu-drills' };

/** As much of an object as tests look at; a path that is not there is undefined. */
export type Rendered = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string };
} & Readonly<Record<string, unknown>>;

export function template(helm: Helm, values: object, ...more: readonly string[]): Promise<Answer> {
  const set = Object.entries(values).map(([key, value]) => `--set-json=${key}=${JSON.stringify(value)}`);
  return helm(['template', release.name, chart, '--namespace', release.namespace, ...set, ...more]);
}

export function objectsIn(text: string): readonly Rendered[] {
  return parseAllDocuments(text).flatMap((document) => {
    const object = document.toJS() as Rendered | null;
    return object === null ? [] : [object];
  });
}

/** The one object of that kind, and of that name where there are several. */
export function only(objects: readonly Rendered[], kind: string, name?: string): Rendered {
  const found = objects.filter(
    (object) => object.kind === kind && (name ?? object.metadata.name) === object.metadata.name,
  );
  if (found.length !== 1 || found[0] === undefined)
    throw new Error(`${found.length} objects of kind ${kind} ${name ?? ''}`);
  return found[0];
}

/** `spec.template.spec.containers.0.args`, undefined where it leads nowhere. */
export function at(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined | null)?.[key], object);
}
