import type { Surface } from '../../shared/schemas/receipt.ts';
import { highestXid } from '../../shared/xid/number.ts';
import type { ChannelReaction } from './channels/channel.ts';
import { xidReactions } from './channels/xid.ts';
import { channelOf, expectationOf } from './channels.ts';
import { reactionWindow } from './nma/reactions.ts';
import { type NmaVersion, nmaVersions } from './nma/versions.ts';
import { exampleParameters, type Parameters, resolveParameters } from './parameters.ts';
import { type DocumentedRepair, documentedRepair } from './repair/documented.ts';
import type { FaultRow } from './row.ts';

/** A row, and what a healthy cluster does about it in each version of the monitoring agent. */
export type FaultDescription = Omit<FaultRow, 'channel'> & {
  /** What the reactions were computed with beside the defaults; a caller's own parameters can make others. */
  readonly shownWith: Parameters;
  /** Oldest first; consecutive versions that answer alike are one entry. */
  readonly reactions: readonly VersionRange<readonly ShownReaction[]>[];
};

/** First and last version of the monitoring agent, each with the host engine that its chart installs. */
export type VersionRange<Answer> = { readonly from: string; readonly to: string; readonly shows: Answer };

/** What a healthy cluster shows, and what AWS documents to follow from it. */
export type ShownReaction = {
  readonly surface: Surface;
  readonly kind: 'event' | 'condition';
  /** The condition type; an event carries it as its reason. */
  readonly type: string;
  /** The condition's reason; an event's message starts with it. */
  readonly reason: string;
  readonly message: string;
  /** From the last write on, as a rule. */
  readonly typicalSeconds: number;
  /** From the acceptance of the order until a healthy agent has shown it for sure. */
  readonly withinSeconds: number;
  readonly repair: DocumentedRepair;
};

/** Any six characters: a marker is new in each order. */
const marker = 'a1b2c3';

/** Pure. */
export function describeFault(
  row: FaultRow,
  versions: readonly NmaVersion[] = nmaVersions,
): FaultDescription {
  const { channel, ...shown } = row;
  const shownWith = exampleParameters(row);
  const work = { channel, parameters: resolveParameters(row, shownWith, marker), gpu: undefined, marker };
  return {
    ...shown,
    shownWith,
    reactions: byVersion(versions, (nma) =>
      channelOf(channel).reactions(work, { nma, engineVersion: undefined }).map(toShown),
    ),
  };
}

/** The Xids that are more than an event in some version, or that the host engine remembers. */
export function describeXids(
  versions: readonly NmaVersion[] = nmaVersions,
): readonly { readonly xid: number; readonly reactions: FaultDescription['reactions'] }[] {
  return Array.from({ length: highestXid }, (_, index) => index + 1)
    .map((xid) => ({
      xid,
      reactions: byVersion(versions, (nma) =>
        xidReactions(xid, 0, { nma, engineVersion: undefined }).map(toShown),
      ),
    }))
    .filter(({ reactions }) =>
      reactions.some(({ shows }) => shows.length > 1 || shows.some(({ kind }) => kind === 'condition')),
    );
}

/** Asks for every version and joins neighbours whose answers are the same. */
function byVersion<Answer>(
  versions: readonly NmaVersion[],
  ask: (nma: NmaVersion) => Answer,
): readonly VersionRange<Answer>[] {
  const ranges: VersionRange<Answer>[] = [];
  for (const nma of versions) {
    const shows = ask(nma);
    const last = ranges.at(-1);
    if (last !== undefined && JSON.stringify(last.shows) === JSON.stringify(shows)) {
      ranges[ranges.length - 1] = { ...last, to: nma.version };
    } else ranges.push({ from: nma.version, to: nma.version, shows });
  }
  return ranges;
}

function toShown(found: ChannelReaction): ShownReaction {
  const { appearsAs, conditionType, reason, message } = found.reaction;
  return {
    surface: found.surface,
    kind: appearsAs,
    type: conditionType,
    reason,
    message,
    typicalSeconds: reactionWindow(found.via, appearsAs).typicalMs / 1000,
    withinSeconds: expectationOf(found).withinSeconds,
    repair: documentedRepair(appearsAs, conditionType, reason),
  };
}
