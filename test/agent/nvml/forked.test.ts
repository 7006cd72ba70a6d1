import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import t from 'tap';
import { nvmlContract } from '../../contract/nvml.ts';
import { children, start } from './rig.ts';
import { buildStubLibrary, noCompiler } from './stub/build.ts';

const childPath = fileURLToPath(new URL('../../../agent/nvml/child.ts', import.meta.url));

t.test('NVML in a child, over a stub library', { skip: noCompiler }, async (t) => {
  await t.test('the contract', (t) =>
    nvmlContract(t, async (t) => {
      const { nvml, stub } = start(t);
      return {
        nvml,
        breakIt() {
          stub.fault('nvmlInit_v2 -1 9');
          return { expected: 'nvmlInit_v2 answered NVML_ERROR_DRIVER_NOT_LOADED' };
        },
      };
    }),
  );

  await t.test('reads each value from its place', async (t) => {
    const { nvml } = start(t);
    t.same(await nvml.list(), {
      available: true,
      driverVersion: '570.172.08',
      gpus: [
        {
          index: 0,
          uuid: 'GPU-11111111-2222-3333-4444-555555555555',
          pci: '00000000:3B:00.0',
          minor: 1,
          name: 'NVIDIA H100 80GB HBM3',
          driverVersion: '570.172.08',
          temperatureCelsius: 41,
          powerWatts: 71.25,
          smClockMhz: 1980,
          memoryClockMhz: 2619,
          ecc: {
            enabled: true,
            volatileCorrected: 5_000_000_000,
            volatileUncorrected: 3,
            aggregateCorrected: 5_000_000_010,
            aggregateUncorrected: 13,
          },
          remappedRows: { correctable: 4, uncorrectable: 2, pending: true, failed: false },
          migEnabled: false,
          notes: [],
        },
        {
          index: 1,
          uuid: 'GPU-66666666-7777-8888-9999-aaaaaaaaaaaa',
          pci: '00000001:3C:00.0',
          minor: 0,
          name: 'NVIDIA A10G',
          driverVersion: '570.172.08',
          temperatureCelsius: 42,
          powerWatts: null,
          smClockMhz: 1980,
          memoryClockMhz: 2619,
          ecc: null,
          remappedRows: null,
          migEnabled: null,
          notes: [
            'powerWatts: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetPowerUsage)',
            'ecc: volatileCorrected answered NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetTotalEccErrors); known: mode disabled',
            'remappedRows: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetRemappedRows)',
            'migEnabled: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetMigMode)',
          ],
        },
      ],
    });
  });

  await t.test('closes its NVML session after each list', async (t) => {
    const { nvml } = start(t);
    await nvml.list();
    const again = await nvml.list();
    t.equal(again.available && again.gpus.length, 2, 'the stub shows an open session as one GPU more');
  });

  await t.test('keeps a GPU that cannot be opened in the list', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault('nvmlDeviceGetHandleByIndex_v2 1 15');
    const answer = await nvml.list();
    t.match(answer, {
      gpus: [
        { index: 0, notes: [] },
        {
          index: 1,
          uuid: '',
          temperatureCelsius: null,
          notes: [
            'every value: this GPU cannot be opened: NVML_ERROR_GPU_IS_LOST (nvmlDeviceGetHandleByIndex_v2)',
          ],
        },
      ],
    });
  });

  await t.test('notes each code by its name, and what else is known', async (t) => {
    const { nvml, stub } = start(t);
    stub.fault(
      'nvmlDeviceGetTemperature 0 15',
      'nvmlDeviceGetUUID 0 4',
      'nvmlDeviceGetPciInfo_v3 0 999',
      'nvmlDeviceGetMinorNumber 0 3',
      'nvmlDeviceGetClockInfo 0 4711',
      'nvmlDeviceGetEccMode 0 3',
    );
    const answer = await nvml.list();
    t.same(answer.available && answer.gpus[0]?.notes, [
      'uuid: NVML_ERROR_NO_PERMISSION (nvmlDeviceGetUUID)',
      'pci: NVML_ERROR_UNKNOWN (nvmlDeviceGetPciInfo_v3)',
      'minor: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetMinorNumber)',
      'temperatureCelsius: NVML_ERROR_GPU_IS_LOST (nvmlDeviceGetTemperature)',
      'smClockMhz: nvmlReturn_t 4711 (nvmlDeviceGetClockInfo)',
      'memoryClockMhz: nvmlReturn_t 4711 (nvmlDeviceGetClockInfo)',
      'ecc: NVML_ERROR_NOT_SUPPORTED (nvmlDeviceGetEccMode)',
    ]);
  });

  await t.test('a driver without one of the functions costs that value only', async (t) => {
    const { nvml } = start(t, { flags: ['-DOLD_DRIVER'] });
    t.match(await nvml.list(), {
      available: true,
      gpus: [
        { migEnabled: null, notes: ['migEnabled: NVML_ERROR_FUNCTION_NOT_FOUND (nvmlDeviceGetMigMode)'] },
        { migEnabled: null },
      ],
    });
  });

  await t.test('callers at the same time share one request and one child', async (t) => {
    const { nvml } = start(t);
    const answers = await Promise.all([nvml.list(), nvml.list(new AbortController().signal), nvml.list()]);
    for (const answer of answers) t.equal(answer, answers[0]);
    t.equal(children().length, 1);
    const [pid] = children();
    await nvml.list();
    t.same(children(), [pid], 'and so does the next caller');
  });

  await t.test('closing leaves no process behind', async (t) => {
    const { nvml } = start(t);
    await nvml.list();
    t.equal(children().length, 1);
    await nvml.close();
    t.same(children(), []);
  });

  await t.test('the bundled child works as well', async (t) => {
    const stub = buildStubLibrary(t);
    const bundle = join(stub.folder, 'nvml-child.mjs');
    const native = createRequire(createRequire(import.meta.url).resolve('ffi-rs'));
    await build({
      entryPoints: [childPath],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      external: ['@yuuang/*', '*.node'],
      banner: {
        js:
          `import{createRequire}from'node:module';` +
          `const require=createRequire(${JSON.stringify(pathToFileURL(native.resolve('ffi-rs')).href)}),` +
          '__dirname=import.meta.dirname;',
      },
      logLevel: 'silent',
    });
    const { nvml } = start(t, { childPath: bundle });
    t.match(await nvml.list(), { available: true, gpus: { length: 2 } });
  });
});
