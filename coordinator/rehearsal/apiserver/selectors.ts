import type { KubeObject } from '../../cluster/port.ts';
import { badRequest } from './status-error.ts';

/** Whether an object is among those that were asked for. */
export type Matcher = (object: KubeObject) => boolean;

type Labels = Readonly<Record<string, string>>;

/** `a=b,c!=d,e in (x,y),f notin (z),g,!h` */
export function labelMatcher(selector: string): Matcher {
  const requirements = splitOutsideBrackets(selector).map(requirement);
  return (object) => requirements.every((isMet) => isMet(object.metadata.labels ?? {}));
}

/** Equality only; which fields can be asked for is fixed per kind, and everything else is refused as the real one does. */
export function fieldMatcher(selector: string, kindFields: readonly string[]): Matcher {
  const allowed = ['metadata.name', 'metadata.namespace', ...kindFields];
  const terms = selector
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
      const [, field = '', operator = '', value = ''] = match ?? [];
      if (match === null) throw badRequest(`invalid field selector: ${term}`);
      if (!allowed.includes(field)) throw badRequest(`field label not supported: ${field}`);
      return (object: KubeObject) => (fieldText(object, field) === value) === (operator !== '!=');
    });
  return (object) => terms.every((isMet) => isMet(object));
}

function requirement(text: string): (labels: Labels) => boolean {
  const set = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => values.includes(labels[key] ?? '\0') === (operator === 'in');
  }
  const equality = /^([^=!\s]+)\s*(==|=|!=)\s*([^=!\s]*)$/.exec(text);
  if (equality !== null) {
    const [, key = '', operator, value = ''] = equality;
    // An absent label is unequal to everything, the empty value included.
    return (labels) => (labels[key] === value) === (operator !== '!=');
  }
  const existence = /^(!?)\s*([^=!\s(),]+)$/.exec(text);
  if (existence === null) {
    throw badRequest(`unable to parse requirement: ${JSON.stringify(text)} is not a label selector`);
  }
  const [, not, key = ''] = existence;
  return (labels) => Object.hasOwn(labels, key) === (not === '');
}

function splitOutsideBrackets(selector: string): readonly string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function fieldText(object: KubeObject, path: string): string {
  // Two names of the events' selectors are not the paths of the fields that they ask for.
  if (path === 'source')
    return fieldText(object, 'source.component') || fieldText(object, 'reportingComponent');
  let value: unknown = object;
  for (const step of path.split('.')) {
    value =
      typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[step] : undefined;
  }
  if (value === undefined || value === null) return path === 'spec.unschedulable' ? 'false' : '';
  return String(value);
}
