import { findField } from '../dcgm-fields/find.ts';
import { xidField } from '../dcgm-fields/ids.ts';
import { Refusal } from '../errors.ts';
import type { KmsgLevel } from '../kmsg-record.ts';
import type {
  InjectCascade,
  InjectXid,
  MethodCall,
  OrderBody,
  OrderMethod,
  Reach,
} from '../schemas/order.ts';
import { logFiles, longestSustainSeconds } from '../schemas/order.ts';
import type { XidOrder, XidStep } from '../xid/checks.ts';
import { refuseWithoutKernelLog } from '../xid/checks.ts';
import { xidRecords } from '../xid/records.ts';
import { sxidRecords } from '../xid/sxid.ts';
import type { ScriptContext } from './context.ts';
import { refuseUnusedTimes } from './unused-times.ts';

/**
 * What an order writes, part by part: the agent carries exactly this out, and a plan shows exactly this. One part is
 * one entry of the receipt. `afterMs` counts from the acceptance of the order.
 */
export type Part =
  | {
      readonly surface: 'kernel-log';
      readonly afterMs: number;
      readonly level: KmsgLevel;
      readonly text: string;
      /** The request field that a refusal of the text names. */
      readonly field: string;
    }
  | {
      /** In the kernel log it stands as `identifier: text`. */
      readonly surface: 'journal';
      readonly afterMs: number;
      readonly identifier: string;
      readonly text: string;
    }
  | {
      readonly surface: 'log-file';
      readonly afterMs: number;
      /** On the node. */
      readonly path: string;
      readonly text: string;
    }
  | {
      readonly surface: 'dcgm';
      readonly afterMs: number;
      readonly field: number;
      readonly value: number | string;
      readonly offsetSeconds: number | undefined;
      readonly reach: Reach | undefined;
      /** Set: written until then, by the recipe of the field (shared/dcgm-fields/recipe.ts). */
      readonly forMs: number | undefined;
      /** The beat instead of the recipe's own. */
      readonly everyMs: number | undefined;
    }
  | { readonly surface: 'host-engine'; readonly afterMs: number; readonly forMs: number };

/** Pure: the same order on the same node gives the same parts, here and there. */
export function scriptOf(call: MethodCall, context: ScriptContext): readonly Part[] {
  // A method's script takes that method's body: the compiler cannot follow the pair through the look-up.
  const script = scripts[call.method] as (
    body: MethodCall['body'],
    context: ScriptContext,
  ) => readonly Part[];
  return script(call.body, context);
}

/** What is written into the kernel log, from where journald takes what is for the journal. */
export function recordOf(part: RecordPart): Pick<KernelLogPart, 'level' | 'text' | 'field'> {
  if (part.surface === 'kernel-log') return part;
  return { level: 'info', text: `${part.identifier}: ${part.text}`, field: 'text' };
}

type KernelLogPart = Extract<Part, { surface: 'kernel-log' }>;
/** A part that is written through the kernel log. */
export type RecordPart = Extract<Part, { surface: 'kernel-log' | 'journal' }>;

const scripts: {
  readonly [M in OrderMethod]: (body: OrderBody<M>, context: ScriptContext) => readonly Part[];
} = {
  WriteKernelMessage: (body) => [
    { surface: 'kernel-log', afterMs: 0, level: body.level ?? 'err', text: body.text, field: 'text' },
  ],
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
  InjectDcgmField: (body) => {
    const field = findField(body.field);
    refuseUnusedTimes(field, body);
    return [
      {
        surface: 'dcgm',
        afterMs: 0,
        field: field.id,
        value: body.value,
        offsetSeconds: body.offsetSeconds,
        reach: body.reach,
        forMs: millis(body.forSeconds),
        everyMs: millis(body.everySeconds),
      },
    ];
  },
  WriteJournalMessage: (body) =>
    repeated(body, (afterMs) => ({
      surface: 'journal',
      afterMs,
      identifier: body.identifier,
      text: body.text,
    })),
  AppendLogLine: (body) =>
    repeated(body, (afterMs) => ({
      surface: 'log-file',
      afterMs,
      path: logFiles[body.file],
      text: body.text,
    })),
  PauseHostEngine: (body) => [{ surface: 'host-engine', afterMs: 0, forMs: body.forSeconds * 1000 }],
};

type XidParts = XidOrder & Pick<InjectXid, 'surfaces' | 'engine'>;

function refuseWhatIsLeftOut(step: XidStep, order: XidParts, path: string): void {
  const { surfaces, engine } = order;
  if (!surfaces.includes('kernel-log')) refuseWithoutKernelLog(step, order, path);
  if (surfaces.includes('dcgm') || engine === undefined) return;
  throw new Refusal('parameter_invalid', 'engine: the kernel log has none', {
    field: 'engine',
    value: engine,
    allowed: 'with dcgm among the surfaces',
    remedy: 'add dcgm to surfaces, or leave engine out',
  });
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
      const once = {
        offsetSeconds: undefined,
        reach: undefined,
        forMs: undefined,
        everyMs: undefined,
      } as const;
      return [{ surface, afterMs, field: xidField, value: step.xid, ...once }];
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
  throw new Refusal('malformed_request', `${field}: before the step in front of it, which is at ${least} s`, {
    field,
    value: steps[late]?.afterSeconds,
    allowed: { minimum: least },
  });
}

function repeated(
  body: { readonly times?: number; readonly gapSeconds?: number },
  make: (afterMs: number) => Part,
): readonly Part[] {
  const { times = 1, gapSeconds = 0 } = body;
  if ((times - 1) * gapSeconds > longestSustainSeconds) {
    const most = longestSustainSeconds / (times - 1);
    throw new Refusal(
      'malformed_request',
      `gapSeconds: ${times} lines would take ${(times - 1) * gapSeconds} s, and an order lasts at most ${longestSustainSeconds} s`,
      { field: 'gapSeconds', value: gapSeconds, allowed: { maximum: most } },
    );
  }
  return Array.from({ length: times }, (_, index) => make(index * gapSeconds * 1000));
}

function millis(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}
