import type { Rule } from './row.ts';

/**
 * Whether a value can satisfy a rule. Rules that compare with an earlier sample count as satisfied by anything above
 * 0 (or other than 0): the injector sees to the earlier sample.
 */
export function isMatch(rule: Rule, value: string): boolean {
  if (rule.op === 'any') return true;
  if (rule.op === 'not-text') return !rule.values.includes(value);
  const number = Number(value);
  if (Number.isNaN(number)) return false;
  if ('below' in rule && rule.below !== undefined && number >= rule.below) return false;
  return isNumberMatch(rule, number);
}

function isNumberMatch(rule: Exclude<Rule, { op: 'any' | 'not-text' }>, number: number): boolean {
  switch (rule.op) {
    case 'increase':
      return number > 0 && number >= (rule.by ?? 0);
    case 'change':
      return number !== 0;
    case '>':
      return (rule.truncated === true ? Math.trunc(number) : number) > rule.threshold;
    case '>=':
      return number >= rule.threshold;
    case '<':
      return number < rule.threshold;
    case '=':
      return number === rule.threshold;
    case 'in':
      return rule.values.includes(number);
    case 'not-in':
      return !rule.values.includes(number);
    case 'mask':
      return rule.groups.some(([shift, width, lowest, highest]) => {
        const group = Math.floor(number / 2 ** shift) % 2 ** width;
        return group >= lowest && group <= highest;
      });
    case 'not-clean-rate':
      return Math.floor(number / 256) % 16 !== 15 && number % 256 !== 255;
    case 'error-rate':
      return isRateMatch(rule, number);
  }
}

function isRateMatch(rule: Extract<Rule, { op: 'error-rate' }>, number: number): boolean {
  const mantissa = Math.floor(number / 256) % 16;
  if (number === 0) return rule.zero;
  return mantissa * 10 ** -(number % 256) > rule.above;
}

/** The condition in words, as the end of "wants …". */
export function renderRule(rule: Rule, unit = ''): string {
  const suffix = unit === '' ? '' : ` ${unit}`;
  switch (rule.op) {
    case 'any':
      return 'any value';
    case 'increase':
      return rule.by === undefined
        ? 'an increase, so a value above 0'
        : `an increase, so a value of at least ${rule.by}`;
    case 'change':
      return 'a change, so a value other than 0';
    case '>':
      return `more than ${rule.threshold}${suffix}`;
    case '>=':
      return `at least ${rule.threshold}${suffix}`;
    case '<':
      return `less than ${rule.threshold}${suffix}`;
    case '=':
      return `exactly ${rule.threshold}${suffix}`;
    case 'in':
      return `one of ${rule.values.join(', ')}`;
    case 'not-in':
      return `a value other than ${rule.values.join(', ')}`;
    case 'not-text':
      return `a text other than ${rule.values.join(', ')}`;
    case 'mask':
      return `one of the fault bits, such as ${exampleOf(rule)}`;
    case 'not-clean-rate':
      return 'another mantissa and exponent than those of 4095, such as 262 (1e-6)';
    case 'error-rate':
      return `an error rate above ${rule.above}, such as ${exampleOf(rule)} (1e-6)`;
  }
}

/** A value that satisfies the rule. */
export function exampleOf(rule: Rule): string {
  switch (rule.op) {
    case '>':
      return String(rule.threshold + 1);
    case '<':
      return String(rule.threshold - 1);
    case '>=':
    case '=':
      return String(rule.threshold);
    case 'in':
      return String(rule.values[0] ?? 1);
    case 'not-in':
      return String([1, 4, 0].find((candidate) => !rule.values.includes(candidate)) ?? 99);
    case 'not-text':
      return 'DOWN';
    case 'mask': {
      const [shift, , lowest] = rule.groups[0] ?? [0, 1, 1, 1];
      return String(lowest * 2 ** shift);
    }
    case 'not-clean-rate':
    case 'error-rate':
      return '262';
    case 'increase':
      return String(rule.by ?? 1);
    case 'any':
    case 'change':
      return '1';
  }
}
