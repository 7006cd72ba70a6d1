import { explainNoEffect } from '../dcgm-fields/effect.ts';
import { findField } from '../dcgm-fields/find.ts';
import type { FieldRow } from '../dcgm-fields/row.ts';
import { isMatch } from '../dcgm-fields/rule.ts';
import { assertFieldValue } from '../dcgm-fields/value.ts';
import { Refusal } from '../errors.ts';
import { encodeKmsgWrite } from '../kmsg-record.ts';
import { matchKernelRules } from '../nma/kernel-rules.ts';
import {
  fieldReaction,
  healthReaction,
  policyReaction,
  type Reaction,
  type Violation,
  xidReaction,
} from '../nma/reactions.ts';
import { type ReactionChannel, reactionWindows } from '../nma/timing.ts';
import type { NmaVersion } from '../nma/versions.ts';
import { parsePci } from '../pci.ts';
import type { Expectation } from '../schemas/expectation.ts';
import type { AgentOrder } from '../schemas/experiment.ts';
import type { GpuSelector } from '../schemas/order.ts';
import { renderXidLine } from '../xid/line.ts';
import type { Parameters } from './parameters.ts';
import type { Channel } from './row.ts';

/** How a fault of one kind becomes an order to an agent, and what must follow it. A new channel is a line in `channels`. */
export type ChannelWork<K extends Channel['kind']> = {
  order(work: Work<K>): Omit<AgentOrder, 'orderId'>;
  /** The reaction that the version of the monitoring agent shows, or undefined: none. */
  reaction(
    work: Work<K>,
    nma: NmaVersion,
  ): { readonly reaction: Reaction; readonly via: ReactionChannel } | undefined;
  /** What will be written, for a plan that a person reads. */
  preview(work: Work<K>): readonly string[];
};

export type Work<K extends Channel['kind'] = Channel['kind']> = {
  readonly channel: Extract<Channel, { kind: K }>;
  readonly parameters: Parameters;
  readonly gpu: GpuSelector | undefined;
  readonly marker: string;
};

/** What a slow API server may add to the worst case (nma.md §2.3: an event is retried after 10 s). */
const marginMs = 30_000;

export function expectationOf(found: {
  readonly reaction: Reaction;
  readonly via: ReactionChannel;
}): Expectation {
  return {
    kind: found.reaction.appearsAs,
    type: found.reaction.conditionType,
    reason: found.reaction.reason,
    message: found.reaction.message,
    withinSeconds: (reactionWindows[found.via].worstMs + marginMs) / 1000,
  };
}

const kernelMessage: ChannelWork<'kernel-message'> = {
  order: (work) => ({ method: 'WriteKernelMessage', body: { level: 'err', text: recordText(work) } }),
  reaction(work, nma) {
    // The rules run on the raw record; the prefix stands for one that the kernel will put there.
    const [match] = matchKernelRules(nma, `11,1,1,-;${recordText(work)}`);
    if (match === undefined) return undefined;
    const via = match.reaction.appearsAs === 'event' ? 'kernel-log-event' : 'kernel-log-condition';
    return { reaction: match.reaction, via };
  },
  preview: (work) => [`/dev/kmsg ← <3>${recordText(work)}`],
};

function recordText({ channel, parameters, marker }: Work<'kernel-message'>): string {
  const text = channel.text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    name === 'marker' ? marker : String(parameters[name] ?? whole),
  );
  encodeKmsgWrite('err', text, 'fault.parameters');
  return text;
}

const xid: ChannelWork<'xid'> = {
  order({ parameters, gpu }) {
    if ((parameters.surfaces as readonly string[]).includes('kernel-log')) {
      // The agent refuses it as well; a person hears of it before any node is asked.
      encodeKmsgWrite('err', xidLine(parameters, gpu), 'fault.parameters.detail');
    }
    return { method: 'InjectXid', body: { ...parameters, gpu: gpu ?? firstGpu } };
  },
  // What the fault means for the node, on whichever surface it is written: that a surface reaches nobody is a finding,
  // not an expectation.
  reaction: ({ parameters }, nma) => fromPolicy(xidReaction(nma, Number(parameters.xid))),
  preview({ parameters, gpu }) {
    const surfaces = parameters.surfaces as readonly string[];
    const line = xidLine(parameters, gpu);
    return surfaces.map((surface) =>
      surface === 'kernel-log'
        ? `/dev/kmsg ← <3>${gpu?.pci === undefined ? line.replace('0000:00:00', '(address of the GPU)') : line}`
        : `host engine of the monitoring agent ← dcgmi test --inject --gpuid (of the GPU) -f 230 -v ${String(parameters.xid)}`,
    );
  },
};

