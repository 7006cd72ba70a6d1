import fc from 'fast-check';
import t from 'tap';
import {
  encodeKmsgWrite,
  escapeKmsgText,
  kmsgLevels,
  longestKmsgWrite,
  parseKmsgRecord,
} from '../../shared/kmsg-record.ts';
import { isSamePci, parsePci, pciToNvml, pciToSysfs, pciToXid } from '../../shared/pci.ts';

const pciAddress = fc.record({
  domain: fc.nat(0xffffffff),
  bus: fc.nat(0xff),
  device: fc.nat(0x1f),
  function: fc.nat(7),
});

t.test('a PCI address has four spellings, and each is read', (t) => {
  const rows = [
    ['00000000:3B:00.0', '0000:3b:00', '0000:3b:00.0', '00000000:3B:00.0'],
    ['0000:3b:00.0', '0000:3b:00', '0000:3b:00.0', '00000000:3B:00.0'],
    ['0000:3b:00', '0000:3b:00', '0000:3b:00.0', '00000000:3B:00.0'],
    ['3B:00.0', '0000:3b:00', '0000:3b:00.0', '00000000:3B:00.0'],
    ['PCI:0000:00:1f', '0000:00:1f', '0000:00:1f.0', '00000000:00:1F.0'],
    ['0001:00:00.3', '0001:00:00', '0001:00:00.3', '00000001:00:00.3'],
    ['00012345:00:00.0', '12345:00:00', '12345:00:00.0', '00012345:00:00.0'],
  ] as const;
  for (const [text, xid, sysfs, nvml] of rows) {
    const pci = parsePci(text);
    t.same([pciToXid(pci), pciToSysfs(pci), pciToNvml(pci)], [xid, sysfs, nvml], text);
  }
  fc.assert(
    fc.property(pciAddress, (pci) => {
      t.same(parsePci(pciToNvml(pci)), pci);
      t.same(parsePci(pciToSysfs(pci)), pci);
      t.same(parsePci(`PCI:${pciToXid(pci)}`), { ...pci, function: 0 });
      t.ok(isSamePci(pci, parsePci(pciToNvml(pci))));
    }),
    { numRuns: 50 },
  );
  t.end();
});

t.test('what is no PCI address is refused, and the message names the field', (t) => {
  const rows = [
    '',
    '3b',
    '3b:0',
    '3b:20.0',
    '3b:00.8',
    '000:3b:00',
    '000000000:3b:00',
    ' 3b:00',
    '3b:00\n',
    '3b:00.0 ',
    'PCI:',
    'g0:00',
  ];
  for (const text of rows) {
    t.throws(
      () => parsePci(text, 'gpu.pci'),
      { name: 'Refusal', reason: 'gpu_address_malformed', message: /^gpu\.pci: /, details: { value: text } },
      JSON.stringify(text),
    );
  }
  t.end();
});

t.test('a record of the kernel log is read', (t) => {
  const rows = [
    [
      '11,341,831384313,-;NVRM: a',
      { priority: 11, sequence: 341, microseconds: 831384313, flags: '-', text: 'NVRM: a' },
    ],
    ['6,1,2,-,caller=T12;a;b', { flags: '-', text: 'a;b' }],
    ['6,1,2,c;a\\x09b\\x5cx41\\xE9', { flags: 'c', text: 'a\tb\\x41\u00e9' }],
    [
      '6,1,2,-;a\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n',
      { text: 'a', raw: '6,1,2,-;a\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0' },
    ],
    ['6,1,2,-;\n', { text: '', raw: '6,1,2,-;' }],
    ['6,9007199254740991,2,-;a', { sequence: Number.MAX_SAFE_INTEGER }],
  ] as const;
  for (const [raw, expected] of rows) t.match(parseKmsgRecord(raw), expected, JSON.stringify(raw));
  for (const raw of ['', 'a', '6,1,2;a', 'x,1,2,-;a', '6,1,2,-', ' 6,1,2,-;a']) {
    t.equal(parseKmsgRecord(raw), undefined, `${JSON.stringify(raw)} is no record`);
  }
  t.end();
});

t.test('what the kernel escapes is undone, whatever it was', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii', maxLength: 200 }), (text) => {
      const record = parseKmsgRecord(`11,1,1,-;${escapeKmsgText(text)}\n`);
      t.equal(record?.text, text);
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('a write is one record: a level, a text, a line break', (t) => {
  for (const [index, level] of kmsgLevels.entries()) {
    t.equal(encodeKmsgWrite(level, 'a').toString('latin1'), `<${index}>a\n`);
  }
  t.equal(encodeKmsgWrite('err', 'x'.repeat(longestKmsgWrite - 4)).length, longestKmsgWrite);
  t.throws(() => encodeKmsgWrite('err', 'x'.repeat(longestKmsgWrite - 3), 'detail'), {
    name: 'Refusal',
    reason: 'text_too_long',
    message: /^detail: 973 characters, the kernel takes 972/,
  });
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), (text) => {
      const isClean = /^[\x20-\x7e]+$/.test(text) && text.trim() !== '';
      try {
        t.equal(encodeKmsgWrite('err', text).toString('latin1'), `<3>${text}\n`);
        t.ok(isClean, 'only clean text passes');
      } catch (thrown) {
        t.match(thrown, { name: 'Refusal', reason: /^text_/, code: 'invalid_argument' });
        t.notOk(isClean, 'clean text always passes');
      }
    }),
    { numRuns: 200 },
  );
  t.end();
});
