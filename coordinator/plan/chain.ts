import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { LinkPlanInput, LinkRow } from '../drill/links.ts';
import type { ChainLink, ExpectationInput } from '../store/experiment.ts';

/** How long a link after detection is awaited where the request does not say. */
const usualWithinSeconds = 1800;

/**
 * The chain of one node: the controls before, each row's own links, what the request asks for behind them, the controls
 * after. Refuses `then` that names no such link, in another order than the chain's, or in a negative drill.
 */
export function createChain(
  rows: readonly LinkRow[],
  input: LinkPlanInput,
  controls: readonly ChainLink[],
): ChainLink[] {
  const then = askedLinks(rows, input.asked, input.expectation.kind === 'none');
  const fault = rows.flatMap((row) =>
    row.plan(input).map((planned) => {
      const within = then.get(row.name);
      return {
        ...planned,
        link: row.name,
        role: 'fault' as const,
        ...(within === undefined ? {} : { withinSeconds: within }),
      };
    }),
  );
  const of = (when: 'before' | 'after') => controls.filter((control) => control.when === when);
  return [...of('before'), ...fault, ...of('after')];
}

/** Seconds to wait for each link that the request names. */
function askedLinks(
  rows: readonly LinkRow[],
  { then = [] }: ExpectationInput,
  isNegative: boolean,
): ReadonlyMap<string, number> {
  const known = rows.filter(({ onRequest }) => onRequest).map(({ name }) => name);
  if (isNegative && then.length > 0) {
    throw new Refusal(
      'expectation_invalid',
      'expectation.then: does not go with none: true, after which nothing follows',
      {
        field: 'expectation.then',
        value: then,
        remedy: 'leave it out, or leave none out',
      },
    );
  }
  let last = -1;
  return new Map(
    then.map(({ link, within }, index) => {
      const field = `expectation.then[${index}]`;
      const place = known.indexOf(link);
      if (place < 0) {
        throw new Refusal('expectation_invalid', `${field}.link: ${link} is no link that can be awaited`, {
          field: `${field}.link`,
          value: link,
          allowed: known,
        });
      }
      if (place <= last) {
        throw new Refusal(
          'expectation_invalid',
          `${field}.link: ${link} does not come after the one before it`,
          {
            field: `${field}.link`,
            value: link,
            allowed: `once each, in this order: ${known.join(', ')}`,
          },
        );
      }
      last = place;
      const seconds =
        within === undefined ? usualWithinSeconds : parseDuration(within, `${field}.within`) / 1000;
      if (seconds < 1 || seconds > 86_400) {
        throw new Refusal('expectation_invalid', `${field}.within: must be from 1 s to 24 h`, {
          field: `${field}.within`,
          value: within,
          allowed: '1s to 24h',
        });
      }
      return [link, seconds];
    }),
  );
}
