import t from 'tap';
import { faults, notOffered } from '../../../coordinator/catalogue/catalogue.ts';
import type { ChannelReaction } from '../../../coordinator/catalogue/channels/channel.ts';
import { channelOf } from '../../../coordinator/catalogue/channels.ts';
import { kernelRules } from '../../../coordinator/catalogue/nma/kernel-rules.ts';
import { logRules } from '../../../coordinator/catalogue/nma/log-rules.ts';
import { findNmaVersion, nmaVersions } from '../../../coordinator/catalogue/nma/versions.ts';
import {
  exampleParameters,
  type Parameters,
  resolveParameters,
} from '../../../coordinator/catalogue/parameters.ts';
import type { FaultRow } from '../../../coordinator/catalogue/row.ts';
import { assertCatalogue } from '../../../coordinator/catalogue/validate.ts';
import { healthCodeNames } from '../../../shared/dcgm-fields/health-codes.ts';
import { fieldRows } from '../../../shared/dcgm-fields/rows.ts';
import { isMatch } from '../../../shared/dcgm-fields/rule.ts';

const marker = 'a1b2c3';

function workOf(row: FaultRow, given: Parameters) {
  const parameters = resolveParameters(row, { ...exampleParameters(row), ...given }, marker);
  return { channel: row.channel, parameters, gpu: undefined, marker };
}

function reactionsOf(row: FaultRow, version: string, given: Parameters = {}): readonly ChannelReaction[] {
  const nma = findNmaVersion(version).row;
  return channelOf(row.channel).reactions(workOf(row, given), { nma, engineVersion: undefined });
}

/** A row with what it has by itself, with every choice, and with every Xid. */
function variants(row: FaultRow): readonly Parameters[] {
  const choices = Object.entries(row.parameters).flatMap(([name, { allowed = [], goesWith }]) =>
    allowed.map((choice) => ({ ...goesWith, [name]: choice })),
  );
  const xids = row.name === 'xid' ? Array.from({ length: 255 }, (_, index) => ({ xid: index + 1 })) : [];
  return [{}, ...choices, ...xids];
}

const gpu = 'AcceleratedHardwareReady';

