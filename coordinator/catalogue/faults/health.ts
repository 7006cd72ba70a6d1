import { lifetimeCounters } from '../../../shared/dcgm-fields/ids.ts';
import { firstWith } from '../nma/versions.ts';
import type { FaultRow, ParameterRow } from '../row.ts';
import { engine, force, forHealthTick, healthSource, latches, nmaHealthSource } from './vocabulary.ts';

/** What an incident of the host engine's health system can be, before the rest that all of them share. */
type HealthFault = {
  /** Behind `health-`. */
  readonly name: string;
  readonly title: string;
  readonly field: number | string;
  readonly value: string;
  readonly parameters?: Readonly<Record<string, ParameterRow>>;
  /** FAIL turns the condition False, WARN raises an event. */
  readonly result: 'FAIL' | 'WARN';
  /** Beyond what the result does. */
  readonly risk?: string;
  readonly undo?: string;
};

function healthFault(row: HealthFault): FaultRow {
  const { name, title, field, value, parameters = {}, result, risk } = row;
  const effect = result === 'FAIL' ? latches : 'an event at each health check while it lasts';
  return {
    name: `health-${name}`,
    title,
    surfaces: ['dcgm'],
    channel: { kind: 'dcgm-value', field, value, reach: 'health' },
    parameters: { ...parameters, forSeconds: forHealthTick, engine, force },
    risk: risk === undefined ? effect : `${effect}; ${risk}`,
    undo:
      row.undo ??
      'the next real reading of the field after the end, up to 30 s; a condition stays until the monitoring agent restarts',
    needsGpu: true,
    sources: [healthSource, nmaHealthSource],
  };
}

function count(unit: string, help: string, defaultValue: number, minimum = 1): ParameterRow {
  return { type: 'integer', unit, help, default: defaultValue, minimum, maximum: 1_000_000 };
}

const policyToo = 'the policy of the same field fires as well';

