import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { ChannelReaction, Work as ChannelWork, ReactsOn } from '../catalogue/channels/channel.ts';
import { channelOf, expectationOf } from '../catalogue/channels.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import { onlyPluginOf } from '../catalogue/nma/conditions.ts';
import { detectionOf } from '../catalogue/nma/known-reasons.ts';
import { nmaVersions } from '../catalogue/nma/versions.ts';
import type { FaultRow } from '../catalogue/row.ts';
import type { LinkPlanInput, LinkRow } from '../drill/links.ts';
import type { ChainLink, ExpectationInput } from '../store/experiment.ts';
import { injectOnlyExpectation } from './inject-only.ts';
import { conditionTypeOf, negativeExpectation } from './negative.ts';

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
  const { asked } = input;
  const isNegative = input.expectation.kind === 'none';
  if (isNegative && asked.repair === 'expect') throw withNone('expectation.repair', asked.repair);
  const then = askedLinks(rows, asked, isNegative);
  const fault = rows.flatMap((row) =>
    row.plan(input).map((planned) => {
      const within = then.get(row.name) ?? (row.onRequest ? row.usualSeconds : undefined);
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

function withNone(field: string, value: unknown): Refusal {
  const message = `${field}: does not go with none: true, after which nothing follows`;
  const remedy = 'leave it out, or leave none out';
  return new Refusal('expectation_invalid', message, { field, value, remedy });
}

/** Seconds to wait for each link that the request names. */
function askedLinks(
  rows: readonly LinkRow[],
  { then = [] }: ExpectationInput,
  isNegative: boolean,
): ReadonlyMap<string, number> {
  const known = rows.filter(({ onRequest }) => onRequest).map(({ name }) => name);
  if (isNegative && then.length > 0) throw withNone('expectation.then', then);
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
        within === undefined
          ? (rows.find(({ name }) => name === link)?.usualSeconds ?? usualWithinSeconds)
          : parseDuration(within, `${field}.within`) / 1000;
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

/** The caller's word wins; what it leaves out comes from catalogue and version. */
export function resolveExpectation(
  given: ExpectationInput,
  work: Work,
  on: Judging,
  order: MethodCall,
): Expectation {
  const { row, reacting } = work;
  const [first] = reacting;
  const usual = first && expectationOf(first);
  const elsewhere = first === undefined ? reactionElsewhere(work, on) : undefined;
  if (given.detection === 'ignore')
    return injectOnlyExpectation(given, order, conditionTypeOf(row, usual, elsewhere?.found));
  if (isForNegative(given))
    return negativeExpectation(given, { usual, row, reacting, elsewhere: elsewhere?.found });
  const withinSeconds =
    given.within === undefined
      ? (usual?.withinSeconds ?? 60)
      : parseDuration(given.within, 'expectation.within') / 1000;
  if (withinSeconds < 1 || withinSeconds > 3600) {
    throw new Refusal('expectation_invalid', 'expectation.within: must be from 1 s to 1 h', {
      field: 'expectation.within',
      value: given.within,
      allowed: '1s to 1h',
    });
  }
  const type = given.type ?? usual?.type;
  const reason = given.reason ?? usual?.reason;
  const kind = given.kind ?? usual?.kind;
  if (kind === undefined || type === undefined || reason === undefined) {
    throw new Refusal(
      'expectation_invalid',
      `expectation: ${silence(row, on, elsewhere)}; say kind, type and reason, or none: true, or detection: ignore to judge the injection alone`,
      {
        field: 'expectation',
        allowed:
          '{kind: event|condition, type, reason, within}, {none: true, for, event} or {detection: ignore}',
        ...(on.isEngineAssumed && first === undefined ? { assumedEngine: on.engineVersion } : {}),
      },
    );
  }
  // A reason of the caller's own makes the usual message meaningless.
  const message =
    given.message ??
    (given.reason === undefined || given.reason === usual?.reason ? usual?.message : undefined);
  const own = reacting.find(({ reaction }) => reaction.reason === reason && reaction.conditionType === type);
  const detection = own ?? detectionOf({ type, reason });
  const plugin = detection?.plugin ?? onlyPluginOf(type);
  return {
    kind,
    type,
    reason,
    ...(message === undefined ? {} : { message }),
    ...(detection === undefined ? {} : { via: detection.via }),
    ...(plugin === undefined ? {} : { plugin }),
    withinSeconds,
  };
}

/** Whether it has members that only a negative drill takes. */
function isForNegative({ none, for: quiet, event }: ExpectationInput): boolean {
  return none === true || quiet !== undefined || event !== undefined;
}

type Work = ChannelWork & { readonly row: FaultRow; readonly reacting: readonly ChannelReaction[] };

/** `isEngineAssumed`: the host engine that is written to is not known, and that of the chart stands for it. */
type Judging = ReactsOn & { readonly isEngineAssumed: boolean };

/** A refusal that may not stand once the version of the node's host engine is known. */
export function restsOnAssumedEngine({ details }: Refusal): boolean {
  return details.assumedEngine !== undefined;
}

type Elsewhere = {
  /** null: this one, with a GPU of another generation. */
  readonly version: string | null;
  readonly found: ChannelReaction;
};

/** What another GPU would have shown, else the newest version that reacts, with the host engine of its chart. */
function reactionElsewhere(work: Work, { nma, engineVersion }: ReactsOn): Elsewhere | undefined {
  const [onOtherGpu] = channelOf(work.channel).reactions(work, { nma, engineVersion });
  if (onOtherGpu !== undefined) return { version: null, found: onOtherGpu };
  for (const nma of nmaVersions.toReversed()) {
    const [found] = channelOf(work.channel).reactions(work, { nma, engineVersion: undefined });
    if (found !== undefined) return { version: nma.version, found };
  }
  return undefined;
}

function silence(
  { name }: FaultRow,
  { nma, engineVersion, gpuName }: ReactsOn,
  elsewhere: Elsewhere | undefined,
): string {
  const engine = engineVersion === undefined ? '' : ` on host engine ${engineVersion}`;
  const gpu = elsewhere?.version === null ? ` with GPU ${gpuName}` : '';
  const other =
    elsewhere === undefined
      ? ', nor does any other that is known'
      : ` (${elsewhere.version ?? 'with a GPU of another generation it'} does: ${elsewhere.found.reaction.reason})`;
  return `version ${nma.version} of the monitoring agent${engine}${gpu} shows nothing for fault ${name} with these parameters${other}`;
}
