import type { NvmlAnswer } from '../../shared/gpu-identity.ts';
import type { GpuFacts } from '../../shared/schemas/inventory.ts';
import type { Nvml } from './port.ts';

/** NVML without a driver, and what can go wrong with it. */
export type FakeNvml = Nvml & {
  /** From now on the answer is `unavailable, because`; undefined makes NVML answer again. `isUnseen`: for want of its library. */
  breakWith(because: string | undefined, isUnseen?: true): void;
  /** Changes what is read of the GPU with that index; a null needs no note, it gets one. */
  changeGpu(index: number, change: Partial<Omit<GpuFacts, 'index' | 'driverVersion'>>): void;
  /** Every further reading of this GPU fails, as after Xid 79: it stays listed, without identity and values. */
  loseGpu(index: number): void;
};

const readings = [
  'minor',
  'temperatureCelsius',
  'powerWatts',
  'smClockMhz',
  'memoryClockMhz',
  'ecc',
  'remappedRows',
  'migEnabled',
] as const;

/** NVML of a node that does not exist. The driver version is one per node, so that of the GPUs given is replaced. */
export function createFakeNvml(options: {
  readonly driverVersion: string;
  readonly gpus: readonly GpuFacts[];
}): FakeNvml {
  const { driverVersion } = options;
  const gpus = new Map(options.gpus.map((gpu) => [gpu.index, { ...structuredClone(gpu), driverVersion }]));
  let broken: string | undefined;
  let unseen: true | undefined;
  let closed = false;

  function change(index: number, facts: Partial<GpuFacts>): void {
    const gpu = gpus.get(index);
    if (gpu === undefined) throw new RangeError(`the fake has no GPU ${index}`);
    gpus.set(index, { ...gpu, ...structuredClone(facts) });
  }

  return {
    async list(signal): Promise<NvmlAnswer> {
      if (closed) return { available: false, because: 'the access to NVML has been closed' };
      if (signal?.aborted === true) {
        return { available: false, because: 'the caller gave up before NVML answered' };
      }
      if (broken !== undefined)
        return { available: false, because: broken, ...(unseen && { isUnseen: unseen }) };
      const listed = [...gpus.values()].sort((left, right) => left.index - right.index);
      return { available: true, driverVersion, gpus: structuredClone(listed).map(withNotes) };
    },
    async close() {
      closed = true;
    },
    breakWith(because, isUnseen) {
      broken = because;
      unseen = isUnseen;
    },
    changeGpu: change,
    loseGpu(index) {
      const nulls = Object.fromEntries(readings.map((field) => [field, null]));
      const lost =
        'every value: this GPU cannot be opened: NVML_ERROR_GPU_IS_LOST (nvmlDeviceGetHandleByIndex_v2)';
      change(index, { uuid: '', pci: '', name: '', ...nulls, notes: [lost] });
    },
  };
}

/** NVML never leaves a value out without a return code, and neither does the fake. */
function withNotes(gpu: GpuFacts): GpuFacts {
  const unsaid = readings.filter(
    (field) =>
      gpu[field] === null &&
      !gpu.notes.some((note) => note.startsWith(`${field}:`) || note.startsWith('every value:')),
  );
  return { ...gpu, notes: [...gpu.notes, ...unsaid.map((field) => `${field}: NVML_ERROR_NOT_SUPPORTED`)] };
}