/** Values that a health check of the host engine reports; NMA asks it every five minutes. */
export const healthFaults: readonly FaultRow[] = [
  healthFault({
    name: 'volatile-dbe',
    title: 'Health: double-bit ECC errors since the driver was loaded (code 4)',
    field: 311,
    value: '{errors}',
    parameters: { errors: count('errors', 'how many, all locations', 1) },
    result: 'FAIL',
  }),
  healthFault({
    name: 'pending-retirement',
    title: 'Health: page retirements wait for a GPU reset (code 6)',
    field: 392,
    value: '1',
    result: 'WARN',
  }),
  healthFault({
    name: 'retired-pages',
    title: 'Health: too many retired pages (code 7)',
    // Not 391, which raises code 8 in the same check: of two reasons only the later one shows.
    field: 390,
    value: '{pages}',
    parameters: {
      pages: { ...count('pages', 'retired for single-bit errors; 63 and more', 63, 63), maximum: 64 },
    },
    result: 'FAIL',
    risk: policyToo,
  }),
  healthFault({
    name: 'retired-pages-dbe',
    title: 'Health: many pages retired for double-bit errors within a week (code 8)',
    field: 391,
    value: '{pages}',
    parameters: {
      pages: { ...count('pages', 'retired for double-bit errors; 16 to 62', 20, 16), maximum: 62 },
    },
    result: 'FAIL',
    risk: policyToo,
  }),
  healthFault({
    name: 'row-remap-failure',
    title: 'Health: a row of the memory could not be remapped (code 80)',
    field: 395,
    value: '1',
    result: 'FAIL',
  }),
  healthFault({
    name: 'row-remap-limit',
    title: 'Health: no spare rows left for uncorrectable errors (code 132; Ampere and later, engine 4.6)',
    field: 393,
    value: '{rows}',
    parameters: {
      rows: {
        ...count('rows', 'remapped for uncorrectable errors; 512 and more', 512, 512),
        maximum: 65_535,
      },
    },
    result: 'WARN',
  }),
  healthFault({
    name: 'faulty-memory',
    title: 'Health: the memory is beyond repair (code 52; engine 4.5 and later)',
    field: 1507,
    value: '1',
    result: 'FAIL',
  }),
  healthFault({
    name: 'inforom',
    title: 'Health: the InfoROM is corrupt (code 9)',
    field: 84,
    value: '0',
    result: 'WARN',
    undo: 'the field is read once an hour: the value stays so long; dcgm-field with field 84 and value 1 takes it back at once',
  }),
  healthFault({
    name: 'thermal-violation',
    title: 'Health: clocks were lowered because of the temperature (code 10)',
    field: 241,
    value: '{nanoseconds}',
    parameters: {
      nanoseconds: {
        ...count('ns', 'time throttled, after the change', 1_000_000_000),
        maximum: 86_400_000_000_000,
      },
    },
    result: 'WARN',
  }),
  healthFault({
    name: 'power-violation',
    title: 'Health: clocks were lowered because of the power (code 12)',
    field: 240,
    value: '{nanoseconds}',
    parameters: {
      nanoseconds: {
        ...count('ns', 'time throttled, after the change', 1_000_000_000),
        maximum: 86_400_000_000_000,
      },
    },
    result: 'WARN',
    risk: 'known noise: code 12 comes by itself on busy nodes',
  }),
  healthFault({
    name: 'power-unreadable',
    title: 'Health: the power draw cannot be read (code 11)',
    field: 155,
    // How DCGM writes "no reading" in a field of type double.
    value: '140737488355328',
    result: 'WARN',
  }),
  healthFault({
    name: 'pcie-replays',
    title: 'Health: the PCIe link replays too often (code 3)',
    field: 202,
    value: '{replays}',
    parameters: {
      replays: count(
        'replays',
        'within a minute; the limit for 16 lanes is 8 (Gen3), 16 (Gen4), 31 (Gen5) or 62 (Gen6)',
        500,
        9,
      ),
    },
    result: 'WARN',
    risk: policyToo,
  }),
  healthFault({
    name: 'nvlink-crc',
    title: 'Health: an NVLink counts CRC errors (code 13)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 409 CRC flit or 419 CRC data errors',
        allowed: [409, 419],
        default: 409,
      },
      errors: {
        ...count('errors', 'within a minute; from 6000 on it is another incident (nvlink-crc-rate)', 1),
        maximum: 5999,
      },
    },
    result: 'WARN',
    risk: `${policyToo}, which turns the condition False`,
  }),
  healthFault({
    name: 'nvlink-crc-rate',
    title: 'Health: an NVLink counts 100 CRC errors a second (code 70)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 409 CRC flit or 419 CRC data errors',
        allowed: [409, 419],
        default: 409,
      },
      errors: count('errors', 'within a minute; 6000 and more', 6000, 6000),
    },
    result: 'FAIL',
    risk: policyToo,
  }),
  healthFault({
    name: 'nvlink-critical',
    title: 'Health: an NVLink replays or recovers (code 71)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 429 replay or 439 recovery errors',
        allowed: [429, 439],
        default: 429,
      },
      errors: count('errors', 'within a minute', 1),
    },
    result: 'FAIL',
    risk: policyToo,
  }),
  healthFault({
    name: 'nvlink-counters',
    title: 'Health: an NVLink 5 error counter grows (code 71; engine 4.5 and later, 1214 from 4.3.1)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 1204 malformed, 1205 dropped, 1206 receive errors, 1207 remote, 1208 general, 1209 integrity, 1213 recovery events, 1214 symbol errors, 1219 effective errors, 1220 ECC',
        allowed: [1204, 1205, 1206, 1207, 1208, 1209, 1213, 1214, 1219, 1220],
        default: 1206,
      },
      errors: count('errors', 'within a minute', 1),
    },
    result: 'FAIL',
  }),
  healthFault({
    name: 'nvlink-lifetime',
    title: 'Health: a lifetime error counter of an NVLink is not 0 (code 71; before Blackwell, engine 4.5.3)',
    field: '{field}',
    value: '{errors}',
    parameters: {
      field: {
        type: 'choice',
        help: 'DCGM field: 497 data-link CRC errors, 498 recoveries, 499 replays',
        allowed: lifetimeCounters,
        default: 499,
      },
      errors: count('errors', 'since the board was made', 1),
    },
    result: 'FAIL',
    risk: `from version ${firstWith((row) => row.lifetimeNvlinkIsWarning)} on the monitoring agent raises an event only`,
  }),
  healthFault({
    name: 'nvlink-recovered',
    title: 'Health: an NVLink recovered from an error (code 71; Blackwell and later, engine 4.5.3)',
    field: 1211,
    value: '{recoveries}',
    parameters: { recoveries: count('recoveries', 'successful ones', 1) },
    result: 'WARN',
  }),
  healthFault({
    name: 'nvlink-not-recovered',
    title: 'Health: an NVLink failed to recover (code 71; Blackwell and later, engine 4.5.3)',
    field: 1212,
    value: '{recoveries}',
    parameters: { recoveries: count('recoveries', 'failed ones', 1) },
    result: 'FAIL',
  }),
  healthFault({
    name: 'nvlink-ber',
    title: 'Health: the effective bit error rate of an NVLink is too high (code 119)',
    field: 1217,
    value: '{rate}',
    parameters: {
      rate: {
        type: 'integer',
        help: 'packed as mantissa × 256 + exponent: 262 is 1e-6, 4095 is no errors; the limit is 1e-12',
        default: 262,
        minimum: 0,
        maximum: 4094,
      },
    },
    result: 'FAIL',
  }),
  healthFault({
    name: 'nvlink-symbol-ber',
    title: 'Health: the symbol bit error rate of an NVLink is too high (code 121; engine 4.5 and later)',
    field: 1215,
    value: '{rate}',
    parameters: {
      rate: {
        type: 'integer',
        help: 'packed as mantissa × 256 + exponent: 262 is 1e-6, 4095 is no errors',
        default: 262,
        minimum: 1,
        maximum: 4094,
      },
    },
    result: 'FAIL',
  }),
  healthFault({
    name: 'fabric-state',
    title: 'Health: the GPU has not joined its NVLink fabric (code 123; engine 4.5 and later)',
    field: 170,
    value: '{status}',
    parameters: {
      status: {
        type: 'choice',
        help: 'fabric manager status: 1 not started (fatal), 2 in progress (a warning); 4 to 6 are fault fabric-manager',
        allowed: [1, 2],
        default: 2,
      },
    },
    result: 'WARN',
    risk: `with status 1 ${latches}`,
  }),
  healthFault({
    name: 'recovery-action',
    title: 'Health: the GPU asks for a recovery action (codes 125 to 128; engine 4.5 and later)',
    field: 1523,
    value: '{action}',
    parameters: {
      action: {
        type: 'choice',
        help: '1 GPU reset (code 125), 2 node reboot (126), 3 drain P2P (127, a warning), 4 drain and reset (128)',
        allowed: [1, 2, 3, 4],
        default: 1,
      },
    },
    result: 'FAIL',
  }),
];
