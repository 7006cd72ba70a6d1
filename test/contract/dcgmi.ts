import type { Test } from 'tap';
import { parseInjection, parseIntrospection } from '../../agent/dcgm/codecs/injection.ts';
import type { Dcgmi } from '../../agent/dcgm/port.ts';
import type { EngineProcess } from '../../agent/engines/port.ts';
import { parseDiscovery, parseVersions } from '../../shared/dcgmi/discovery.ts';
import { parseFieldGroups } from '../../shared/dcgmi/field-groups.ts';

/** An engine that answers, with at least two GPUs whose ids are 0 and 1, and that nobody watches yet. */
export type DcgmiUnderTest = {
  readonly dcgmi: Dcgmi;
  readonly engine: EngineProcess;
  readonly gpus: readonly { readonly id: number; readonly pci: string; readonly uuid: string }[];
};

const absentGpu = '97';
/** Fields that no check, policy or listener watches, one a test, so that the tests do not see each other's samples. */
const quietFields = { cycle: '312', default: '313', garbage: '314', offset: '316', burst: '328' };
const timeoutMs = 10_000;

const test = (...args: string[]) => ['test', ...args];

/** What DCGM 4.6.0 was measured to answer. A row: arguments, exit code, text that has to be in the output. */
const refused: readonly (readonly [string, readonly string[], number, string])[] = [
  [
    'a GPU that is not there',
    inject(absentGpu, '230', '79'),
    255,
    'Unable to inject info. Return: Bad parameter',
  ],
  [
    'a field that does not exist',
    inject('0', '9999', '1'),
    255,
    'Unable to inject info. Return: Bad parameter',
  ],
  ['a field by name', inject('0', 'abc', '1'), 255, 'Unable to inject info. Return: Bad parameter'],
  ['a binary field', inject('0', '61', '1'), 250, 'cannot be injected'],
  ['a GPU that is no number', inject('abc', '230', '79'), 1, 'PARSE ERROR: Argument: (--gpuid)'],
  ['a negative GPU', inject('-1', '230', '79'), 254, 'negative value found for arg gpuid'],
  [
    'a negative offset',
    [...inject('0', '230', '79'), '--offset', '-3600'],
    254,
    'negative value found for arg offset',
  ],
  ['no value', test('--inject', '--gpuid', '0', '-f', '230'), 254, 'The -v/--value argument is required'],
  ['no field', test('--inject', '--gpuid', '0', '-v', '79'), 254, 'field argument is required'],
  ['a group', [...inject('0', '230', '79'), '--group', '0'], 254, 'only be specified for a single GPU'],
  ['no mode', test(), 1, 'Required argument missing: {introspect | inject | pause | resume}'],
  [
    'an absent GPU to look at',
    introspect(absentGpu, '230'),
    240,
    `entity ID: ${absentGpu}. Return: Field is not being`,
  ],
  [
    'an unknown field to look at',
    introspect('0', '9999'),
    255,
    'Unable to get field info for entity ID: 0. Return: Bad',
  ],
];

/** Runs over every adapter of `Dcgmi`, real and fake: it holds what the code behind the port relies on. */
export async function dcgmiContract(t: Test, make: (t: Test) => Promise<DcgmiUnderTest>): Promise<void> {
  const { dcgmi, engine, gpus } = await make(t);
  const run = (args: readonly string[]) => dcgmi.run(engine, args, { timeoutMs });
  const look = async (gpu: string, field: string) => parseIntrospection(await run(introspect(gpu, field)));

  await t.test('it says which client it runs', async (t) => {
    t.match(await dcgmi.locate(engine), { path: String });
    const { commandLine } = await run(['discovery', '-l']);
    t.ok(
      commandLine.includes('discovery') && commandLine.includes('-l'),
      'the arguments are in the command line',
    );
    t.ok(commandLine.includes(engine.address), 'and so is the address');
  });

  await t.test('discovery lists the GPUs', async (t) => {
    const { exitCode, output } = await run(['discovery', '-l']);
    t.equal(exitCode, 0);
    t.notMatch(output, /\r/, 'plain line breaks');
    const found = parseDiscovery(output);
    t.same(found.problems, []);
    const identity = (gpu: { id: number; pci: string; uuid: string }) => `${gpu.id} ${gpu.pci} ${gpu.uuid}`;
    t.same(found.gpus.map(identity), gpus.map(identity));
  });

  await t.test('both versions and the field groups can be read', async (t) => {
    const versions = parseVersions((await run(['-v'])).output);
    t.match(versions, { client: /^\d+\.\d+\.\d+$/, engine: /^\d+\.\d+\.\d+$/ });
    const groups = parseFieldGroups((await run(['fieldgroup', '-l'])).output);
    t.ok(
      groups.some((group) => group.name === 'DCGM_INTERNAL_30SEC'),
      'one of the internal groups',
    );
    const asJson = parseFieldGroups((await run(['fieldgroup', '-l', '-j'])).output);
    t.same(asJson, groups, 'the same groups as JSON');
  });

  await t.test('an injected value makes an entry, stamped a second ahead', async (t) => {
    t.equal(await look('0', quietFields.cycle), null, 'no entry before');
    const done = await run(inject('0', quietFields.cycle, '5'));
    t.equal(parseInjection(done), undefined);
    t.match(done, { exitCode: 0, output: 'Successfully injected field info.' });
    const after = await look('0', quietFields.cycle);
    t.match(after, { watched: false, samples: 1, watchers: 0, maxAgeSeconds: 30, newest: String });
    t.equal(await look('1', quietFields.cycle), null, 'only on the GPU that was named');
  });

  await t.test('without --gpuid it is GPU 1', async (t) => {
    await run(test('--inject', '-f', quietFields.default, '-v', '5'));
    t.equal(await look('0', quietFields.default), null);
    t.match(await look('1', quietFields.default), { samples: 1 });
  });

  await t.test('garbage is accepted without a word', async (t) => {
    t.match(await run(inject('0', quietFields.garbage, 'abc')), {
      exitCode: 0,
      output: /Successfully injected/,
    });
    t.match(await run(inject('0', quietFields.garbage, '-5')), {
      exitCode: 0,
      output: /Successfully injected/,
    });
  });

  await t.test('an offset moves the stamp', async (t) => {
    await run(inject('0', quietFields.offset, '5'));
    const now = Date.parse((await look('0', quietFields.offset))?.newest ?? '');
    await run([...inject('0', quietFields.offset, '6'), '--offset', '300']);
    const later = Date.parse((await look('0', quietFields.offset))?.newest ?? '');
    // The rehearsal's clock may run faster than the commands.
    t.ok(later - now >= 299_000, `the newest sample moved by ${(later - now) / 1000} s`);
  });

  await t.test('what it refuses, it refuses in DCGM’s words', async (t) => {
    for (const [name, args, exitCode, text] of refused) {
      const done = await run(args);
      t.equal(done.exitCode, exitCode, name);
      t.ok(done.output.includes(text), `${name}: ${text}`);
    }
  });

  await t.test('an aborted run ends with the reason', async (t) => {
    const reason = new Error('enough');
    await t.rejects(
      dcgmi.run(engine, ['discovery', '-l'], { timeoutMs, signal: AbortSignal.abort(reason) }),
      reason,
    );
  });
}

function inject(gpu: string, field: string, value: string): string[] {
  return ['test', '--inject', '--gpuid', gpu, '-f', field, '-v', value];
}

function introspect(gpu: string, field: string): string[] {
  return ['test', '--introspect', '--gpuid', gpu, '-f', field];
}
