import { Refusal } from '../errors.ts';
import type { ScriptContext } from '../orders/context.ts';
import { type PciAddress, pciToSysfs, pciToXid } from '../pci.ts';
import type { XidOrder, XidStep } from './checks.ts';
import { refuseWhatNoDriverPrints } from './checks.ts';
import { firstDriverWith, isFrom, parseDriverVersion } from './driver.ts';
import { renderXidLine } from './line.ts';
import { isNvlink5, nvlinkText } from './nvlink.ts';
import { recoveryText } from './recovery.ts';
import { textOf } from './texts.ts';

/**
 * The records of the kernel log that stand for one Xid, in order: the line that introduces the GPU, the Xid, and what
 * the driver prints after it. The driver is `order.driver`, else the node's own, else the newest known.
 * Refuses what that driver does not print, naming the field.
 */
export function xidRecords(step: XidStep, order: XidOrder, context: ScriptContext): readonly string[] {
  const pci = context.gpu?.pci;
  if (pci === undefined) {
    throw new Refusal(
      'gpu_unknown',
      'gpu: its PCI address is not known, and the kernel log names GPUs by it',
      { field: 'gpu' },
    );
  }
  const driverVersion = order.driver ?? context.driverVersion;
  refuseWhatNoDriverPrints(step, order, driverVersion);
  const line = renderXidLine({
    pci,
    xid: step.xid,
    ...(step.process === undefined ? {} : { process: step.process }),
    ...(order.mig === undefined ? {} : { mig: order.mig }),
    text: stepText(step, driverVersion, context.gpu ?? {}),
    ...(driverVersion === undefined ? {} : { driverVersion }),
  });
  if (order.companions === undefined || order.companions === false) return [line];
  return [
    introduction(pci, context.gpu?.uuid),
    line,
    ...(step.xid === 79 ? [`NVRM: GPU ${pciToSysfs(pci)}: GPU has fallen off the bus.`] : []),
    ...(order.companions === 'probe' ? probeLines(pci) : []),
  ];
}

function stepText(
  step: XidStep,
  driverVersion: string | undefined,
  gpu: NonNullable<ScriptContext['gpu']>,
): string {
  const driver = parseDriverVersion(driverVersion);
  const suffix = step.previousXid === undefined ? '' : ` caused by previous Xid ${step.previousXid}`;
  return `${step.detail ?? ownText()}${suffix}`;

  function ownText(): string {
    const { xid } = step;
    if (isNvlink5(xid)) return isFrom(driver, firstDriverWith.nvlink) ? nvlinkText(xid, step.nvlink) : '';
    if (xid === 154)
      return isFrom(driver, firstDriverWith.recoveryAction) ? recoveryText(step.recoveryAction) : '';
    return textOf(xid, driver, gpu);
  }
}

/** Once per GPU and load of the driver; readers take the UUID from it. No reader takes the serial number behind it. */
function introduction(pci: PciAddress, uuid: string | undefined): string {
  if (uuid === undefined || uuid === '') {
    throw new Refusal(
      'gpu_unknown',
      'companions: the UUID of this GPU is not known, and the line beside the Xid names it',
      { field: 'companions', value: true, allowed: [false], remedy: 'ask for the Xid line alone' },
    );
  }
  return `NVRM: GPU at PCI:${pciToXid(pci)}: ${uuid}`;
}

/** When the driver is loaded and the GPU is gone. The device id is an H100's: readers only copy it. */
function probeLines(pci: PciAddress): readonly string[] {
  return [
    `NVRM: The NVIDIA GPU ${pciToSysfs(pci)}`,
    'NVRM: (PCI ID: 10de:2330) installed in this system has',
    'NVRM: fallen off the bus and is not responding to commands.',
  ];
}
