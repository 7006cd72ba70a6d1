import t from 'tap';
import { createFakeNvml, type FakeNvml } from '../../../agent/nvml/fake.ts';
import type { GpuFacts } from '../../../shared/schemas/inventory.ts';
import { nvmlContract } from '../../contract/nvml.ts';

function gpu(index: number): GpuFacts {
  return {
    index,
    uuid: `GPU-0000000${index}-2222-3333-4444-555555555555`,
    pci: `00000000:${index}B:00.0`,
    minor: 1 - index,
    name: 'NVIDIA H100 80GB HBM3',
    driverVersion: 'whatever',
    temperatureCelsius: 41,
    powerWatts: 71.25,
    smClockMhz: 1980,
    memoryClockMhz: null,
    ecc: null,
    remappedRows: { correctable: 0, uncorrectable: 0, pending: false, failed: false },
    migEnabled: false,
    notes: ['ecc: NVML_ERROR_NOT_SUPPORTED'],
  };
}

function create(): FakeNvml {
  return createFakeNvml({ driverVersion: '570.172.08', gpus: [gpu(1), gpu(0)] });
}

async function gpusOf(nvml: FakeNvml): Promise<readonly GpuFacts[]> {
  const answer = await nvml.list();
  if (!answer.available) throw new Error(answer.because);
  return answer.gpus;
}

t.test('the contract', async (t) => {
  await nvmlContract(t, async () => {
    const nvml = create();
    return {
      nvml,
      breakIt() {
        nvml.breakWith('nvmlInit_v2 answered NVML_ERROR_DRIVER_NOT_LOADED');
        return { expected: 'NVML_ERROR_DRIVER_NOT_LOADED' };
      },
    };
  });
});

t.test('the contract, with a lost GPU', async (t) => {
  await nvmlContract(t, async () => {
    const nvml = create();
    nvml.loseGpu(1);
    return { nvml };
  });
});

t.test('adds the notes that are missing and keeps those that are there', async (t) => {
  const [first] = await gpusOf(create());
  t.same(first?.notes, ['ecc: NVML_ERROR_NOT_SUPPORTED', 'memoryClockMhz: NVML_ERROR_NOT_SUPPORTED']);
});

t.test('changes what is read of one GPU', async (t) => {
  const nvml = create();
  nvml.changeGpu(1, { temperatureCelsius: 95 });
  t.same(
    (await gpusOf(nvml)).map((gpu) => gpu.temperatureCelsius),
    [41, 95],
  );
  t.throws(() => nvml.changeGpu(7, { temperatureCelsius: 95 }), /no GPU 7/);
});

t.test('answers again when it is no longer broken', async (t) => {
  const nvml = create();
  nvml.breakWith('gone');
  t.same(await nvml.list(), { available: false, because: 'gone' });
  nvml.breakWith(undefined);
  t.equal((await nvml.list()).available, true);
});

t.test('an answer that a caller changes does not change the next one', async (t) => {
  const nvml = create();
  const [first] = await gpusOf(nvml);
  first?.notes.push('mine');
  t.notOk((await gpusOf(nvml))[0]?.notes.includes('mine'));
});
