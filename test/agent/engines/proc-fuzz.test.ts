import t from 'tap';
import { parseCgroup } from '../../../agent/engines/cgroup.ts';
import { parseEngineArguments, renderAddress } from '../../../agent/engines/command-line.ts';
import { parseListeningTcp, parseListeningUnix } from '../../../agent/engines/sockets.ts';
import { parseKmsgRecord } from '../../../shared/kmsg-record.ts';
import { distorted, shortened, tryAll } from '../../mutations.ts';

/** /proc/net/tcp of a node with an engine (inode 47110) beside others; a line is 149 characters (man 5 proc_pid_net). */
const tcp = [
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ',
  ...[
    '0100007F:15B3 00000000:0000 0A 47110',
    '0100007F:15B3 0100007F:C350 01 47111',
    '00000000:2503 00000000:0000 0A 47112',
  ].map((text, index) => {
    const [local, remote, state, inode] = text.split(' ');
    return `   ${index}: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0`.padEnd(
      149,
    );
  }),
  '',
].join('\n');

const unix = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 55510 /tmp/nv-hostengine
0000000000000000: 00000003 00000000 00000000 0001 03 66610 /tmp/nv-hostengine
0000000000000000: 00000002 00000000 00010000 0001 01 77710 /tmp/other
0000000000000000: 00000003 00000000 00000000 0001 03 88810
`;

const container = '0123456789abcdef'.repeat(4);
const podUid = '5f1c2c84-1d5b-4e39-9d0a-9f3f1f2b3c4d';
const cgroups = [
  `0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${podUid.replaceAll('-', '_')}.slice/cri-containerd-${container}.scope\n`,
  `12:pids:/kubepods/burstable/pod${podUid}/${container}\n1:cpu:/kubepods/pod${podUid}/${container}\n0::/\n`,
  '0::/system.slice/nvidia-dcgm.service\n',
];

t.test('sockets: a shortened table names no other socket', async (t) => {
  tryAll(shortened(tcp), ({ text }) => {
    if (parseListeningTcp(text, 5555).some((inode) => inode !== '47110')) throw new Error(text);
  });
  tryAll(shortened(unix), ({ text }) => {
    if (parseListeningUnix(text, '/tmp/nv-hostengine').some((inode) => inode !== '55510'))
      throw new Error(text);
  });
  tryAll(distorted(tcp, unix), ({ text }) => {
    const inodes = [...parseListeningTcp(text, 5555), ...parseListeningUnix(text, '/tmp/nv-hostengine')];
    if (!inodes.every((inode) => /^\d+$/.test(inode) && text.includes(inode))) throw new Error(inodes.join());
  });
  t.same(parseListeningTcp(tcp, 5555), ['47110']);
});

t.test('container and pod: those that stand there, or none', async (t) => {
  tryAll(shortened(...cgroups), ({ text }) => {
    const found = parseCgroup(text);
    if (![container, null].includes(found.container) || ![podUid, null].includes(found.podUid))
      throw new Error(JSON.stringify(found));
  });
  tryAll(distorted(...cgroups), ({ text }) => {
    const found = parseCgroup(text);
    if (found.container !== null && !text.includes(found.container)) throw new Error(found.container);
    if (found.podUid !== null && !text.replaceAll('_', '-').includes(found.podUid))
      throw new Error(found.podUid);
  });
  t.pass('held');
});

t.test('arguments and records of the kernel log: anything is read or left', async (t) => {
  tryAll(distorted('nv-hostengine\n-n\n-b\nALL\n-p\n5555\n-d\n/tmp/nv-hostengine\n-c\n3'), ({ text }) => {
    const address = renderAddress(parseEngineArguments(text.split('\n')));
    if (!/^(unix:\/\/|vsock:\/\/|.*:\d{1,5}$)/s.test(address)) throw new Error(address);
  });
  const record = '11,341,831384313,-;NVRM: Xid (PCI:0000:00:1f): 79, x\\x0ay\n SUBSYSTEM=pci\n';
  tryAll(distorted(record), ({ text }) => {
    const found = parseKmsgRecord(text);
    if (found !== undefined && !text.startsWith(`${found.priority},`) && !/^0\d/.test(text))
      throw new Error(JSON.stringify(found));
  });
  t.pass('held');
});
