import t from 'tap';
import { joinGpus } from '../../../agent/inventory/gpu-join.ts';

const places = ['00000000:3B:00.0', '00000000:5E:00.0', '00000000:86:00.0'];
const uuid = (index: number) => `GPU-0000000${index}-2222-3333-4444-555555555555`;

/** NVML with these GPUs, by their number in `places`; the index is the position, the minor runs the other way. */
function nvml(...gpus: readonly number[]) {
  return {
    available: true,
    gpus: gpus.map((gpu, index) => ({
      index,
      uuid: uuid(gpu),
      pci: places[gpu] ?? '',
      minor: 9 - index,
      notes: [],
    })),
  } as const;
}

/** A host engine that lists them in that order: the id is the position. */
function engine(pid: number, ...gpus: readonly number[]) {
  return {
    pid,
    problems: [] as string[],
    gpus: gpus.map((gpu, id) => ({ id, name: 'H100', uuid: uuid(gpu), pci: places[gpu] ?? '' })),
  };
}

const silent = { available: false, because: 'no driver' } as const;

t.test('GPUs are joined by UUID and address, whatever their positions', (t) => {
  const joined = joinGpus(nvml(0, 1), [engine(100, 1, 0), engine(200, 0, 1)]);
  t.same(joined, [
    {
      uuid: uuid(0),
      pci: places[0],
      nvmlIndex: 0,
      minor: 9,
      dcgm: [
        { enginePid: 100, gpuId: 1 },
        { enginePid: 200, gpuId: 0 },
      ],
    },
    {
      uuid: uuid(1),
      pci: places[1],
      nvmlIndex: 1,
      minor: 8,
      dcgm: [
        { enginePid: 100, gpuId: 0 },
        { enginePid: 200, gpuId: 1 },
      ],
    },
  ]);
  const [lowerCase] = joinGpus(nvml(0), [
    {
      pid: 1,
      problems: [],
      gpus: [{ id: 4, name: '', uuid: uuid(0).toUpperCase().replace('GPU', 'gpu'), pci: '' }],
    },
  ]);
  t.match(lowerCase, { nvmlIndex: 0, dcgm: [{ gpuId: 4 }] });
  const [byAddress] = joinGpus(nvml(0), [
    { pid: 1, problems: [], gpus: [{ id: 4, name: '', uuid: '<<<NULL>>>', pci: '0000:3b:00.0' }] },
  ]);
  t.match(byAddress, { nvmlIndex: 0, dcgm: [{ gpuId: 4 }] });
  t.equal(byAddress?.problem, undefined);
  t.end();
});

t.test('a list in which a GPU is missing is evidence', (t) => {
  const blinded = { id: 2, name: '', uuid: '<<<NULL>>>', pci: '<<<NULL>>>' };
  const lost = { index: 1, uuid: '', pci: '', minor: null, notes: ['every value: NVML_ERROR_GPU_IS_LOST'] };
  const moved = { id: 0, name: '', uuid: uuid(0), pci: '00000000:86:00.0' };
  const renamed = { id: 0, name: '', uuid: uuid(7), pci: '00000000:3B:00.0' };
  const rows: readonly (readonly [
    what: string,
    joined: ReturnType<typeof joinGpus>,
    problems: readonly (RegExp | undefined)[],
  ])[] = [
    ['nothing is wrong', joinGpus(nvml(0, 1), [engine(100, 0, 1)]), [undefined, undefined]],
    ['no engine', joinGpus(nvml(0), []), [undefined]],
    ['no GPU', joinGpus(nvml(), []), []],
    [
      'NVML has one that the engine lacks',
      joinGpus(nvml(0, 1), [engine(100, 0)]),
      [undefined, /^host engine 100 does not list it$/],
    ],
    [
      'the engine has one that NVML lacks, as after a GPU fell off the bus',
      joinGpus(nvml(0, 2), [engine(100, 0, 1, 2)]),
      [undefined, undefined, /^NVML does not list it; host engine 100 has it as GPU 1$/],
    ],
    [
      'one engine has it, the other not',
      joinGpus(nvml(0), [engine(100, 0), engine(200)]),
      [/^host engine 200 does not list it$/],
    ],
    [
      'an engine that could not be asked lacks nothing',
      joinGpus(nvml(0), [{ ...engine(200), problems: ['it does not answer'] }]),
      [undefined],
    ],
    ['NVML does not answer: the engine alone', joinGpus(silent, [engine(100, 0)]), [undefined]],
    [
      'NVML counts one that it cannot open',
      joinGpus({ available: true, gpus: [...nvml(0).gpus, lost] }, [engine(100, 0)]),
      [undefined, /^NVML counts it as GPU 1 and knows no more: .*GPU_IS_LOST$/],
    ],
    [
      'an engine that was blinded for one GPU',
      joinGpus(nvml(0), [{ pid: 100, problems: [], gpus: [...engine(100, 0).gpus, blinded] }]),
      [undefined, /host engine 100 has it as GPU 2, with neither UUID nor PCI address/],
    ],
    [
      'two who disagree on the address',
      joinGpus(nvml(0), [{ pid: 100, problems: [], gpus: [moved] }]),
      [/^host engine 100 has it at 00000000:86:00\.0$/],
    ],
    [
      'two who disagree on the UUID',
      joinGpus(nvml(0), [{ pid: 100, problems: [], gpus: [renamed] }]),
      [/^host engine 100 calls it GPU-00000007-/],
    ],
  ];
  for (const [what, joined, problems] of rows) {
    t.equal(joined.length, problems.length, `${what}: so many GPUs`);
    for (const [index, expected] of problems.entries()) {
      const { problem } = joined[index] ?? {};
      if (expected === undefined) t.equal(problem, undefined, what);
      else t.match(problem, expected, what);
    }
  }
  t.end();
});

t.test('a GPU that only an engine lists has no NVML index', (t) => {
  t.same(joinGpus(silent, [engine(100, 1)]), [
    { uuid: uuid(1), pci: places[1], nvmlIndex: null, minor: null, dcgm: [{ enginePid: 100, gpuId: 0 }] },
  ]);
  t.end();
});
