import t from 'tap';
import { type Generation, generationOf, isWithin, renderRange } from '../../shared/gpu-generations.ts';

t.test('the generation of a GPU by its product name', async (t) => {
  const rows: [Generation | undefined, ...string[]][] = [
    ['Volta', 'Tesla V100-SXM2-16GB', 'Tesla V100S-PCIE-32GB', 'V100'],
    ['Turing', 'Tesla T4', 'NVIDIA T4G'],
    ['Ampere', 'NVIDIA A100-SXM4-40GB', 'NVIDIA A10G', 'NVIDIA A10', 'NVIDIA A30', 'NVIDIA A40'],
    ['Ada', 'NVIDIA L4', 'NVIDIA L40S', 'NVIDIA RTX 6000 Ada Generation'],
    ['Hopper', 'NVIDIA H100 80GB HBM3', 'NVIDIA H200', 'NVIDIA GH200 480GB'],
    ['Blackwell', 'NVIDIA B200', 'NVIDIA B300 SXM6 AC', 'NVIDIA GB200', 'NVIDIA GB300'],
    ['Blackwell', 'NVIDIA RTX PRO 6000 Blackwell Server Edition', 'NVIDIA GeForce RTX 5090'],
    [undefined, '', 'NVIDIA Z9', 'Tesla P100-PCIE-16GB', 'NVIDIA Graphics Device'],
  ];
  for (const [generation, ...names] of rows)
    for (const name of names) t.equal(generationOf(name), generation, name);
});

t.test('what only some generations have', async (t) => {
  const volta = { from: 'Volta', before: 'Turing' } as const;
  const middle = { from: 'Turing', before: 'Ada' } as const;
  const rows: [Parameters<typeof isWithin>[0], string, readonly string[], readonly string[]][] = [
    [{}, 'all GPUs', ['Tesla T4', 'NVIDIA B200'], []],
    [{ from: 'Ampere' }, 'Ampere GPUs and later', ['NVIDIA A10G', 'NVIDIA B200'], ['Tesla T4']],
    [{ before: 'Blackwell' }, 'GPUs before Blackwell', ['Tesla T4', 'NVIDIA H200'], ['NVIDIA B200']],
    [volta, 'Volta GPUs only', ['V100'], ['Tesla T4', 'NVIDIA B200']],
    [middle, 'GPUs from Turing to Ampere', ['Tesla T4', 'NVIDIA A30'], ['V100', 'NVIDIA L4']],
  ];
  for (const [range, text, having, others] of rows) {
    t.equal(renderRange(range), text);
    for (const name of [...having, 'NVIDIA Z9', undefined]) t.ok(isWithin(range, name), `${text}: ${name}`);
    for (const name of others) t.notOk(isWithin(range, name), `${text}: ${name}`);
  }
});
