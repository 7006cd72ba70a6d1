/** Run as a worker: gives every reader of outside text long lines, and sends its name when it has read them all. */
import { parentPort } from 'node:worker_threads';
import { parseInjection, parseIntrospection } from '../agent/dcgm/codecs/injection.ts';
import { parseCgroup } from '../agent/engines/cgroup.ts';
import { parseEngineArguments } from '../agent/engines/command-line.ts';
import { parseListeningTcp, parseListeningUnix } from '../agent/engines/sockets.ts';
import { effectiveUid, isPrivileged } from '../agent/engines/status.ts';
import { parseJournalEntries } from '../agent/host-files/journald/entries.ts';
import { parseJournaldSettings } from '../agent/host-files/journald/settings.ts';
import { writableVolumeIn } from '../agent/programs/trust.ts';
import { matchKernelRules } from '../coordinator/catalogue/nma/kernel-rules.ts';
import { matchLogRules } from '../coordinator/catalogue/nma/log-rules.ts';
import { findNmaVersion } from '../coordinator/catalogue/nma/versions.ts';
import { longestText } from '../coordinator/catalogue/parameters.ts';
import { judgeDriverLine, judgeLine } from '../coordinator/catalogue/readers/xid-lines.ts';
import { findKarpenterVersion } from '../coordinator/catalogue/repair/karpenter.ts';
import { rules } from '../coordinator/diagnosis/rules.ts';
import { parseDiscovery, parseVersions } from '../shared/dcgmi/discovery.ts';
import { parseFieldGroups, whyGroupsIncomplete } from '../shared/dcgmi/field-groups.ts';
import { Refusal } from '../shared/errors.ts';
import { parseKmsgRecord } from '../shared/kmsg-record.ts';
import { withoutSecrets } from '../shared/secrets.ts';
import { parseXidLine } from '../shared/xid/line.ts';
import { facts } from './coordinator/diagnosis/builder.ts';

/** Characters of a line. */
const lineLength = 20_000;

/** What a line consists of, once and again. */
const units = [' ', '|', '-', '1', '"', '\\', ':', '[', 'a', '| ', '" '];

const run = (output: string) => ({ exitCode: 0, output, commandLine: ['dcgmi'] });
const { row } = findNmaVersion('v1.7.2');

/** Readers of what an order would write: its texts are refused beyond this length. */
const ofOrders = new Set(['an Xid line', 'NMA’s rules for the kernel log', 'NMA’s rules for log files']);

/** What each reader does with a text, and the words that its patterns begin with. */
export const readers: Readonly<
  Record<string, { readonly heads: readonly string[]; readonly read: (text: string) => unknown }>
> = {
  'dcgmi discovery -l': {
    heads: ['1 GPUs found', '1 GPU found.\n| GPU ID | Device Information |\n| 0 | Name: '],
    read: parseDiscovery,
  },
  'dcgmi -v': { heads: ['Version : 4.5.1-', 'Hostengine build info:\n'], read: parseVersions },
  'dcgmi fieldgroup -l': {
    heads: ['1 field groups found.\n| Field IDs | ', '{\n', '| ID | 1 |\n| Field IDs | 1, '],
    read: (text) => whyGroupsIncomplete(text, parseFieldGroups(text)),
  },
  'dcgmi test --inject': { heads: ['Error: '], read: (text) => parseInjection(run(text)) },
  'dcgmi test --introspect': {
    heads: ['Flags : ', 'Newest Timestamp : Mon Nov '],
    read: (text) => parseIntrospection(run(text)),
  },
  'net/tcp': { heads: ['sl\n 0: '], read: (text) => parseListeningTcp(text, 5555) },
  'net/unix': { heads: ['Num\n0: '], read: (text) => parseListeningUnix(text, '/tmp/nv-hostengine') },
  cgroup: { heads: ['0::/', '0::/kubepods-pod'], read: parseCgroup },
  status: { heads: ['Uid:', 'CapEff:'], read: (text) => [effectiveUid(text), isPrivileged(text)] },
  cmdline: { heads: ['nv-hostengine\0-b\0'], read: (text) => parseEngineArguments(text.split('\0')) },
  mountinfo: { heads: ['1 0 8:1 / /a '], read: (text) => writableVolumeIn(text, '/opt') },
  'journalctl -o json': { heads: ['{"MESSAGE":"'], read: parseJournalEntries },
  'journald’s settings': {
    heads: ['[Journal]\nStorage', '['],
    read: (text) => parseJournaldSettings(text, text),
  },
  'a record of the kernel log': { heads: ['3,1,2,-;', '3,1,2,'], read: parseKmsgRecord },
  'an Xid line': {
    heads: ['NVRM: Xid (PCI:0000:00', 'NVRM: Xid (PCI:0000:00:1f): ', 'SXid', 'NVRM: The NVIDIA GPU '],
    read: (text) => [parseXidLine(text), judgeLine(text), judgeDriverLine(text)],
  },
  'the log of our own programs': {
    heads: ['"token": ', 'https://', 'Bearer ', '?token=', 'eyJabcdef'],
    read: withoutSecrets,
  },
  'NMA’s rules for the kernel log': {
    heads: ['[', '3,1,2,-;traps: ', 'x BUG: '],
    read: (text) => matchKernelRules(row, text),
  },
  'NMA’s rules for log files': {
    heads: ['nov 1 10:10:10 ', ' CMD ', 'IPv4: '],
    read: (text) => [
      matchLogRules(row, { kind: 'journal', identifier: 'kubelet' }, text),
      matchLogRules(row, { kind: 'file', path: '/var/log/aws-routed-eni/ipamd.log' }, text),
    ],
  },
  'NMA’s own log': {
    heads: ['{"level":"error","ts":"', 'sending condition to exporter'],
    read: (text) => rules.map((rule) => rule.judge(facts({ nma: { log: text.split('\n') } }))),
  },
  'image tags': {
    heads: ['v1.7.2', 'x/controller:1.15.0'],
    read: (text) => [findNmaVersion(text), findKarpenterVersion(text)],
  },
};

if (parentPort !== null) {
  for (const [name, { heads, read }] of Object.entries(readers)) {
    for (const text of ['', ...heads].flatMap((head) => textsBehind(head, lengthFor(name)))) {
      try {
        read(text);
      } catch (thrown) {
        if (!(thrown instanceof Refusal)) throw thrown;
      }
    }
    parentPort.postMessage(name);
  }
}

function lengthFor(name: string): number {
  return ofOrders.has(name) ? longestText : lineLength;
}

function textsBehind(head: string, length: number): string[] {
  return units.flatMap((unit) => {
    const body = unit.repeat(length / unit.length);
    return [`${head}${body}x\n`, `${head}${body}\n${body}\n`];
  });
}
