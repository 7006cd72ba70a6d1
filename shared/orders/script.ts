import { xidField } from '../dcgm-fields/ids.ts';
import { renderDuration } from '../duration.ts';
import { Refusal } from '../errors.ts';
import type { InjectCascade, InjectXid, MethodCall, OrderBody, OrderMethod } from '../schemas/order.ts';
import type { JournalPart } from '../surfaces/journal.ts';
import type { KernelLogPart } from '../surfaces/kernel-log.ts';
import { type Part, type SurfaceMethods, surfaceMethods } from '../surfaces/table.ts';
import { refuseWithoutKernelLog, type XidOrder, type XidStep } from '../xid/checks.ts';
import { xidRecords } from '../xid/records.ts';
import { sxidRecords } from '../xid/sxid.ts';
import type { ScriptContext } from './context.ts';

/** Pure: the same order on the same node gives the same parts, here and there. */
export function scriptOf(call: MethodCall, context: ScriptContext): readonly Part[] {
  // A method's script takes that method's body: the compiler cannot follow the pair through the look-up.
  const script = (
    call.method in driverScripts
      ? driverScripts[call.method as keyof typeof driverScripts]
      : surfaceMethods[call.method as keyof SurfaceMethods].script
  ) as (body: MethodCall['body'], context: ScriptContext) => readonly Part[];
  return script(call.body, context);
}

/** What is written into the kernel log, from where journald takes what is for the journal. */
export function recordOf(part: RecordPart): Pick<KernelLogPart, 'level' | 'text' | 'field'> {
  if (part.surface === 'kernel-log') return part;
  return { level: 'info', text: `${part.identifier}: ${part.text}`, field: 'text' };
}

/** A part that is written through the kernel log. */
export type RecordPart = KernelLogPart | JournalPart;

/** Orders for an error as its driver prints it; all others write to one surface alone and stand with it. */
const driverScripts: {
  readonly [M in Exclude<OrderMethod, keyof SurfaceMethods>]: (
    body: OrderBody<M>,
    context: ScriptContext,
  ) => readonly Part[];
} = {
  InjectXid: (body, context) => xidParts(body, body, { path: '', afterMs: 0 }, context),
  InjectCascade: (body, context) => {
    assertInOrder(body.steps);
    return body.steps.flatMap((step, index) =>
      xidParts(step, body, { path: `steps.${index}.`, afterMs: step.afterSeconds * 1000 }, context),
    );
  },
  InjectSxid: (body) =>
    sxidRecords(body).map((text) => ({
      surface: 'kernel-log',
      afterMs: 0,
      level: 'err',
      text,
      field: 'detail',
    })),
};

type XidParts = XidOrder & Pick<InjectXid, 'surfaces' | 'engine' | 'forSeconds'>;

function refuseWhatIsLeftOut(step: XidStep, order: XidParts, path: string): void {
  const { surfaces, engine, forSeconds } = order;
  if (!surfaces.includes('kernel-log')) refuseWithoutKernelLog(step, order, path);
  if (surfaces.includes('dcgm')) return;
  const why = { engine: 'the kernel log has none', forSeconds: 'a record of the kernel log is written once' };
  for (const [field, value] of Object.entries({ engine, forSeconds })) {
    if (value === undefined) continue;
    throw new Refusal('parameter_invalid', `${field}: ${why[field as keyof typeof why]}`, {
      field,
      value,
      allowed: 'with dcgm among the surfaces',
      remedy: `add dcgm to surfaces, or leave ${field} out`,
    });
  }
}

function xidParts(
  step: XidStep,
  order: XidParts,
  { path, afterMs }: { readonly path: string; readonly afterMs: number },
  context: ScriptContext,
): readonly Part[] {
  refuseWhatIsLeftOut(step, order, path);
  return order.surfaces.flatMap((surface): readonly Part[] => {
    if (surface === 'dcgm') {
      const { forSeconds } = order;
      const forMs = forSeconds === undefined ? undefined : forSeconds * 1000;
      const usual = { offsetSeconds: undefined, reach: undefined, everyMs: undefined } as const;
      return [{ surface, afterMs, field: xidField, value: step.xid, forMs, ...usual }];
    }
    return xidRecords(step, order, context).map((text) => ({
      surface,
      afterMs,
      level: 'err',
      text,
      field: step.detail === undefined ? 'process.name' : 'detail',
    }));
  });
}

function assertInOrder(steps: InjectCascade['steps']): void {
  const late = steps.findIndex(
    ({ afterSeconds }, index) => afterSeconds < (steps[index - 1]?.afterSeconds ?? 0),
  );
  if (late < 0) return;
  const field = `steps.${late}.afterSeconds`;
  const least = steps[late - 1]?.afterSeconds;
  throw new Refusal(
    'malformed_request',
    `${field}: before the step in front of it, which is at ${renderDuration(least ?? 0)}`,
    {
      field,
      value: steps[late]?.afterSeconds,
      allowed: { minimum: least },
    },
  );
}