/** nma.md §1: what version 1.7.2 with its engine 4.6 shows for the defaults; null: nothing. */
const expected: Readonly<Record<string, readonly [kind: string, type: string, reason: string] | null>> = {
  xid: ['condition', gpu, 'NvidiaXID79Error'],
  cascade: ['condition', gpu, 'NvidiaXID48Error'],
  sxid: null,
  'dcgm-field': ['condition', gpu, 'NvidiaXID79Error'],
  'engine-loss': ['condition', gpu, 'DCGMError'],
  'double-bit-error': ['condition', gpu, 'NvidiaDoubleBitError'],
  'nvlink-error': ['condition', gpu, 'NvidiaNVLinkError'],
  'pcie-replay': ['event', gpu, 'NvidiaPCIeError'],
  'page-retirement': ['event', gpu, 'NvidiaPageRetirement'],
  'thermal-violation': ['event', gpu, 'NvidiaThermalError'],
  'power-violation': ['event', gpu, 'NvidiaPowerError'],
  'health-volatile-dbe': ['condition', gpu, 'DCGMHealthCode4'],
  'health-pending-retirement': ['event', gpu, 'DCGMHealthCode6'],
  'health-retired-pages': ['condition', gpu, 'DCGMHealthCode7'],
  'health-retired-pages-dbe': ['condition', gpu, 'DCGMHealthCode8'],
  'health-row-remap-failure': ['condition', gpu, 'DCGMHealthCode80'],
  'health-row-remap-limit': ['event', gpu, 'DCGMHealthCode132'],
  'health-faulty-memory': ['condition', gpu, 'DCGMHealthCode52'],
  'health-inforom': ['event', gpu, 'DCGMHealthCode9'],
  'health-thermal-violation': ['event', gpu, 'DCGMHealthCode10'],
  'health-power-violation': ['event', gpu, 'DCGMHealthCode12'],
  'health-power-unreadable': ['event', gpu, 'DCGMHealthCode11'],
  'health-pcie-replays': ['event', gpu, 'DCGMHealthCode3'],
  'health-nvlink-crc': ['event', gpu, 'DCGMHealthCode13'],
  'health-nvlink-crc-rate': ['condition', gpu, 'DCGMHealthCode70'],
  'health-nvlink-critical': ['condition', gpu, 'DCGMHealthCode71'],
  'health-nvlink-counters': ['condition', gpu, 'DCGMHealthCode71'],
  'health-nvlink-lifetime': ['event', gpu, 'DCGMHealthCode71'],
  'health-nvlink-recovered': ['event', gpu, 'DCGMHealthCode71'],
  'health-nvlink-not-recovered': ['condition', gpu, 'DCGMHealthCode71'],
  'health-nvlink-ber': ['condition', gpu, 'DCGMHealthCode119'],
  'health-nvlink-symbol-ber': ['condition', gpu, 'DCGMHealthCode121'],
  'health-fabric-state': ['event', gpu, 'DCGMHealthCode123'],
  'health-recovery-action': ['condition', gpu, 'DCGMHealthCode125'],
  'fabric-manager': ['condition', gpu, 'FabricManagerNotRunning'],
  'fabric-health': ['condition', gpu, 'NvidiaFabricError'],
  'task-blocked': ['event', 'KernelReady', 'AppBlocked'],
  'soft-lockup': ['event', 'KernelReady', 'SoftLockup'],
  'kernel-bug': ['event', 'KernelReady', 'KernelBug'],
  'conntrack-full': ['event', 'KernelReady', 'ConntrackExceededKernel'],
  'app-crash': ['event', 'KernelReady', 'AppCrash'],
  'nccl-error': ['event', gpu, 'NvidiaNCCLError'],
  'block-device-io-error': ['event', 'StorageReady', 'BlockDeviceIOError'],
  'neuron-error': ['condition', gpu, 'NeuronSRAMUncorrectableError'],
  'kernel-message': null,
  'fork-failed': ['condition', 'KernelReady', 'ForkFailedOutOfPIDs'],
  'pod-stuck-terminating': ['condition', 'ContainerRuntimeReady', 'PodStuckTerminating'],
  'kubelet-failed': ['event', 'ContainerRuntimeReady', 'KubeletFailed'],
  'container-runtime-failed': ['event', 'ContainerRuntimeReady', 'ContainerRuntimeFailed'],
  'readiness-probe-failures': ['event', 'ContainerRuntimeReady', 'ReadinessProbeFailures'],
  'liveness-probe-failures': ['event', 'ContainerRuntimeReady', 'LivenessProbeFailures'],
  'kubelet-disk-slow': ['event', 'StorageReady', 'KubeletDiskUsageSlow'],
  'service-failed': ['event', 'ContainerRuntimeReady', 'ServiceFailedToStart'],
  'ipamd-not-ready': ['condition', 'NetworkingReady', 'IPAMDNotReady'],
  'ipamd-no-ips': ['event', 'NetworkingReady', 'IPAMDNoIPs'],
  'ipamd-repeated-restart': ['event', 'NetworkingReady', 'IPAMDRepeatedlyRestart'],
  'etc-hosts-mount-failed': ['event', 'StorageReady', 'EtcHostsMountFailed'],
  'rapid-cron': ['event', 'KernelReady', 'RapidCron'],
};

t.test('what each fault is followed by, with its defaults', async (t) => {
  t.same(
    faults.map(({ name }) => name),
    Object.keys(expected),
    'no fault without a row here',
  );
  for (const row of faults) {
    const [found] = reactionsOf(row, '1.7.2');
    const { appearsAs, conditionType, reason } = found?.reaction ?? {};
    t.same(found === undefined ? null : [appearsAs, conditionType, reason], expected[row.name], row.name);
  }
});

