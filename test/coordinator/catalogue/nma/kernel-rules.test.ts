import t from 'tap';
import { kernelRules, matchKernelRules } from '../../../../coordinator/catalogue/nma/kernel-rules.ts';
import { findNmaVersion } from '../../../../coordinator/catalogue/nma/versions.ts';
import { type RuleRow, reasonIn, renderReaction } from './rule-rows.ts';

const prefix = '11,4242,987654321,-;';

function matches(version: string, text: string): string[] {
  return matchKernelRules(findNmaVersion(version).row, prefix + text).map(({ reaction }) =>
    renderReaction(reaction, 'appearsAs'),
  );
}

t.test('lines of the kernel log', async (t) => {
  const crashed = (name: string) => `event KernelReady AppCrash: Process "${name}" on the node has crashed`;
  const ioError = (place: string) =>
    `event StorageReady BlockDeviceIOError: I/O error detected on block device ${place}, indicating a failed physical drive or EBS volume`;
  const rows: RuleRow<string>[] = [
    [
      '1.6.0',
      'watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [VM Thread:4054]',
      ['event KernelReady SoftLockup: CPU stuck for 23s'],
    ],
    [
      '1.7.2',
      'watchdog: BUG: soft lockup - CPU#6 stuck for 4711s! [xidrill:1]',
      ['event KernelReady SoftLockup: CPU stuck for 4711s'],
    ],
    [
      '1.6.0',
      '[12345.678901] BUG: unable to handle kernel NULL pointer dereference at 0000',
      ['event KernelReady KernelBug: A kernel bug was detected and reported by the Linux kernel'],
    ],
    ['1.6.0', 'BUG: kernel NULL pointer dereference, address: 0000000000000000', []],
    [
      '1.6.0',
      'traps: python3[4321] general protection fault ip:7f sp:7f error:0 in libc.so.6',
      [crashed('python3')],
    ],
    [
      '1.7.1',
      'traps: python3[4321] general protection fault ip:7f sp:7f error:0 in libc.so.6',
      [crashed('python3')],
    ],
    ['1.7.0', 'traps: chrome[4321] trap int3 ip:7f sp:7f error:0', [crashed('chrome')]],
    ['1.7.1', 'traps: chrome[4321] trap int3 ip:7f sp:7f error:0', []],
    ['1.7.1', 'traps: app[4321] trap divide error ip:7f sp:7f error:0', [crashed('app')]],
    ['1.6.0', 'python3[4321]: segfault at 0 ip 0 sp 0 error 4', []],
    ['1.6.0', 'kernel: app[123]: segfault at 0 ip 0 sp 0 error 4', [crashed('')]],
    ['1.7.1', 'kernel: app[123]: segfault at 0 ip 0 sp 0 error 4', [crashed('app')]],
    [
      '1.6.0',
      'INFO: task nvidia-smi:1234 blocked for more than 120 seconds.',
      [
        'event KernelReady AppBlocked: Process "nvidia-smi" has been blocked from scheduling for a long period of time',
      ],
    ],
    [
      '1.6.0',
      'nf_conntrack: nf_conntrack: table full, dropping packet',
      ['event KernelReady ConntrackExceededKernel: Connection tracking exceeded the maximum for the kernel'],
    ],
    ['1.6.7', 'blk_update_request: I/O error, dev nvme1n1, sector 12345', []],
    [
      '1.7.0',
      'blk_update_request: I/O error, dev nvme1n1, sector 12345',
      [ioError('nvme1n1 at sector 12345')],
    ],
    ['1.7.0', 'end_request: I/O error, dev sde, sector 52428288', [ioError('sde at sector 52428288')]],
    [
      '1.7.0',
      'Buffer I/O error on device dm-0, logical block 209713024',
      [ioError('dm-0 at logical block 209713024')],
    ],
    ['1.7.0', 'I/O error, dev nvme1n1, sector 12345 op 0x0:(READ)', []],
    ['1.7.0', 'Buffer I/O error on dev nvme1n1, logical block 0, async page read', []],
    [
      '1.6.0',
      'pt_main_thread[2536443]: segfault at 7f797fe00000 ip 00007f7c7ac69996 sp 00007f7c12fd7c30 error 4 in libnccl.so.2[7f7c7ac00000+d3d3000]',
      [
        'event AcceleratedHardwareReady NvidiaNCCLError: NCCL communication error caused by segfault in libnccl.so',
      ],
    ],
    [
      '1.6.0',
      'kernel: NEURON_HW_ERR=SRAM_UNCORRECTABLE_ERROR affecting neuron devices',
      [
        'condition AcceleratedHardwareReady NeuronSRAMUncorrectableError: Discovered SRAM Uncorrectable Error',
      ],
    ],
    [
      '1.6.0',
      'kernel: NEURON_HW_ERR=DMA_ERROR affecting neuron devices',
      ['condition AcceleratedHardwareReady NeuronDMAError: Discovered DMA Error'],
    ],
    ['1.6.0', 'NEURON_HW_ERR=SRAM_UNCORRECTABLE_ERROR affecting neuron devices', []],
    ['1.6.0', 'NVRM: Xid (PCI:0000:00:1f): 79, pid=1234, GPU has fallen off the bus.', []],
    ['1.7.2', 'NVRM: Xid (PCI:0000:00:1f): 79, pid=1234, GPU has fallen off the bus.', []],
    ['1.7.2', 'NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory', []],
  ];
  for (const [version, text, expected] of rows)
    t.same(matches(version, text), expected, `${version}: ${text}`);
});

t.test('the first rule of a monitor wins, and monitors do not know of one another', async (t) => {
  t.same(
    matches('1.6.0', '[1.2] BUG: x watchdog: BUG: soft lockup - CPU#1 stuck for 9s! [a:1]').map(reasonIn),
    ['SoftLockup:'],
  );
  t.same(matches('1.6.0', 'kernel: a[1]: segfault at 0 ip 0 error 4 in libnccl.so.2[0+1]').map(reasonIn), [
    'AppCrash:',
    'NvidiaNCCLError:',
  ]);
});

t.test('every rule matches its own sample', async (t) => {
  for (const rule of kernelRules) {
    t.ok(rule.pattern.test(prefix + rule.sample), `${rule.id} since ${rule.since}`);
  }
});
