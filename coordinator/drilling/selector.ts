import { Refusal } from '../../shared/errors.ts';
import type { Target } from '../store/experiment.ts';

type Selector = NonNullable<Target['selector']>;
type Expression = NonNullable<Selector['matchExpressions']>[number];

const name = '[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?';
const value = '[-A-Za-z0-9_.]*';
const forms = {
  set: new RegExp(`^(${name}) (in|notin) \\((.*)\\)$`),
  equal: new RegExp(`^(${name}) ?(==|=|!=) ?(${value})$`),
  exists: new RegExp(`^(!?) ?(${name})$`),
};

/**
 * A label selector as `kubectl -l` takes it (`a=b,c!=d,e in (f,g),h,!i`) in the form of an Experiment's target. Refuses with
 * `malformed_request`.
 */
export function parseSelector(text: string): Pick<Selector, 'matchLabels' | 'matchExpressions'> {
  const matchLabels: Record<string, string> = {};
  const matchExpressions: Expression[] = [];
  // Commas between the parentheses of a set do not part requirements.
  for (const part of text.split(/,(?![^(]*\))/).map((piece) => piece.trim().replace(/\s+/g, ' '))) {
    const found = requirementOf(part);
    if (found === undefined)
      throw new Refusal('malformed_request', `selector: "${part}" is no requirement on a label`, {
        field: 'selector',
        value: part,
        allowed: ['a=b', 'a!=b', 'a in (b,c)', 'a notin (b,c)', 'a', '!a'],
      });
    if ('equals' in found) matchLabels[found.key] = found.equals;
    else matchExpressions.push(found);
  }
  return {
    ...(Object.keys(matchLabels).length === 0 ? {} : { matchLabels }),
    ...(matchExpressions.length === 0 ? {} : { matchExpressions }),
  };
}

function requirementOf(part: string): Expression | { key: string; equals: string } | undefined {
  const set = forms.set.exec(part);
  if (set !== null) {
    const [, key = '', , operator, values = ''] = set;
    return {
      key,
      operator: operator === 'in' ? 'In' : 'NotIn',
      values: values.split(',').map((one) => one.trim()),
    };
  }
  const equal = forms.equal.exec(part);
  if (equal !== null) {
    const [, key = '', , operator, equals = ''] = equal;
    return operator === '!=' ? { key, operator: 'NotIn', values: [equals] } : { key, equals };
  }
  const [, not, key = ''] = forms.exists.exec(part) ?? [];
  if (key === '') return undefined;
  return { key, operator: not === '!' ? 'DoesNotExist' : 'Exists' };
}
