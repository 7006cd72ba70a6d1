import { parseDuration, renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { firstGpu } from '../../shared/gpu-identity.ts';
import { engineNamed, gpuNamed, surfacesOfOrder, xidsNamed } from '../../shared/orders/call.ts';
import type { AgentOrder, MethodCall } from '../../shared/schemas/order.ts';
import type { GpuSelector } from '../../shared/schemas/order-members.ts';
import { surfaceRow } from '../../shared/surfaces/table.ts';
import type { ChannelReaction } from '../catalogue/channels/channel.ts';
import { channelOf, expectationOf } from '../catalogue/channels.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import { gpuConditionType, monitors } from '../catalogue/nma/conditions.ts';
import { reactionWindow } from '../catalogue/nma/reactions.ts';
import type { NmaVersion } from '../catalogue/nma/versions.ts';
import type { FaultRow } from '../catalogue/row.ts';
import { renderExpectation } from '../drill/links.ts';
import type { ChainLink, ExpectationInput } from '../store/experiment.ts';

/** Longer than a healthy agent needs for a policy's condition (nma.md §2.3), with a slow API server. */
const usualForSeconds = 60;

const positive = ['kind', 'type', 'reason', 'message', 'within'] as const;

/** The expectation of a negative drill. Refuses what goes with another drill only, and what belongs to none without `none`. */
export function negativeExpectation(
  given: ExpectationInput,
  { usual, row, reacting, elsewhere }: Usual,
): Expectation {
  if (given.none !== true) {
    const stray = given.for === undefined ? 'event' : 'for';
    throw mixed(stray, given[stray], 'goes with none: true only', 'leave it out, or add none: true');
  }
  const stray = positive.find((name) => given[name] !== undefined);
  if (stray !== undefined) {
    const remedy = stray === 'within' ? 'say how long as expectation.for' : 'leave it out, or leave none out';
    throw mixed(stray, given[stray], 'does not go with none: true, where nothing is awaited', remedy);
  }
  if (given.event === 'required' && usual === undefined) {
    throw mixed(
      'event',
      given.event,
      `cannot be required: no event is known for fault ${row.name} with these parameters`,
      'leave it out (allowed), or say forbidden',
    );
  }
  const event = given.event ?? 'allowed';
  const type = conditionTypeOf(row, usual, elsewhere);
  const plugin =
    usual?.plugin ??
    elsewhere?.plugin ??
    monitors.find(({ conditionType }) => conditionType === type)?.plugin;
  const via = usual?.via ?? elsewhere?.via;
  return {
    kind: 'none',
    type,
    reason: usual?.reason ?? '',
    ...(usual?.message === undefined ? {} : { message: usual.message }),
    ...(via === undefined ? {} : { via }),
    ...(plugin === undefined ? {} : { plugin }),
    event,
    withinSeconds: forSeconds(given.for, reacting.filter(isJudged(event))),
  };
}

/** The condition that a fault is about, also where no version reacts to it. */
export function conditionTypeOf(
  { needsGpu, channel }: Usual['row'],
  usual: Expectation | undefined,
  elsewhere: ChannelReaction | undefined,
): string {
  const isAboutGpus = needsGpu || channel.kind === 'sxid';
  return usual?.type ?? elsewhere?.reaction.conditionType ?? (isAboutGpus ? gpuConditionType : 'KernelReady');
}

/** What a fault does where something is expected of it. */
export type Usual = {
  readonly usual: Expectation | undefined;
  readonly row: Pick<FaultRow, 'name' | 'needsGpu' | 'channel'>;
  readonly reacting: readonly ChannelReaction[];
  /** How another version of the monitoring agent would react. */
  readonly elsewhere: ChannelReaction | undefined;
};

/** Every condition; of the events only the fault's first one, and only where something is said of it. */
function isJudged(event: Expectation['event']) {
  return ({ reaction }: ChannelReaction, index: number) =>
    reaction.appearsAs === 'condition' || (event !== 'allowed' && index === 0);
}

/** A silence that is shorter than what could break it proves nothing. */
function forSeconds(text: string | undefined, reacting: readonly ChannelReaction[]): number {
  const last = reacting.toSorted((left, right) => worstSeconds(right) - worstSeconds(left))[0];
  const needed = last === undefined ? 1 : Math.ceil(worstSeconds(last));
  if (text === undefined) {
    return Math.max(usualForSeconds, last === undefined ? 0 : expectationOf(last).withinSeconds);
  }
  const seconds = parseDuration(text, 'expectation.for') / 1000;
  if (seconds >= needed && seconds <= 3600) return seconds;
  const because =
    last === undefined || seconds > 3600
      ? ''
      : `: ${last.reaction.appearsAs} ${last.reaction.reason} may come as late as ${renderDuration(needed)} after the order`;
  throw new Refusal(
    'expectation_invalid',
    `expectation.for: must be from ${renderDuration(needed)} to 1 h${because}`,
    {
      field: 'expectation.for',
      value: text,
      allowed: `${needed}s to 1h`,
    },
  );
}

function worstSeconds({ afterMs, via, reaction }: ChannelReaction): number {
  return (afterMs + reactionWindow(via, reaction.appearsAs).worstMs) / 1000;
}

function mixed(name: string, value: unknown, what: string, remedy: string): Refusal {
  return new Refusal('expectation_invalid', `expectation.${name}: ${what}`, {
    field: `expectation.${name}`,
    value,
    allowed: '{none: true, for, event} or {kind, type, reason, message, within}',
    remedy,
  });
}

/**
 * Xids that are a Warning in every version and that no engine's health system keeps: each proves the way through the
 * host engine and leaves nothing behind (nma.md §1.12, §1.4). Another than the fault's own.
 */
export const controlXids: readonly number[] = [45, 92, 149];

/** The controls of a negative drill: on each path that its order takes, one before it and one after it, two links each. */
export function controlsFor(order: AgentOrder, nma: NmaVersion, marker: string): readonly ChainLink[] {
  return (['before', 'after'] as const).flatMap((when) =>
    pathsOf(order).flatMap((path) => {
      const orderId = `${order.orderId}-${when}-${path}`;
      const made = path === 'dcgm' ? engineControl(order, nma) : kernelControl(`${marker}${when[0]}`, nma);
      const id = `control-${when}-${path}`;
      const about = { role: 'control', when, path } as const;
      const { method } = made.order;
      return [
        {
          ...about,
          id: `${id}-order`,
          link: 'order',
          order: { orderId, ...made.order },
          expected: `${method} ${orderId} is carried out`,
        },
        {
          ...about,
          id: `${id}-detection`,
          link: 'detection',
          expectation: made.expectation,
          expected: renderExpectation(made.expectation),
        },
      ];
    }),
  );
}

type MadeControl = {
  readonly order: MethodCall;
  readonly expectation: Expectation;
};

/** What is written to a file or to the journal is read by the same process as the kernel log, through a watch of its own. */
function pathsOf(order: AgentOrder): readonly NonNullable<ChainLink['path']>[] {
  return surfacesOfOrder(order).map((surface) =>
    surfaceRow(surface).through === 'host-engine' ? 'dcgm' : 'kernel-log',
  );
}

function engineControl(order: MethodCall, nma: NmaVersion): MadeControl {
  const taken = xidsNamed(order);
  const xid = controlXids.find((candidate) => !taken.includes(candidate));
  if (xid === undefined) {
    throw new Refusal(
      'expectation_invalid',
      `expectation.none: the fault is made of Xids ${controlXids.join(', ')}, and each of the controls needs another`,
      { field: 'expectation.none', remedy: 'leave one of them out of the fault' },
    );
  }
  const engine = engineNamed(order);
  return control(
    { kind: 'xid' },
    { xid, surfaces: ['dcgm'], ...(engine === undefined ? {} : { engine }) },
    { gpu: gpuNamed(order) ?? firstGpu, nma },
  );
}

/** The name is the fault's marker and a letter: 15 characters, and another event each time. */
function kernelControl(name: string, nma: NmaVersion): MadeControl {
  const text = `INFO: task xidrill-${name}:4321 blocked for more than 120 seconds.`;
  return control({ kind: 'kernel-message', text }, {}, { gpu: undefined, nma });
}

function control(
  channel: FaultRow['channel'],
  parameters: Readonly<Record<string, unknown>>,
  on: { readonly gpu: GpuSelector | undefined; readonly nma: NmaVersion },
): MadeControl {
  const work = { channel, parameters, gpu: on.gpu, marker: '' };
  const [reaction] = channelOf(channel).reactions(work, { nma: on.nma, engineVersion: undefined });
  if (reaction === undefined) throw new RangeError(`NMA ${on.nma.version} does not react to a control`);
  return { order: channelOf(channel).order(work), expectation: expectationOf(reaction) };
}
