import t from 'tap';
import { parseInjection, parseIntrospection } from '../../../agent/dcgm/codecs/injection.ts';
import { parseDiscovery, parseVersions } from '../../../shared/dcgmi/discovery.ts';
import { parseFieldGroups, whyGroupsIncomplete } from '../../../shared/dcgmi/field-groups.ts';
import { Refusal } from '../../../shared/errors.ts';
import { distorted, fuzzRuns, shortened, tryAll } from '../../mutations.ts';
import { discoveries, fieldGroups, introspected, versions } from './recorded.ts';

const run = (output: string, exitCode = 0) => ({ exitCode, output, commandLine: ['dcgmi'] });

/** The GPUs whose rows stand together and unbroken, once, in the table of GPUs; found without the reader's help. */
function completeGpus(text: string) {
  const table =
    /^\d+ GPUs? found.*\n(?:Use -a.*\n)?\+-+\+-+\+\n\| GPU ID \| Device Information +\|\n((?:[+|].*\n)*)/m.exec(
      text,
    )?.[1];
  const rows =
    /(?<=\+\n)\| (\d+) +\| Name: (\S.*?) +\|\n\| +\| PCI Bus ID: (\S+) +\|\n\| +\| Device UUID: (GPU-\S+) +\|\n\+/g;
  const found = [...(table ?? '').matchAll(rows)].map(([, id, name = '', pci = '', uuid = '']) => ({
    id: Number(id),
    name: name === '<<<NULL>>>' ? '' : name,
    pci,
    uuid,
  }));
  const numbers = [...(table ?? '').matchAll(/^\| (\d+) /gm)].map(([, id]) => Number(id));
  return found.filter(({ id }) => numbers.filter((number) => number === id).length === 1);
}

t.test(
  'a shortened list of GPUs: none is invented or lost, and none gets another one’s identity',
  async (t) => {
    let complete = 0;
    tryAll(shortened(...discoveries), ({ text, from }) => {
      const found = parseDiscovery(text);
      const recorded = parseDiscovery(from).gpus;
      for (const gpu of found.gpus) {
        const own = recorded.find(({ id }) => id === gpu.id);
        const fits =
          own !== undefined && [own.pci, ''].includes(gpu.pci) && [own.uuid, ''].includes(gpu.uuid);
        // Where the rows between two GPUs are lost, the count no longer fits: the list then says so.
        if (!fits && found.problems.length === 0)
          throw new Error(`a GPU that was not recorded: ${JSON.stringify(gpu)}`);
      }
      for (const gpu of completeGpus(text)) {
        complete += 1;
        if (!found.gpus.some((other) => JSON.stringify(other) === JSON.stringify(gpu)))
          throw new Error(`lost: ${JSON.stringify(gpu)} of ${JSON.stringify(found)}`);
      }
      if (
        found.gpus.length < recorded.length &&
        found.problems.length === 0 &&
        found.unreadableGpus === undefined
      )
        throw new Error('fewer GPUs, and nothing is said about it');
    });
    t.ok(complete > fuzzRuns / 5, `${complete} GPUs stood complete`);
  },
);

t.test('a distorted list of GPUs: what is claimed stands in it', async (t) => {
  tryAll(distorted(...discoveries), ({ text }) => {
    const { gpus, unreadableGpus = [], inactiveGpus, problems } = parseDiscovery(text);
    for (const { id, name, pci, uuid } of gpus)
      for (const claim of [String(id), name, pci, uuid])
        if (!text.includes(claim)) throw new Error(`${claim} stands nowhere`);
    for (const { id, lost } of unreadableGpus) {
      if (!text.includes(String(id))) throw new Error(`GPU ${id} stands nowhere`);
      if (lost && !text.includes('GPU is lost')) throw new Error('nobody says that it is lost');
    }
    if (inactiveGpus !== undefined && !text.includes(inactiveGpus)) throw new Error('an invented note');
    const ids = [...gpus, ...unreadableGpus].map(({ id }) => id);
    if (new Set(ids).size !== ids.length) throw new Error('one number, two GPUs');
    if (problems.some((problem) => problem.includes('undefined'))) throw new Error(problems.join());
  });
  t.pass('held');
});

t.test(
  'field groups: NMA’s is found only where it stands, and missing only where the list is whole',
  async (t) => {
    const isNma = ({ name, fields }: { readonly name: string; readonly fields: readonly number[] }) =>
      name === 'watch' && [112, 856, 857].every((field) => fields.includes(field));
    const { withNma, without } = fieldGroups;
    tryAll(shortened(withNma, without), ({ text, from }) => {
      const groups = parseFieldGroups(text);
      const isFound = groups.some(isNma);
      if (isFound && from === without) throw new Error('NMA invented');
      if (!isFound && from === withNma && whyGroupsIncomplete(text, groups) === undefined)
        throw new Error(`NMA's group was lost without a word: ${JSON.stringify(groups)}`);
    });
    tryAll(distorted(withNma, without), ({ text }) => {
      const groups = parseFieldGroups(text);
      whyGroupsIncomplete(text, groups);
      if (groups.some(isNma) && !/watch/.test(text)) throw new Error('NMA invented');
    });
    t.pass('held');
  },
);

t.test('an entry, a version, an injection: as recorded, or refused', async (t) => {
  const recorded = parseIntrospection(run(introspected));
  const refusedOrAnswered = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (thrown) {
      if (thrown instanceof Refusal) return undefined;
      throw thrown;
    }
  };
  tryAll(shortened(introspected), ({ text }) => {
    const found = refusedOrAnswered(() => parseIntrospection(run(text)));
    if (found === undefined) return;
    const { fieldTag: _, ...numbers } = { ...found };
    const { fieldTag: __, ...expected } = { ...recorded };
    if (JSON.stringify(numbers) !== JSON.stringify(expected)) throw new Error(JSON.stringify(found));
  });
  tryAll(distorted(introspected), ({ text }) => {
    refusedOrAnswered(() => parseIntrospection(run(text)));
  });
  tryAll(shortened(versions), ({ text }) => {
    const { client, engine } = parseVersions(text);
    // Without its title the second block is taken for the first.
    if (![null, '4.6.0', '4.5.10'].includes(client) || ![null, '4.5.10'].includes(engine))
      throw new Error(`${client} ${engine}`);
  });
  tryAll(distorted('Successfully injected field info.\n'), ({ text }) => {
    const refusal = parseInjection(run(text));
    const isSaid = text.split('\n').some((line) => line.trim() === 'Successfully injected field info.');
    if ((refusal === undefined) !== isSaid) throw new Error(JSON.stringify(text));
    if (parseInjection(run(text, 255)) === undefined) throw new Error('255 is no success');
  });
  t.pass('held');
});
