import { longestSustainSeconds } from '../../../shared/schemas/order-members.ts';
import { highestXid } from '../../../shared/xid/number.ts';
import type { FaultRow, ParameterRow } from '../row.ts';
import {
  acceptRisk,
  driver,
  engine,
  force,
  forSeconds,
  latches,
  mig,
  nmaSource,
  xidSurfaces,
} from './vocabulary.ts';

const xidSources = [
  'NVIDIA/DCGM modules/policy/DcgmPolicyManager.cpp',
  nmaSource('monitors/nvidia/dcgm/dcgm_policies.go'),
  'NVIDIA/open-gpu-kernel-modules src/nvidia/src/kernel/gpu/rc/kernel_rc.c',
];
const xidUndo =
  'kernel-log: none before reboot; dcgm: restart the host engine, then the monitoring agent (Xids without a health code: the agent alone)';

/** 6 s and more between two: the engine drops an alert that comes within 5 s of the last one on the same GPU. */
const usualCascade = [
  { xid: 48, afterSeconds: 0 },
  { xid: 63, afterSeconds: 7 },
  { xid: 94, afterSeconds: 14 },
  { xid: 45, afterSeconds: 21 },
  { xid: 154, afterSeconds: 28 },
];

const lineDetails: Readonly<Record<string, ParameterRow>> = {
  process: {
    type: 'process',
    help: "{pid, name} that the driver would name in the kernel log; pid may be '<unknown>' as older drivers print it",
  },
  detail: { type: 'text', help: 'text behind the number in the kernel log; default: the driver’s own' },
  previousXid: {
    type: 'integer',
    help: 'Xid 45, kernel log: the Xid that it is caused by (drivers from 570.124 on print it)',
    minimum: 1,
    maximum: 255,
  },
  recoveryAction: {
    type: 'choice',
    help: 'Xid 154, kernel log: the action that it changes to',
    allowed: ['none', 'gpu-reset', 'node-reboot', 'drain-p2p', 'drain-and-reset'],
    goesWith: { xid: 154, surfaces: ['kernel-log'] },
  },
  nvlink: {
    type: 'nvlink',
    help: 'Xid 144 to 150, kernel log: {unit, severity, crossbar, injected, link, words}; injected is true by default, the driver’s own mark',
  },
};