t.test('choices decide as well', async (t) => {
  const rows: readonly (readonly [string, Parameters, string, string])[] = [
    ['health-recovery-action', { action: 2 }, 'condition', 'DCGMHealthCode126'],
    ['health-recovery-action', { action: 3 }, 'event', 'DCGMHealthCode127'],
    ['health-recovery-action', { action: 4 }, 'condition', 'DCGMHealthCode128'],
    ['health-fabric-state', { status: 1 }, 'condition', 'DCGMHealthCode123'],
    ['neuron-error', { error: 'DMA_ERROR' }, 'condition', 'NeuronDMAError'],
    ['neuron-error', { error: 'NC_UNCORRECTABLE_ERROR' }, 'condition', 'NeuronNCUncorrectableError'],
    ['xid', { xid: 45 }, 'event', 'NvidiaXID45Warning'],
  ];
  for (const [name, given, kind, reason] of rows) {
    const row = faults.find((candidate) => candidate.name === name);
    const [found] = row === undefined ? [] : reactionsOf(row, '1.7.2', given);
    t.same(
      [found?.reaction.appearsAs, found?.reaction.reason],
      [kind, reason],
      `${name} ${JSON.stringify(given)}`,
    );
  }
});

const reached = new Set(
  faults.flatMap((row) =>
    variants(row).flatMap((given) =>
      nmaVersions.flatMap(({ version }) =>
        reactionsOf(row, version, given).map(({ reaction }) => reaction.reason),
      ),
    ),
  ),
);
const toldOf = notOffered.map(({ reaction }) => reaction).join(' ');
const isKnown = (reason: string) => reached.has(reason) || new RegExp(`\\b${reason}\\b`).test(toldOf);

t.test('whatever the monitoring agent reacts to is a fault, or is told of as not offered', async (t) => {
  // nma.md §1, all reasons that no rule of shared/nma stands for.
  const ticks =
    'NvidiaDoubleBitError NvidiaNVLinkError NvidiaPCIeError NvidiaPageRetirement NvidiaThermalError NvidiaPowerError ' +
    'FabricManagerNotRunning NvidiaFabricError NvidiaDeviceCountMismatch DCGMError DCGMDiagnosticFailure ' +
    'ApproachingKernelPidMax ApproachingMaxOpenFiles ExcessiveZombieProcesses LargeEnvironment ZramHighUsage ' +
    'ClockUnsynchronized XFSSmallAverageClusterSize IODelays EBSVolumeIOPSExceeded EBSVolumeThroughputExceeded ' +
    'EBSInstanceIOPSExceeded EBSInstanceThroughputExceeded KubeProxyNotReady IPAMDNotRunning IPAMDInconsistentState ' +
    'InterfaceNotUp InterfaceNotRunning MissingLoopbackInterface NetworkSysctl UnexpectedRejectRule PortConflict ' +
    'MissingIPRules MissingIPRoutes MissingDefaultRoutes MACAddressPolicyMisconfigured BandwidthInExceeded ' +
    'BandwidthOutExceeded ConntrackExceeded LinkLocalExceeded PPSExceeded EFAErrorMetric NPANotRunning ' +
    'NPARepeatedlyRestart NPABPFRecoveryError RepeatedRestart DeprecatedContainerdConfiguration';
  const codes = fieldRows.flatMap(({ effects = [] }) =>
    effects.flatMap((effect) => (effect.kind === 'health' ? [effect.code] : [])),
  );
  const reasons = [
    ...ticks.split(' '),
    ...kernelRules.map(({ reason }) => reason),
    ...logRules.map(({ reason }) => reason),
    ...[...codes, ...Object.keys(healthCodeNames)].map((code) => `DCGMHealthCode${code}`),
    ...nmaVersions.flatMap(({ fatalXids }) => fatalXids.map((xid) => `NvidiaXID${xid}Error`)),
    ...[112, 856, 857].map((field) => `DCGMFieldError${field}`),
  ];
  t.same(
    [...new Set(reasons)].filter((reason) => !isKnown(reason)),
    [],
  );
  t.same(
    notOffered
      .flatMap(({ instead = '' }) => instead.match(/\b[a-z]+(?:-[a-z]+)+\b/g) ?? [])
      .filter((name) => !(name in expected) && name.includes('-')),
    [],
    'what is named instead is offered',
  );
});

