import type { GpuFacts } from '../../shared/schemas/inventory.ts';
import type { NvmlArgument, NvmlCall } from './library.ts';
import type { NvmlFailure, NvmlReply } from './messages.ts';
import { nvmlCode, nvmlCodeName } from './return-codes.ts';

/** Buffer sizes and enum values from nvml.h; the sizes are the largest that any version asks for. */
const size = { driverVersion: 80, uuid: 96, name: 96, pciInfo: 68 };
/** nvmlPciInfo_t: busIdLegacy[16], five unsigned ints, busId[32]. */
const busIdAt = 36;
const temperatureOfGpu = 0;
const clock = { sm: 1, memory: 2 };
const eccCounters = [
  ['volatileCorrected', 0, 0],
  ['volatileUncorrected', 1, 0],
  ['aggregateCorrected', 0, 1],
  ['aggregateUncorrected', 1, 1],
] as const;

/** A call that did not succeed; its text is the second half of a note. */
type Unread = { readonly because: string };
type Read<T> = { readonly value: T } | Unread;

/** Reads one GPU: the handle and the index are bound. */
type Ask = (name: string, ...values: readonly NvmlArgument[]) => Unread | undefined;

/**
 * Everything NVML says about the GPUs of this node, from init to shutdown.
 *
 * The session is closed each time: an open one holds /dev/nvidia*, and that blocks the GPU reset or driver reload with
 * which a drilled node may be repaired. Handles therefore never outlive one list either.
 */
export function readNvmlFacts(call: NvmlCall, announce: (calling: string) => void): NvmlReply {
  function must(name: string, ...values: readonly NvmlArgument[]): NvmlFailure | undefined {
    announce(name);
    const code = call(name, ...values);
    return code === nvmlCode.success ? undefined : { kind: 'nvml', call: name, code };
  }

  const refused = must('nvmlInit_v2');
  if (refused !== undefined) return { failure: refused };
  try {
    const version = Buffer.alloc(size.driverVersion);
    const count = Buffer.alloc(4);
    const failure =
      must('nvmlSystemGetDriverVersion', version, version.length) ?? must('nvmlDeviceGetCount_v2', count);
    if (failure !== undefined) return { failure };
    const driverVersion = textOf(version);
    const gpus = Array.from({ length: count.readUInt32LE(0) }, (_, index) => readGpu(call, announce, index));
    return { driverVersion, gpus: gpus.map((gpu) => ({ ...gpu, driverVersion })) };
  } finally {
    announce('nvmlShutdown');
    call('nvmlShutdown');
  }
}

type GpuReading = Omit<GpuFacts, 'driverVersion'>;

function readGpu(call: NvmlCall, announce: (calling: string) => void, index: number): GpuReading {
  const ask: Ask = (name, ...values) => {
    announce(`${name} of GPU ${index}`);
    const code = call(name, ...values);
    return code === nvmlCode.success ? undefined : { because: `${nvmlCodeName(code)} (${name})` };
  };
  const place = Buffer.alloc(8);
  const unopened = ask('nvmlDeviceGetHandleByIndex_v2', index, place);
  if (unopened !== undefined) return unopenedGpu(index, unopened.because);

  const handle = place.readBigUInt64LE(0);
  const notes: string[] = [];
  function noted<T>(field: string, reading: Read<T>): T | null {
    if ('value' in reading) return reading.value;
    notes.push(`${field}: ${reading.because}`);
    return null;
  }
  return {
    index,
    uuid: noted('uuid', readText(ask, 'nvmlDeviceGetUUID', handle, size.uuid)) ?? '',
    pci: noted('pci', readBusId(ask, handle)) ?? '',
    minor: noted('minor', readMinor(ask, handle)),
    name: noted('name', readText(ask, 'nvmlDeviceGetName', handle, size.name)) ?? '',
    temperatureCelsius: noted(
      'temperatureCelsius',
      readUint(ask, 'nvmlDeviceGetTemperature', handle, temperatureOfGpu),
    ),
    powerWatts: noted('powerWatts', readWatts(ask, handle)),
    smClockMhz: noted('smClockMhz', readUint(ask, 'nvmlDeviceGetClockInfo', handle, clock.sm)),
    memoryClockMhz: noted('memoryClockMhz', readUint(ask, 'nvmlDeviceGetClockInfo', handle, clock.memory)),
    ecc: noted('ecc', readEcc(ask, handle)),
    remappedRows: noted('remappedRows', readRemappedRows(ask, handle)),
    migEnabled: noted('migEnabled', readMode(ask, 'nvmlDeviceGetMigMode', handle)),
    notes,
  };
}

