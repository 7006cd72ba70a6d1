import type { Test } from 'tap';
import { Errors } from 'typebox/value';
import type { Nvml } from '../../agent/nvml/port.ts';
import type { NvmlAnswer } from '../../shared/gpu-identity.ts';
import { parsePci, pciToNvml } from '../../shared/pci.ts';
import { GpuFacts } from '../../shared/schemas/inventory.ts';

/** NVML on a node with at least one GPU, and a way to make it refuse where there is one. */
export type NvmlUnderTest = {
  readonly nvml: Nvml;
  /** From now on NVML answers nothing; `expected` is a part of the reason. */
  readonly breakIt?: () => { readonly expected: string };
};

/** What every `Nvml` does, run over the fake, over a stub library and over the driver's own. */
export async function nvmlContract(t: Test, make: (t: Test) => Promise<NvmlUnderTest>): Promise<void> {
  async function started(t: Test): Promise<NvmlUnderTest> {
    const made = await make(t);
    t.teardown(() => made.nvml.close());
    return made;
  }

  await t.test('lists each GPU with values of the documented shape', async (t) => {
    const { nvml } = await started(t);
    const { driverVersion, gpus } = available(await nvml.list());
    t.match(driverVersion, /^\d+(\.\d+)+$/);
    t.not(gpus.length, 0, 'there is a GPU');
    t.same(
      gpus.map((gpu) => gpu.index),
      gpus.map((_, position) => position),
      'in the order of the index, without a gap',
    );
    for (const gpu of gpus) {
      t.same(Errors(GpuFacts, gpu), [], `GPU ${gpu.index} has the shape of GpuFacts`);
      t.equal(gpu.driverVersion, driverVersion);
    }
  });

  await t.test('says in a note why a value is missing', async (t) => {
    const { nvml } = await started(t);
    for (const gpu of available(await nvml.list()).gpus) {
      for (const [field, value] of Object.entries(gpu)) {
        if (value !== null && value !== '') continue;
        t.ok(
          gpu.notes.some((note) => note.startsWith(`${field}: `) || note.startsWith('every value: ')),
          `GPU ${gpu.index} has a note for ${field}`,
        );
      }
    }
  });

  await t.test('identifies a GPU by UUID and by PCI address as NVML spells it', async (t) => {
    const { nvml } = await started(t);
    const gpus = available(await nvml.list()).gpus.filter((gpu) => gpu.uuid !== '');
    t.not(gpus.length, 0, 'there is a GPU that can be opened');
    for (const gpu of gpus) {
      t.match(gpu.uuid, /^GPU-[0-9a-f-]{36}$/);
      t.equal(gpu.pci, pciToNvml(parsePci(gpu.pci)));
    }
    t.equal(new Set(gpus.map((gpu) => gpu.uuid)).size, gpus.length, 'UUIDs are unique');
    t.equal(new Set(gpus.map((gpu) => gpu.pci)).size, gpus.length, 'PCI addresses are unique');
    const minors = gpus.flatMap(({ minor }) => (minor === null ? [] : [minor]));
    t.equal(new Set(minors).size, minors.length, 'minors are unique');
    t.ok(
      minors.every((minor) => minor >= 0 && minor < 256),
      `minors are device numbers: ${minors}`,
    );
  });

  await t.test('answers the same GPUs again, and to everybody who asks at once', async (t) => {
    const { nvml } = await started(t);
    const first = identities(await nvml.list());
    t.same(identities(await nvml.list()), first);
    for (const answer of await Promise.all([nvml.list(), nvml.list(), nvml.list()])) {
      t.same(identities(answer), first);
    }
  });

  await t.test('answers a caller who gives up, and goes on for the others', async (t) => {
    const { nvml } = await started(t);
    t.equal((await nvml.list(AbortSignal.abort())).available, false, 'a signal that is aborted already');
    const giving = new AbortController();
    const [gaveUp, other] = [nvml.list(giving.signal), nvml.list()];
    giving.abort();
    await gaveUp;
    t.equal((await other).available, true, 'the one who stayed');
    t.equal((await nvml.list(new AbortController().signal)).available, true, 'the next one');
  });

  await t.test('is closed for good, also in the middle of a call', async (t) => {
    const { nvml } = await started(t);
    const pending = nvml.list();
    await nvml.close();
    await pending;
    await nvml.close();
    const after = await nvml.list();
    t.match(after, { available: false, because: /closed/ });
  });

  await t.test('says why there is no answer', async (t) => {
    const { nvml, breakIt } = await started(t);
    if (breakIt === undefined) return t.pass('nothing here can make this NVML refuse');
    t.equal((await nvml.list()).available, true);
    const { expected } = breakIt();
    const answer = await nvml.list();
    if (answer.available) return t.fail('it still answers');
    t.ok(answer.because.includes(expected), answer.because);
  });
}

function available(answer: NvmlAnswer): NvmlAnswer & { available: true } {
  if (!answer.available) throw new Error(`NVML is not available: ${answer.because}`);
  return answer;
}

function identities(answer: NvmlAnswer): unknown {
  return available(answer).gpus.map(({ index, uuid, pci, name }) => ({ index, uuid, pci, name }));
}
