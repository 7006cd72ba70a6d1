import t from 'tap';
import {
  driverSpelling,
  judgeDriverLine,
  judgeLine,
  type ReaderVerdict,
} from '../../../../coordinator/catalogue/readers/xid-lines.ts';
import { stressSamples, sxidSamples, xidSamples } from './xid-samples.ts';

const letters: Readonly<Record<string, string>> = {
  'gpud, Xid': 'G',
  'NVSentinel, Xid': 'N',
  'Meta gcm, Xid': 'M',
  'gpud, NVLink5 error': 'g',
  'NVSentinel, NVLink5 error': 'n',
  'gpud, SXid': 'S',
  'NVSentinel, SXid': 'T',
};

/** The letters of those that take the line, in the order of the table above. */
function takers(verdicts: readonly ReaderVerdict[]): string {
  const taking = verdicts
    .filter(({ rejects }) => rejects === undefined)
    .map(({ reader }) => letters[`${reader.name}, ${reader.looksFor}`]);
  return Object.values(letters)
    .filter((letter) => taking.includes(letter))
    .join('');
}

function rejection(verdicts: readonly ReaderVerdict[], name: string, looksFor?: string): string | undefined {
  const found = verdicts.find(
    ({ reader }) => reader.name === name && (looksFor === undefined || reader.looksFor === looksFor),
  );
  if (found === undefined) return 'not asked';
  return found.rejects;
}

t.test('who takes a line that a driver prints is what the page says', (t) => {
  for (const [, , expected, line] of xidSamples) t.equal(takers(judgeDriverLine(line)), expected, line);
  for (const [expected, line, lesson] of stressSamples)
    t.equal(takers(judgeDriverLine(line)), expected, `${lesson}: ${line}`);
  for (const [expected, line] of sxidSamples) t.equal(takers(judgeDriverLine(line)), expected, line);
  t.end();
});

t.test('what user space writes, journald cuts: NVSentinel takes none of it', (t) => {
  for (const [, , expected, line] of xidSamples) {
    t.equal(takers(judgeLine(line)), expected.replace(/[Nn]/g, ''), line);
    const prefixed = judgeLine(`kernel: ${line}`);
    t.equal(takers(prefixed), expected, `behind "kernel: ": ${line}`);
  }
  for (const [expected, line] of sxidSamples)
    t.equal(takers(judgeLine(line)), expected.replace('T', ''), line);
  t.match(
    rejection(judgeLine('NVRM: Xid (PCI:0000:3b:00): 79, x'), 'NVSentinel'),
    /^it reads the journal, and journald cuts "NVRM:" off .* with "kernel: " in front/,
  );
  const uuidLine = 'NVRM: GPU at PCI:0000:3b:00: GPU-11111111-2222-3333-4444-555555555555';
  t.match(rejection(judgeLine(uuidLine), 'NVSentinel', 'GPU UUID'), /journald cuts "NVRM:"/);
  t.equal(rejection(judgeLine(`kernel: ${uuidLine}`), 'NVSentinel', 'GPU UUID'), undefined);
  t.equal(rejection(judgeDriverLine(uuidLine), 'NVSentinel', 'GPU UUID'), undefined);
  t.end();
});

t.test('why a reader rejects a line', (t) => {
  const rows = [
    ['gpud', 'NVRM: Xid (PCI:0000:3b:00): 79', /comma behind the number/],
    ['gpud', 'NVRM: Xid (PCI:0000:3b:00.0): 79, x', /does not match the address 0000:3b:00\.0/],
    ['gpud', 'NVRM: Xid (PCI:0000:3b:00 GPU-I:05): 94, x', /no place for the MIG device/],
    ['NVSentinel', 'NVRM: Xid (0000:3b:00): 14, x', /"PCI:" before the address/],
    ['gpud', 'Xid (PCI:0000:3b:00): 79, x', /no Xid line/],
    ['DCGM’s host engine', 'NVRM: Xid (PCI:0000:3b:00): 31, x', /takes only Xid 79, 119, 120/],
    ['DCGM’s host engine', 'NVRM: Xid (PCI:0000:3B:00): 79, x', /0000:3B:00 is no driver’s spelling/],
    ['DCGM’s host engine', 'NVRM: Xid (PCI:0000:3b:00): 79, x', undefined],
    ['node-problem-detector', 'NVRM: Xid (PCI:0000:3b:00): 79, x', /no rule for Xid lines/],
    ['EKS NMA', 'NVRM: Xid (PCI:0000:3b:00): 79, x', /no rule for Xid lines/],
    ['awsome-distributed-ai', 'NVRM: Xid (PCI:0000:3b:00): 79, x', undefined],
    ['gpud (older releases)', 'NVRM: Xid (PCI:0000:3b:00.0): 79, x', undefined],
    ['gpud', 'NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus.', undefined],
    ['gpud', 'NVRM: fallen off the bus and is not responding to commands.', /three lines in one record/],
  ] as const;
  for (const [name, line, expected] of rows) {
    const rejects = rejection(judgeLine(line), name);
    if (expected === undefined) t.equal(rejects, undefined, `${name}: ${line}`);
    else t.match(rejects, expected, `${name}: ${line}`);
  }
  t.match(
    rejection(
      judgeLine('NVRM: Xid (PCI:0000:04:00): 146, A/B0 Fatal XC0 i0 Link 00 (0x0 0x0)'),
      'gpud',
      'NVLink5 error',
    ),
    /does not match the text/,
  );
  t.end();
});

t.test('a GPU that is missing at load is three lines in one record of the driver', (t) => {
  const atLoad = [
    'NVRM: The NVIDIA GPU 0000:b3:00.0',
    'NVRM: (PCI ID: 10de:26b5) installed in this system has',
    'NVRM: fallen off the bus and is not responding to commands.',
  ];
  for (const name of ['gpud', 'NVSentinel']) {
    t.equal(rejection(judgeDriverLine(atLoad.join('\n')), name), undefined);
    for (const line of atLoad) t.match(rejection(judgeLine(line), name), /only a driver writes/, line);
  }
  t.end();
});

t.test('nobody here is asked about other lines', (t) => {
  t.same(judgeLine('watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [VM Thread:4054]'), []);
  t.end();
});

t.test('how a driver would have spelled the address', (t) => {
  const rows = [
    ['NVRM: Xid (PCI:0000:3b:00): 79, x', undefined],
    ['NVRM: Xid (PCI:00000000:00:1F.0): 31, x', '0000:00:1f'],
    ['NVRM: Xid (PCI:0000:3B:00): 79, x', '0000:3b:00'],
    ['NVRM: Xid (PCI:zz): 79, x', undefined],
    ['soft lockup', undefined],
  ] as const;
  for (const [line, usual] of rows) t.equal(driverSpelling(line)?.usual, usual, line);
  t.end();
});
