import { xidHealthIncident } from '../../shared/dcgm-fields/health-codes.ts';
import { xidField } from '../../shared/dcgm-fields/ids.ts';
import { Refusal } from '../../shared/errors.ts';
import { fieldTickMs, firstTickJitter, healthTickMs } from '../../shared/nma-timing.ts';
import { surfacesOfOrder } from '../../shared/orders/call.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Surface } from '../../shared/schemas/receipt.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import { xidsReadByEngine } from '../../shared/xid/guard.ts';
import { parseXidLine } from '../../shared/xid/line.ts';
import { anyGpu, type ChannelReaction, type ChannelWork, type ReactsOn } from './channels/channel.ts';
import { dcgmField, dcgmValue } from './channels/dcgm.ts';
import { engineLoss } from './channels/engine-loss.ts';
import { kernelMessage } from './channels/kernel-message.ts';
import { journal, logFile } from './channels/logs.ts';
import { cascade, sxid, xid } from './channels/xid.ts';
import type { Expectation, Via } from './expectation.ts';
import { type Reaction, reactionWindow } from './nma/reactions.ts';
import type { Parameters } from './parameters.ts';
import type { Channel } from './row.ts';

/** What a slow API server may add to the worst case (nma.md §2.3: an event is retried after 10 s). */
const marginMs = 30_000;
const longestWaitMs = 3600_000;

/** What the first tick after a start of the monitoring agent comes later than every other (nma.md §1.0). */
const firstTickMs: Partial<Record<Via, number>> = {
  'health-check': healthTickMs * firstTickJitter,
  'watched-field': fieldTickMs * firstTickJitter,
};

/** Where a tick has to see the cause, the whole time for which it is sustained is waited for. */
export function expectationOf({
  reaction,
  via,
  plugin,
  afterMs,
  sustainedMs = 0,
}: ChannelReaction): Expectation {
  const first = firstTickMs[via];
  const { worstMs } = reactionWindow(via, reaction.appearsAs);
  const reactsMs = first === undefined ? worstMs : Math.max(worstMs + first, sustainedMs);
  return {
    kind: reaction.appearsAs,
    type: reaction.conditionType,
    reason: reaction.reason,
    message: reaction.message,
    via,
    plugin,
    withinSeconds: Math.min(afterMs + reactsMs + marginMs, longestWaitMs) / 1000,
  };
}

const channels: { readonly [K in Channel['kind']]: ChannelWork<K> } = {
  'kernel-message': kernelMessage,
  journal,
  'log-file': logFile,
  xid,
  sxid,
  cascade,
  'dcgm-field': dcgmField,
  'dcgm-value': dcgmValue,
  'engine-loss': engineLoss,
};

/** The work of a channel whose kind is only known at run time. */
export function channelOf(channel: Channel): ChannelWork<Channel['kind']> {
  return channels[channel.kind] as ChannelWork<Channel['kind']>;
}

/**
 * Everything that a healthy monitoring agent shows after an order, the first thing first: what came through a policy at
 * once, and what its checks find minutes later. Surfaces that the order does not write are left out; an order that no
 * agent takes, such as one with an unknown field, leads to nothing.
 */
export function reactionsToOrder(order: MethodCall, on: ReactsOn): readonly ChannelReaction[] {
  const { channel, parameters = {} } = channelOfOrder(order);
  const written = surfacesOfOrder(order);
  try {
    return channelOf(channel)
      .reactions({ channel, parameters, gpu: undefined, marker: '' }, on)
      .filter(({ surface }) => written.includes(surface));
  } catch (thrown) {
    if (thrown instanceof Refusal) return [];
    throw thrown;
  }
}

/**
 * What stays on the node after an order, and what ends it. The address of the GPU does not matter to it. An order that no
 * agent takes leaves nothing.
 */
export function latchedByOrder(order: MethodCall, on: ReactsOn): readonly Latched[] {
  const reactions = reactionsToOrder(order, on).map(({ reaction }) => reaction);
  const { nma, engineVersion = nma.engineVersion, gpuName } = on;
  try {
    return latchedBy(reactions, scriptOf(order, { gpu: anyGpu }), { engineVersion, gpuName });
  } catch (thrown) {
    if (thrown instanceof Refusal) return [];
    throw thrown;
  }
}