t.test('every effect of a field is reached by a fault of its own', async (t) => {
  const written = faults.flatMap((row) =>
    variants(row).flatMap((given) => {
      const { body } = channelOf(row.channel).order(workOf(row, given));
      if (row.name === 'dcgm-field' || !('field' in body) || !('value' in body)) return [];
      return [{ field: Number(body.field), value: String(body.value) }];
    }),
  );
  const missing = fieldRows.flatMap(({ id, effects = [] }) =>
    effects
      .filter(({ rule }) => !written.some(({ field, value }) => field === id && isMatch(rule, value)))
      .map((effect) => `${id} ${effect.kind} ${effect.kind === 'health' ? effect.code : ''}`.trim()),
  );
  t.same(missing, [
    // Fault xid writes it.
    '230 policy',
    '230 health 101',
    '230 health 101',
    // Code 8 comes in the same check, and of two reasons only the later one shows: health-retired-pages takes 390.
    '391 health 7',
    // Not offered: imex.
    '1502 health 122',
    '1503 health 122',
  ]);
});

t.test('a broken row is told by name before anybody asks for it', async (t) => {
  const good: FaultRow = {
    name: 'made-up',
    title: 'Something',
    surfaces: ['kernel-log'],
    channel: { kind: 'kernel-message', text: 'xidrill says {what} ({marker})' },
    parameters: { what: { type: 'text', help: 'what it says', default: 'hello' } },
    risk: 'none',
    undo: 'none',
    needsGpu: false,
    sources: ['here'],
  };
  t.doesNotThrow(() => assertCatalogue([good]));
  const what = { type: 'text', help: 'what it says', default: 'hello' } as const;
  const dcgm = { surfaces: ['dcgm'], parameters: {} } as const;
  const rows: readonly (readonly [Partial<FaultRow>, RegExp])[] = [
    [{ name: 'Made Up' }, /^fault catalogue: Made Up: is no name/],
    [{ risk: ' ' }, /made-up\.risk: is empty/],
    [{ sources: [] }, /made-up\.sources: is empty/],
    [{ surfaces: [] }, /made-up\.surfaces: is empty/],
    [{ surfaces: ['journal'] }, /made-up: writes to kernel-log, which is none of its surfaces/],
    [{ parameters: {} }, /made-up\.channel: \{what\} is no parameter/],
    [{ parameters: { what: { type: 'text', help: 'x' } } }, /made-up\.channel: \{what\} may be absent/],
    [{ parameters: { what: { ...what, help: '' } } }, /made-up\.parameters\.what: has no help/],
    [
      { parameters: { what: { ...what, pattern: '(' } } },
      /made-up\.parameters\.what: pattern \( does not compile/,
    ],
    [{ parameters: { what: { ...what, pattern: '^bye$' } } }, /made-up: .*parameters\.what must match/],
    [{ parameters: { what: { ...what, default: '{mark}' } } }, /what: default has the unknown \{mark\}/],
    [{ parameters: { what: { ...what, required: true } } }, /what: is required and has a default/],
    [{ parameters: { what: { ...what, type: 'choice' } } }, /what: allowed is of a choice/],
    [
      { parameters: { what: { ...what, type: 'integer', default: 5, minimum: 9, maximum: 1 } } },
      /what: minimum 9 is above maximum 1/,
    ],
    [
      { parameters: { what: { ...what, type: 'integer', default: 5, minimum: 9 } } },
      /made-up: .*what must be at least 9/,
    ],
    [
      { channel: { kind: 'kernel-message', text: `${'x'.repeat(1000)}{what}` } },
      /made-up: .*the kernel takes/,
    ],
    [
      { ...dcgm, channel: { kind: 'dcgm-value', field: 9999, value: '1', reach: 'policy' } },
      /made-up: .*9999/,
    ],
    [{ ...dcgm, channel: { kind: 'dcgm-value', field: 319, value: 'x', reach: 'policy' } }, /made-up: .*319/],
    [
      {
        surfaces: ['dcgm'],
        channel: { kind: 'dcgm-value', field: '{what}', value: '1', reach: 'policy' },
        parameters: { what: { type: 'choice', help: 'x', allowed: [319, 9999], default: 319 } },
      },
      /made-up\.parameters\.what = 9999: .*9999/,
    ],
  ];
  for (const [change, message] of rows)
    t.throws(() => assertCatalogue([{ ...good, ...change }]), { message });
  t.throws(() => assertCatalogue([good, good]), { message: /made-up: stands twice/ });
  const [aside] = notOffered;
  if (aside !== undefined)
    t.throws(() => assertCatalogue([good], [{ ...aside, name: 'made-up' }]), { message: /stands twice/ });
});
