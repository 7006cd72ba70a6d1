import t from 'tap';
import { driverSpelling, judgeLine } from '../../coordinator/diagnosis/kernel-log-readers.ts';

/** G gpud, N NVSentinel, M Meta gcm, D DCGM's host engine; the letters of those that take the line. */
const rows: readonly (readonly [line: string, takers: string, usual?: string])[] = [
  ['NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.', 'GNMD'],
  ['NVRM: Xid (PCI:0000:3b:00): 31, pid=1234, name=python3, Ch 00000001', 'GNM'],
  ['NVRM: Xid (PCI:0000:3b:00): 79', 'NM'],
  ['NVRM: Xid (PCI:00000000:00:1F.0): 31, Ch 00000001, failed to allocate GPU memory', 'NM', '0000:00:1f'],
  ['NVRM: Xid (PCI:0000:3B:00): 79, GPU has fallen off the bus.', 'GNM', '0000:3b:00'],
  ['NVRM: Xid (0000:03:00): 14, Channel 00000001', 'GM'],
  ['watchdog: BUG: soft lockup - CPU#6 stuck for 23s! [VM Thread:4054]', ''],
];

t.test('who takes which spelling', async (t) => {
  const letters: Record<string, string> = {
    gpud: 'G',
    NVSentinel: 'N',
    'Meta gcm': 'M',
    'DCGM’s host engine': 'D',
  };
  for (const [line, takers, usual] of rows) {
    const found = judgeLine(line).filter(({ rejects }) => rejects === undefined);
    t.equal(found.map(({ reader }) => letters[reader.name]).join(''), takers, line);
    t.equal(driverSpelling(line)?.usual, usual, `${line}: how a driver spells the address`);
  }
});
