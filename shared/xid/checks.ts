import { Refusal } from '../errors.ts';
import type { InjectCascade, InjectXid } from '../schemas/order.ts';
import { firstDriverWith, generationOf, isFrom, parseDriverVersion } from './driver.ts';
import { isNvlink5 } from './nvlink.ts';

/** What is asked for about one Xid. */
export type XidStep = Omit<InjectCascade['steps'][number], 'afterSeconds'>;

/** What is asked for about all Xids of an order. */
export type XidOrder = Pick<InjectXid, 'driver' | 'mig' | 'companions'>;

/** A part of the line that only some Xids, some drivers or some other parts go with. */
type Check = {
  readonly field: string;
  given(step: XidStep, order: XidOrder): unknown;
  /** Which Xids print it; absent: all. */
  readonly xids?: { readonly name: string; readonly allowed: readonly number[]; takes(xid: number): boolean };
  /** The first driver that prints it; absent: all. */
  readonly from?: string;
};

const nvlink5 = { name: 'Xid 144 to 150', allowed: [144, 145, 146, 147, 148, 149, 150], takes: isNvlink5 };

function only(xid: number): NonNullable<Check['xids']> {
  return { name: `Xid ${xid}`, allowed: [xid], takes: (given) => given === xid };
}

const checks: readonly Check[] = [
  {
    field: 'previousXid',
    given: (step) => step.previousXid,
    xids: only(45),
    from: firstDriverWith.previousXid,
  },
  {
    field: 'recoveryAction',
    given: (step) => step.recoveryAction,
    xids: only(154),
    from: firstDriverWith.recoveryAction,
  },
  { field: 'nvlink', given: (step) => step.nvlink, xids: nvlink5, from: firstDriverWith.nvlink },
  { field: 'mig', given: (_, order) => order.mig, from: firstDriverWith.mig },
  {
    field: 'companions',
    given: (_, order) => (order.companions === 'probe' ? 'probe' : undefined),
    xids: only(79),
  },
];

/** What only a line of the kernel log can say: a host engine takes the number alone. */
const stepParts = ['process', 'detail', 'previousXid', 'recoveryAction', 'nvlink'] as const;
const orderParts = ['driver', 'mig', 'companions'] as const;

/** Refuses with `parameter_invalid` what would be left out where nothing is written into the kernel log. */
export function refuseWithoutKernelLog(step: XidStep, order: XidOrder, path: string): void {
  const given = [
    ...stepParts.map((name) => ({ field: `${path}${name}`, value: step[name] })),
    ...orderParts.map((name) => ({ field: name, value: order[name] })),
  ].find(({ value }) => value !== undefined && value !== false);
  if (given === undefined) return;
  const { field, value } = given;
  throw new Refusal('parameter_invalid', `${field}: only the line in the kernel log has it`, {
    field,
    value,
    allowed: 'with kernel-log among the surfaces',
    remedy: `add kernel-log to surfaces, or leave ${field} out`,
  });
}

/** Refuses with `parameter_invalid`; the driver is the newest known where none is given. */
export function refuseWhatNoDriverPrints(
  step: XidStep,
  order: XidOrder,
  driverVersion: string | undefined,
): void {
  const driver = parseDriverVersion(driverVersion);
  for (const { field, given, xids, from } of checks) {
    const value = given(step, order);
    if (value === undefined) continue;
    if (xids !== undefined && !xids.takes(step.xid)) {
      throw new Refusal('parameter_invalid', `${field}: only ${xids.name} has it, not ${step.xid}`, {
        field,
        value,
        allowed: { xid: xids.allowed },
        remedy: `leave ${field} out`,
      });
    }
    if (from !== undefined && !isFrom(driver, from)) throw tooOld(field, value, from, driverVersion);
  }
  refuseTwoTexts(step);
  refuseUnprintedProcess(step, driverVersion);
}

function tooOld(field: string, value: unknown, from: string, driverVersion: string | undefined): Refusal {
  return new Refusal('parameter_invalid', `${field}: driver ${driverVersion} does not print it`, {
    field,
    value,
    allowed: { driver: `${from} and later` },
    remedy: `leave ${field} out, or order the text of another driver`,
  });
}

/** A text of one's own beside the parts that a text is made of: one of them would be lost. */
function refuseTwoTexts({ detail, nvlink, recoveryAction }: XidStep): void {
  const part = nvlink === undefined ? 'recoveryAction' : 'nvlink';
  if (detail === undefined || (nvlink ?? recoveryAction) === undefined) return;
  throw new Refusal('parameter_invalid', `detail: the text is made from ${part} already`, {
    field: 'detail',
    value: detail,
    allowed: `detail or ${part}`,
    remedy: 'leave one of them out',
  });
}

function refuseUnprintedProcess({ process }: XidStep, driverVersion: string | undefined): void {
  const { name: generation, names } = generationOf(parseDriverVersion(driverVersion));
  for (const part of ['pid', 'name'] as const) {
    if (process?.[part] === undefined || names.includes(part)) continue;
    throw new Refusal(
      'parameter_invalid',
      `process.${part}: drivers ${generation} print none (${driverVersion})`,
      {
        field: `process.${part}`,
        value: process[part],
        allowed: names.length === 0 ? 'no process' : { process: names },
        remedy: 'leave it out, or order the text of another driver',
      },
    );
  }
}