/** Faults whose number, field or order the caller names. */
export const gpuFaults: readonly FaultRow[] = [
  {
    name: 'xid',
    title: 'A GPU reports an Xid',
    surfaces: ['kernel-log', 'dcgm'],
    channel: { kind: 'xid' },
    parameters: {
      xid: {
        type: 'integer',
        help: 'Xid number',
        required: true,
        minimum: 1,
        maximum: highestXid,
        example: 79,
      },
      surfaces: xidSurfaces,
      ...lineDetails,
      driver,
      mig,
      companions: {
        type: 'choice',
        help: 'kernel log: true, also the lines that a driver prints beside this Xid; probe, with Xid 79 those of a later load too',
        allowed: [true, false, 'probe'],
        goesWith: { xid: 79, surfaces: ['kernel-log'] },
      },
      acceptRisk,
      engine,
      force,
    },
    risk: `on the dcgm surface Xids with a health code stay in the host engine until it restarts; of a fatal one ${latches}`,
    undo: xidUndo,
    needsGpu: true,
    sources: xidSources,
  },
  {
    name: 'cascade',
    title: 'One GPU reports several Xids in order, as failing memory does',
    surfaces: ['kernel-log', 'dcgm'],
    channel: { kind: 'cascade' },
    parameters: {
      steps: {
        type: 'steps',
        help: `1 to 32 of {xid, afterSeconds, process, detail, previousXid, recoveryAction, nvlink}; afterSeconds counts from the start, 0 to ${longestSustainSeconds}, with 6 s and more between two on the dcgm surface`,
        default: usualCascade,
      },
      surfaces: xidSurfaces,
      driver,
      mig,
      acceptRisk,
      engine,
      force,
    },
    risk: `Xids with a health code stay in the host engine until it restarts; of a fatal one ${latches}; its reason is that of the last fatal Xid, its message has them all`,
    undo: xidUndo,
    needsGpu: true,
    sources: [...xidSources, 'wtdcode/vllm-backport issue 62 (a real cascade)'],
  },
  {
    name: 'sxid',
    title: 'An NVSwitch reports an SXid (Hopper and earlier)',
    surfaces: ['kernel-log'],
    channel: { kind: 'sxid' },
    parameters: {
      sxid: {
        type: 'integer',
        help: 'SXid number',
        required: true,
        minimum: 10000,
        maximum: 99999,
        example: 20034,
      },
      switch: {
        type: 'switch',
        help: '{index, pci} of the NVSwitch; pci with its function, as lspci shows it',
        required: true,
        example: { index: 0, pci: '0000:05:00.0' },
      },
      severity: {
        type: 'choice',
        help: 'the severity in the first line; default: that of the SXid where it is known, else Fatal',
        allowed: ['Fatal', 'Non-fatal'],
      },
      link: { type: 'integer', help: 'NVLink number in the lines', default: 0, minimum: 0, maximum: 99 },
      detail: {
        type: 'text',
        help: 'text of the first line; default: the driver’s own, known for 11001, 12028, 20034, 22013 and 28002',
      },
    },
    risk: 'no version of the monitoring agent reads it; other readers of the kernel log (gpud, NVSentinel, alerting) see it as real',
    undo: 'none before the next reboot: the records stay in the ring',
    needsGpu: true,
    sources: ['NVIDIA/open-gpu-kernel-modules src/common/nvswitch/common_nvswitch.h'],
  },
  {
    name: 'dcgm-field',
    title: 'A DCGM field takes a value',
    surfaces: ['dcgm'],
    channel: { kind: 'dcgm-field' },
    parameters: {
      field: { type: 'scalar', help: 'number or name of the field', required: true, example: 230 },
      value: { type: 'scalar', help: 'value, in the unit of the field', required: true, example: 79 },
      offsetSeconds: {
        type: 'integer',
        unit: 's',
        help: 'into the future for the sample',
        minimum: 0,
        maximum: 600,
      },
      reach: {
        type: 'choice',
        help: 'which reader is to react, which decides how the value is written; default: the one that reacts first',
        allowed: ['policy', 'health', 'watch'],
      },
      forSeconds,
      everySeconds: {
        type: 'integer',
        unit: 's',
        help: 'with forSeconds: written again so often; default: by the recipe of the field',
        minimum: 1,
        maximum: 20,
      },
      engine,
      force: {
        type: 'boolean',
        help: 'inject although the engine has no listener or nothing reacts to the value',
      },
    },
    risk: `an offset mutes real alerts of the same kind on that GPU until it has passed; of a fatal reaction ${latches}`,
    undo: 'the next real reading of the field, 10 to 30 s; Xids (field 230) as fault xid',
    needsGpu: true,
    sources: ['NVIDIA/DCGM dcgmi/DcgmiTest.cpp', 'NVIDIA/DCGM modules/health/DcgmHealthWatch.cpp'],
  },
  {
    name: 'engine-loss',
    title: 'The host engine of the monitoring agent answers no more',
    surfaces: ['host-engine'],
    channel: { kind: 'engine-loss' },
    parameters: {
      forSeconds: {
        ...forSeconds,
        help: 'how long the engine is paused; below 3 min 20 s the monitoring agent may not see it: a request in flight waits 1 min, the grace time is 1 min, and it looks every 30 s',
        default: 240,
      },
      engine,
      force: { type: 'boolean', help: 'pause it although it has no listener' },
    },
    risk: `every client of that engine hangs meanwhile (exporters too), and real GPU faults go unseen; ${latches} (AWS documents no action for this reason)`,
    undo: 'the engine continues at the end of the time, by StopInjection, or when the agent starts again; then restart the monitoring agent',
    needsGpu: true,
    sources: [
      nmaSource('monitors/nvidia/dcgm/dcgm_reconcile.go'),
      nmaSource('monitors/nvidia/dcgm/dcgm_client.go'),
    ],
  },
];