/** With an address of zeros where the GPU is not known by its own. */
function xidLine(parameters: Parameters, gpu: GpuSelector | undefined): string {
  const pci = parsePci(gpu?.pci ?? '0000:00:00.0', 'target.gpu.pci');
  return renderXidLine({ ...(parameters as object), pci, xid: Number(parameters.xid) });
}

const dcgmField: ChannelWork<'dcgm-field'> = {
  order({ parameters, gpu }) {
    const field = findField(scalar(parameters.field), 'fault.parameters.field');
    const value = assertFieldValue(field, scalar(parameters.value), 'fault.parameters.value');
    const nothing = parameters.force === true ? undefined : explainNoEffect(field, value);
    if (nothing !== undefined) {
      throw new Refusal('field_value_no_effect', `fault.parameters.value: ${nothing.summary}`, {
        field: 'fault.parameters.value',
        value,
        didYouMean: nothing.didYouMean,
        remedy: didYouMean(nothing.didYouMean),
      });
    }
    return { method: 'InjectDcgmField', body: { ...parameters, gpu: gpu ?? firstGpu } };
  },
  reaction({ parameters }, nma) {
    const field = findField(scalar(parameters.field));
    const value = Number(parameters.value);
    const matching = (field.effects ?? []).filter((effect) => isMatch(effect.rule, String(parameters.value)));
    for (const effect of matching) {
      if (effect.kind === 'policy') {
        const found = policyReaction(nma, violationOf(effect.policy, field, value));
        if (found !== undefined) return fromPolicy(found);
      }
      if (effect.kind === 'watch') {
        const found = fieldReaction(nma, field.id, value);
        if (found !== undefined) return { reaction: found, via: 'fields-condition' };
      }
    }
    const health = matching.find((effect) => effect.kind === 'health');
    const found = health === undefined ? undefined : healthReaction(nma, health);
    if (found === undefined) return undefined;
    return { reaction: found, via: found.appearsAs === 'event' ? 'health-event' : 'health-condition' };
  },
  preview({ parameters }) {
    const field = findField(scalar(parameters.field));
    return [
      `host engine of the monitoring agent ← dcgmi test --inject --gpuid (of the GPU) -f ${field.id} -v ${String(parameters.value)}  (${field.name}, ${field.what})`,
    ];
  },
};

/** The node's first GPU by NVML index: a drill that names none takes one, and its receipt says which. */
const firstGpu: GpuSelector = { index: 0 };

function fromPolicy(found: Reaction): { readonly reaction: Reaction; readonly via: ReactionChannel } {
  return { reaction: found, via: found.appearsAs === 'event' ? 'policy-event' : 'policy-condition' };
}

function violationOf(policy: Violation['policy'], field: FieldRow, value: number): Violation {
  const violations: Record<Violation['policy'], () => Violation> = {
    XID: () => ({ policy: 'XID', xid: value }),
    DBE: () => ({ policy: 'DBE', errors: value }),
    NVLink: () => ({ policy: 'NVLink', fieldId: field.id, errors: value }),
    PCIe: () => ({ policy: 'PCIe', replays: value }),
    // 390 counts pages retired for single-bit errors, 391 for double-bit ones (dcgm-fields).
    MaxRtPg: () => ({
      policy: 'MaxRtPg',
      sbePages: field.id === 390 ? value : 0,
      dbePages: field.id === 391 ? value : 0,
    }),
    Thermal: () => ({ policy: 'Thermal', celsius: value }),
    Power: () => ({ policy: 'Power', watts: Math.trunc(value) }),
  };
  return violations[policy]();
}

function scalar(value: unknown): number | string {
  return typeof value === 'number' ? value : String(value);
}

export function didYouMean(
  suggestions: readonly { field: number; name: string; value: string; because: string }[],
): string {
  if (suggestions.length === 0) return 'send force: true to inject it all the same';
  const texts = suggestions.map(
    ({ field, name, value, because }) => `${field} = ${value} (${name}: ${because})`,
  );
  return `did you mean ${texts.join(', or ')}? force: true injects it all the same`;
}

export const channels: { readonly [K in Channel['kind']]: ChannelWork<K> } = {
  'kernel-message': kernelMessage,
  xid,
  'dcgm-field': dcgmField,
};

/** The work of a channel whose kind is only known at run time. */
export function channelOf(channel: Channel): ChannelWork<Channel['kind']> {
  return channels[channel.kind] as ChannelWork<Channel['kind']>;
}
