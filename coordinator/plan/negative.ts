import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { firstGpu } from '../../shared/faults/channels/channel.ts';
import { channelOf, expectationOf } from '../../shared/faults/channels.ts';
import type { FaultRow } from '../../shared/faults/row.ts';
import { gpuConditionType } from '../../shared/nma/conditions.ts';
import type { NmaVersion } from '../../shared/nma/versions.ts';
import type { Expectation } from '../../shared/schemas/expectation.ts';
import type { AgentOrder, Control, ExpectationInput } from '../../shared/schemas/experiment.ts';
import type { GpuSelector } from '../../shared/schemas/order.ts';

/** Longer than a healthy agent needs for a policy's condition (nma.md §2.3), with a slow API server. */
const usualForSeconds = 60;

const positive = ['kind', 'type', 'reason', 'message', 'within'] as const;

/** The expectation of a negative drill, or undefined where it is no such drill. Refuses what goes with the other only. */
export function negativeExpectation(
  given: ExpectationInput,
  usual: Expectation | undefined,
  row: Pick<FaultRow, 'name' | 'needsGpu' | 'channel'>,
): Expectation | undefined {
  if (given.none !== true) {
    const stray = (['for', 'event'] as const).find((name) => given[name] !== undefined);
    if (stray === undefined) return undefined;
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
  const isAboutGpus = row.needsGpu || row.channel.kind === 'sxid';
  return {
    kind: 'none',
    type: usual?.type ?? (isAboutGpus ? gpuConditionType : 'KernelReady'),
    reason: usual?.reason ?? '',
    ...(usual?.message === undefined ? {} : { message: usual.message }),
    event: given.event ?? 'allowed',
    withinSeconds: forSeconds(given.for, usual),
  };
}

function forSeconds(text: string | undefined, usual: Expectation | undefined): number {
  if (text === undefined) return Math.max(usual?.withinSeconds ?? 0, usualForSeconds);
  const seconds = parseDuration(text, 'expectation.for') / 1000;
  if (seconds >= 1 && seconds <= 3600) return seconds;
  throw new Refusal('expectation_invalid', 'expectation.for: must be from 1 s to 1 h', {
    field: 'expectation.for',
    value: text,
    allowed: '1s to 1h',
  });
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

/** The controls of a negative drill: on each way that its order takes, one before it and one after it. */
export function controlsFor(order: AgentOrder, nma: NmaVersion, marker: string): readonly Control[] {
  return (['before', 'after'] as const).flatMap((when) =>
    pathsOf(order).map((path) => {
      const orderId = `${order.orderId}-${when}-${path}`;
      const made = path === 'dcgm' ? engineControl(order, nma) : kernelControl(`${marker}${when[0]}`, nma);
      return { when, path, order: { orderId, ...made.order }, expectation: made.expectation };
    }),
  );
}

type MadeControl = {
  readonly order: Omit<AgentOrder, 'orderId'>;
  readonly expectation: Expectation;
};

/** What is written to a file or to the journal is read by the same process as the kernel log, through a watch of its own. */
function pathsOf({ method, body }: AgentOrder): readonly Control['path'][] {
  if (method === 'InjectDcgmField' || method === 'PauseHostEngine') return ['dcgm'];
  return Array.isArray(body.surfaces) ? (body.surfaces as Control['path'][]) : ['kernel-log'];
}

function engineControl({ body }: AgentOrder, nma: NmaVersion): MadeControl {
  const taken = xidsOf(body);
  const xid = controlXids.find((candidate) => !taken.includes(candidate));
  if (xid === undefined) {
    throw new Refusal(
      'expectation_invalid',
      `expectation.none: the fault is made of Xids ${controlXids.join(', ')}, and each of the controls needs another`,
      { field: 'expectation.none', remedy: 'leave one of them out of the fault' },
    );
  }
  const { engine } = body;
  return control(
    { kind: 'xid' },
    { xid, surfaces: ['dcgm'], ...(engine === undefined ? {} : { engine }) },
    { gpu: (body.gpu as GpuSelector | undefined) ?? firstGpu, nma },
  );
}

/** By number, as steps of a cascade, or as a value of field 230. */
function xidsOf({ xid, steps, value }: AgentOrder['body']): readonly number[] {
  const inSteps = Array.isArray(steps) ? steps.map((step: { xid?: unknown }) => step.xid) : [];
  return [xid, value, ...inSteps].map(Number);
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
