import type { FaultRow, ParameterRow } from '../row.ts';
import { engine, force, latches, nmaSource } from './vocabulary.ts';

/** What a policy violation can be, before the rest that all of them share. */
type PolicyFault = {
  readonly name: string;
  readonly title: string;
  readonly field: number | string;
  readonly value: string;
  readonly parameters: Readonly<Record<string, ParameterRow>>;
  readonly risk: string;
};

const muted = 'a second alert of this kind on the GPU within 5 s is dropped by the engine';
const newText = 'by default a new number in each order, so that the message is a new one';

function policyFault({ name, title, field, value, parameters, risk }: PolicyFault): FaultRow {
  return {
    name,
    title,
    surfaces: ['dcgm'],
    channel: { kind: 'dcgm-value', field, value, reach: 'policy' },
    parameters: { ...parameters, engine, force },
    risk,
    undo: 'the next real reading of the field, about 10 s; a condition stays until the monitoring agent restarts',
    needsGpu: true,
    sources: [
      'NVIDIA/DCGM modules/policy/DcgmPolicyManager.cpp',
      nmaSource('monitors/nvidia/dcgm/dcgm_policies.go'),
    ],
  };
}

/** Values at which a policy of the host engine raises an alert; NMA sees it within seconds. */
export const policyFaults: readonly FaultRow[] = [
  policyFault({
    name: 'double-bit-error',
    title: 'The device memory has double-bit ECC errors (DBE policy, field 319)',
    field: 319,
    value: '{errors}',
    parameters: {
      errors: {
        type: 'integer',
        unit: 'errors',
        help: `counter after the increase; ${newText}`,
        default: '{markerNumber}',
        minimum: 1,
        maximum: 1_000_000,
      },
    },
    risk: `${latches}; ${muted}`,
  }),
  policyFault({
    name: 'nvlink-error',
    title: 'An NVLink counts errors (NVLink policy, fields 409, 419, 429, 439)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 409 CRC flit, 419 CRC data, 429 replay, 439 recovery errors',
        allowed: [409, 419, 429, 439],
        default: 409,
      },
      errors: {
        type: 'integer',
        unit: 'errors',
        help: `counter after the increase; ${newText}`,
        default: '{markerNumber}',
        minimum: 1,
        maximum: 1_000_000,
      },
    },
    risk: `${latches}; a health check within seconds sees the counter as well (code 13 or 70 for CRC errors, 71 for the others)`,
  }),
  policyFault({
    name: 'pcie-replay',
    title: 'The PCIe link replays (PCIe policy, field 202)',
    field: 202,
    value: '{replays}',
    parameters: {
      replays: {
        type: 'integer',
        unit: 'replays',
        help: `counter after the increase; ${newText}`,
        default: '{markerNumber}',
        minimum: 1,
        maximum: 1_000_000,
      },
    },
    risk: `an event only; a health check within seconds sees the counter as well (code 3); ${muted}`,
  }),
  policyFault({
    name: 'page-retirement',
    title: 'Memory pages were retired (retired pages policy, fields 390 and 391)',
    field: 391,
    value: '{pages}',
    parameters: {
      pages: {
        type: 'integer',
        unit: 'pages',
        help: 'pages retired for double-bit errors; the policy wants more than 10, and from 16 on the health check is fatal (codes 7, 8)',
        default: 11,
        minimum: 1,
        maximum: 64,
      },
    },
    risk: `an event only, up to 15 pages; ${muted}`,
  }),
  policyFault({
    name: 'thermal-violation',
    title: 'The GPU is too hot (thermal policy, field 150)',
    field: 150,
    value: '{celsius}',
    parameters: {
      celsius: {
        type: 'integer',
        unit: '°C',
        help: 'temperature; the policy wants more than 100 unless somebody set it otherwise',
        default: 105,
        minimum: 1,
        maximum: 200,
      },
    },
    risk: `an event only; exporters show the temperature until the next reading; ${muted}`,
  }),
  policyFault({
    name: 'power-violation',
    title: 'The board draws too much power (power policy, field 155)',
    field: 155,
    value: '{watts}',
    parameters: {
      watts: {
        type: 'integer',
        unit: 'W',
        help: `power draw; the policy wants 251 or more unless somebody set it otherwise, which a busy GPU draws by itself; ${newText}`,
        default: '{markerNumber}',
        minimum: 1,
        maximum: 10_000,
      },
    },
    risk: `an event only; exporters show the power draw until the next reading; ${muted}`,
  }),
];