/** A GPU that NVML counts and cannot open is listed with what is known of it: its index, and why there is no more. */
function unopenedGpu(index: number, because: string): GpuReading {
  return {
    index,
    uuid: '',
    pci: '',
    minor: null,
    name: '',
    temperatureCelsius: null,
    powerWatts: null,
    smClockMhz: null,
    memoryClockMhz: null,
    ecc: null,
    remappedRows: null,
    migEnabled: null,
    notes: [`every value: this GPU cannot be opened: ${because}`],
  };
}

function readText(ask: Ask, name: string, handle: bigint, length: number): Read<string> {
  const text = Buffer.alloc(length);
  return ask(name, handle, text, length) ?? { value: textOf(text) };
}

function readBusId(ask: Ask, handle: bigint): Read<string> {
  const pci = Buffer.alloc(size.pciInfo);
  return ask('nvmlDeviceGetPciInfo_v3', handle, pci) ?? { value: textOf(pci.subarray(busIdAt)) };
}

function readUint(ask: Ask, name: string, handle: bigint, selector: number): Read<number> {
  const out = Buffer.alloc(4);
  return ask(name, handle, selector, out) ?? { value: out.readUInt32LE(0) };
}

function readMinor(ask: Ask, handle: bigint): Read<number> {
  const minor = Buffer.alloc(4);
  return ask('nvmlDeviceGetMinorNumber', handle, minor) ?? { value: minor.readUInt32LE(0) };
}

function readWatts(ask: Ask, handle: bigint): Read<number> {
  const milliwatts = Buffer.alloc(4);
  return ask('nvmlDeviceGetPowerUsage', handle, milliwatts) ?? { value: milliwatts.readUInt32LE(0) / 1000 };
}

/** A mode is a pair of current and pending; what counts for a drill is what is in force. */
function readMode(ask: Ask, name: string, handle: bigint): Read<boolean> {
  const modes = Buffer.alloc(8);
  return (
    ask(name, handle, modes.subarray(0, 4), modes.subarray(4, 8)) ?? { value: modes.readUInt32LE(0) === 1 }
  );
}

function readRemappedRows(ask: Ask, handle: bigint): Read<NonNullable<GpuFacts['remappedRows']>> {
  const rows = Buffer.alloc(16);
  const each = [0, 4, 8, 12].map((at) => rows.subarray(at, at + 4));
  return (
    ask('nvmlDeviceGetRemappedRows', handle, ...each) ?? {
      value: {
        correctable: rows.readUInt32LE(0),
        uncorrectable: rows.readUInt32LE(4),
        pending: rows.readUInt32LE(8) !== 0,
        failed: rows.readUInt32LE(12) !== 0,
      },
    }
  );
}

/** All counters or none: a zero that was not counted would look like health. What could be read goes into the note. */
function readEcc(ask: Ask, handle: bigint): Read<NonNullable<GpuFacts['ecc']>> {
  const mode = readMode(ask, 'nvmlDeviceGetEccMode', handle);
  if (!('value' in mode)) return mode;
  const ecc = {
    enabled: mode.value,
    volatileCorrected: 0,
    volatileUncorrected: 0,
    aggregateCorrected: 0,
    aggregateUncorrected: 0,
  };
  const known = [`mode ${mode.value ? 'enabled' : 'disabled'}`];
  let missing: string | undefined;
  for (const [field, errorType, counterType] of eccCounters) {
    const out = Buffer.alloc(8);
    const unread = ask('nvmlDeviceGetTotalEccErrors', handle, errorType, counterType, out);
    if (unread === undefined) {
      ecc[field] = Number(out.readBigUInt64LE(0));
      known.push(`${field} ${ecc[field]}`);
    } else missing ??= `${field} answered ${unread.because}`;
  }
  return missing === undefined ? { value: ecc } : { because: `${missing}; known: ${known.join(', ')}` };
}

function textOf(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}
