import t from 'tap';
import { detectionOf } from '../../../../coordinator/catalogue/nma/known-reasons.ts';

/** Written from nma.md §1.1 to §1.12: what NMA reports, and what it learns it from. */
const rows = [
  ['AcceleratedHardwareReady', 'NvidiaXID79Error', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaXID31Warning', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaDoubleBitError', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaNVLinkError', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaPCIeError', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaPageRetirement', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaThermalError', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaPowerError', 'policy', 'nvidia'],
  ['AcceleratedHardwareReady', 'DCGMHealthCode120', 'health-check', 'nvidia'],
  ['AcceleratedHardwareReady', 'FabricManagerNotRunning', 'watched-field', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaFabricError', 'watched-field', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaDeviceCountMismatch', 'device-count', 'nvidia'],
  ['AcceleratedHardwareReady', 'DCGMError', 'engine-pause', 'nvidia'],
  ['AcceleratedHardwareReady', 'NvidiaNCCLError', 'kernel-log-rule', 'nvidia'],
  ['AcceleratedHardwareReady', 'NeuronDMAError', 'kernel-log-rule', 'neuron'],
  ['KernelReady', 'SoftLockup', 'kernel-log-rule', 'kernel-monitor'],
  ['KernelReady', 'ForkFailedOutOfPIDs', 'journal-rule', 'kernel-monitor'],
  ['KernelReady', 'RapidCron', 'log-file-rule', 'kernel-monitor'],
  ['NetworkingReady', 'IPAMDRepeatedlyRestart', 'log-file-rule', 'networking'],
] as const;

t.test('how NMA finds what it reports', async (t) => {
  for (const [type, reason, via, plugin] of rows)
    t.strictSame(detectionOf({ type, reason }), { via, plugin }, reason);
});

t.test('what no version reports is not guessed', async (t) => {
  for (const [type, reason] of [
    ['AcceleratedHardwareReady', 'NvidiaXidError'],
    ['AcceleratedHardwareReady', 'NvidiaXID999999Error'],
    ['AcceleratedHardwareReady', 'DCGMHealthCode'],
    ['AcceleratedHardwareReady', 'DCGMHealthCode122'],
    ['AcceleratedHardwareReady', 'NeuronSomethingNew'],
    ['KernelReady', 'NvidiaXID79Error'],
    ['Ready', 'SoftLockup'],
  ] as const)
    t.equal(detectionOf({ type, reason }), undefined, `${type} ${reason}`);
});