type Source = { readonly channel: Channel; readonly parameters?: Parameters };

/** The channel that makes such orders, with what it needs to know of this one. */
function channelOfOrder(order: MethodCall): Source {
  switch (order.method) {
    case 'InjectXid':
      return { channel: { kind: 'xid' }, parameters: order.body };
    case 'InjectCascade':
      return { channel: { kind: 'cascade' }, parameters: order.body };
    case 'InjectSxid':
      return { channel: { kind: 'sxid' } };
    case 'InjectDcgmField':
      return { channel: { kind: 'dcgm-field' }, parameters: order.body };
    case 'PauseHostEngine':
      return { channel: { kind: 'engine-loss' }, parameters: order.body };
    case 'WriteKernelMessage':
      return { channel: { kind: 'kernel-message', text: order.body.text } };
    case 'WriteJournalMessage':
      return { channel: { kind: 'journal', ...order.body } };
    case 'AppendLogLine':
      return { channel: { kind: 'log-file', ...order.body } };
  }
}

type KeptOn = { readonly engineVersion: string; readonly gpuName: string | undefined };

/** Something that stays when a drill is over. */
type Latched = {
  readonly what: string;
  /** What ends it. */
  readonly until: string;
};

/**
 * What stays on the node when the drill is over, and what ends it (nma.md §3): of all reactions, those that come minutes
 * later included, and of all that was written.
 */
export function latchedBy(
  reactions: readonly Reaction[],
  parts: readonly Part[],
  on: KeptOn,
): readonly Latched[] {
  const types = reactions.flatMap(({ appearsAs, conditionType }) =>
    appearsAs === 'condition' ? [conditionType] : [],
  );
  const kept = keptByEngine(parts, on);
  return [
    ...logsKept(parts),
    ...(kept.length === 0
      ? []
      : [
          {
            what: `${kept.join(', ')} in the health system of the host engine, reported again every 5 min`,
            until: 'the host engine restarts',
          },
        ]),
    ...[...new Set(types)].map((type) => ({
      what: `condition ${type} False`,
      until:
        kept.length === 0
          ? 'the monitoring agent restarts on the node'
          : 'the monitoring agent restarts on the node; restart the host engine first, or its health system makes it False again',
    })),
  ];
}

const logUntil: Partial<Record<Surface, readonly Latched[]>> = {
  'kernel-log': [{ what: 'the records in the ring of the kernel log', until: 'the next reboot' }],
  journal: [
    { what: 'the records in the ring of the kernel log', until: 'the next reboot' },
    { what: 'the lines in the journal', until: 'journald rotates them away' },
  ],
  'log-file': [{ what: 'the lines in the file', until: 'the file is rotated away' }],
};

function logsKept(parts: readonly Part[]): Latched[] {
  const written = [...new Set(parts.map(({ surface }) => surface))];
  const reread = parts.flatMap((part) => {
    if (part.surface !== 'kernel-log') return [];
    const xid = parseXidLine(part.text)?.xid;
    return xid !== undefined && xidsReadByEngine.includes(xid) ? [xid] : [];
  });
  return [
    ...written.flatMap((surface) => logUntil[surface] ?? []),
    ...[...new Set(reread)].map((xid) => ({
      what: `Xid ${xid} in field ${xidField} of the host engine, read again at each of its starts`,
      until: 'the record has left the ring of the kernel log',
    })),
  ];
}

/** Xids that the engine's health system has a code for: the others leave nothing there. */
function keptByEngine(parts: readonly Part[], { engineVersion, gpuName }: KeptOn): string[] {
  const xids = parts.flatMap((part) =>
    part.surface === 'dcgm' && part.field === xidField ? [Number(part.value)] : [],
  );
  return [...new Set(xids)]
    .filter((xid) => xidHealthIncident(engineVersion, xid, gpuName) !== undefined)
    .map((xid) => `Xid ${xid}`);
}
