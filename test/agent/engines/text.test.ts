import t from 'tap';
import { parseCgroup } from '../../../agent/engines/cgroup.ts';
import { engineProgram, parseEngineArguments, renderAddress } from '../../../agent/engines/command-line.ts';
import { listenersFor, parseListeningTcp, parseListeningUnix } from '../../../agent/engines/sockets.ts';

t.test('the address from the arguments', async (t) => {
  const rows: [string, string][] = [
    ['nv-hostengine', '127.0.0.1:5555'],
    // L2: no option, and its argument is the next one.
    ['nv-hostengine constructor -p 7000', '127.0.0.1:7000'],
    ['nv-hostengine __proto__ -p 7000', '127.0.0.1:7000'],
    ['nv-hostengine -n --service-account nvidia-dcgm', '127.0.0.1:5555'],
    ['/usr/bin/nv-hostengine -n -b ALL', '127.0.0.1:5555'],
    ['nv-hostengine -n -b 0.0.0.0 -p 5999', '127.0.0.1:5999'],
    ['nv-hostengine --bind-interface 10.0.0.7 --port 6000', '10.0.0.7:6000'],
    ['nv-hostengine -b ::1', '[::1]:5555'],
    ['nv-hostengine --port=7000', '127.0.0.1:7000'],
    ['nv-hostengine -p nonsense', '127.0.0.1:5555'],
    ['nv-hostengine -p', '127.0.0.1:5555'],
    ['nv-hostengine -d', 'unix:///tmp/nv-hostengine'],
    ['nv-hostengine -d -n', 'unix:///tmp/nv-hostengine'],
    ['nv-hostengine -n --domain-socket /run/dcgm.sock', 'unix:///run/dcgm.sock'],
    ['nv-hostengine -c 3 -p 5556', 'vsock://3:5556'],
    ['node /opt/nv-hostengine -n -p 5557', '127.0.0.1:5557'],
    ['nv-hostengine -f /var/log/-p -p 5558', '127.0.0.1:5558'],
    ['nv-hostengine --domain-socket=/run/a=b', 'unix:///run/a=b'],
  ];
  for (const [line, expected] of rows)
    t.equal(renderAddress(parseEngineArguments(line.split(' '))), expected, line);
  // `args` of a container, each of them one argument.
  const whole: [string[], string][] = [
    [['-n', '-b ALL', '-p 5556'], '127.0.0.1:5556'],
    [['--bind-interface 10.0.0.7', '-n'], '10.0.0.7:5555'],
    [['-d /run/dcgm sock', '-n'], 'unix:///run/dcgm sock'],
    [['-f /var/log/x -p 1', '-p', '5557'], '127.0.0.1:5557'],
  ];
  for (const [args, expected] of whole)
    t.equal(renderAddress(parseEngineArguments(['nv-hostengine', ...args])), expected, JSON.stringify(args));
});

t.test('the program of a script is the script', async (t) => {
  const rows: [string, string[], string, string][] = [
    ['/usr/bin/nv-hostengine', ['nv-hostengine', '-n'], '/', '/usr/bin/nv-hostengine'],
    ['/usr/bin/node', ['node', '/opt/dcgm/nv-hostengine', '-n'], '/', '/opt/dcgm/nv-hostengine'],
    ['/usr/bin/node', ['node', './nv-hostengine'], '/opt/dcgm', '/opt/dcgm/nv-hostengine'],
    ['/usr/bin/dash', ['/bin/sh', '-c', 'nv-hostengine'], '/', '/usr/bin/dash'],
  ];
  for (const [executable, commandLine, folder, expected] of rows) {
    t.equal(engineProgram(executable, commandLine, folder), expected);
  }
});

t.test('container and pod from the control group', async (t) => {
  const id = '0123456789abcdef'.repeat(4);
  const uid = '5f1c2c84-1d5b-4e39-9d0a-9f3f1f2b3c4d';
  const under = uid.replaceAll('-', '_');
  const slice = `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${under}.slice`;
  const rows: [name: string, text: string, container: string | null, podUid: string | null][] = [
    ['version 2, systemd', `0::${slice}/cri-containerd-${id}.scope\n`, id, uid],
    [
      'version 2, inside the namespace',
      `0::/../../kubepods-pod${under}.slice/cri-containerd-${id}.scope\n`,
      id,
      uid,
    ],
    [
      'version 1, cgroupfs',
      `12:pids:/kubepods/burstable/pod${uid}/${id}\n1:cpu:/kubepods/pod${uid}/${id}\n0::/\n`,
      id,
      uid,
    ],
    ['guaranteed', `0::/kubepods/pod${uid}/${id}\n`, id, uid],
    ['CRI-O', `0::${slice}/crio-${id}.scope\n`, id, uid],
    ['a group of crun behind it', `0::${slice}/crio-${id}.scope/container\n`, id, uid],
    ['a systemd inside', `0::${slice}/cri-containerd-${id}.scope/init.scope\n`, id, uid],
    [
      'a container in a container: the inner one',
      `0::/docker/${'f'.repeat(64)}/kubelet/kubepods/pod${uid}/${id}\n`,
      id,
      uid,
    ],
    ['a longer number is none', `0::/system.slice/run-${id}0.scope\n`, null, null],
    ['a plain container', `0::/system.slice/docker-${id}.scope\n`, id, null],
    ['a service of the host', '0::/system.slice/nvidia-dcgm.service\n', null, null],
    ['the root group', '0::/\n', null, null],
    ['nothing', '', null, null],
  ];
  for (const [name, text, container, podUid] of rows) {
    t.same(parseCgroup(text), { container, podUid }, name);
  }
  const colons = `11:memory:/kubepods-pod${under}.slice:cri-containerd:${id}\n`;
  t.same(
    parseCgroup(colons),
    { container: id, podUid: uid },
    'containerd’s own notation, with colons in the path',
  );
});

t.test('listening sockets', async (t) => {
  const head =
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
  const row = (local: string, state: string, inode: number) =>
    `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000 100 0\n`;
  const tcp =
    head +
    row('0100007F:15B3', '0A', 111) +
    row('0100007F:15B3', '01', 222) +
    row('0100007F:15B4', '0A', 333);
  t.same(parseListeningTcp(tcp, 5555), ['111']);
  const tcp6 = head + row('00000000000000000000000000000000:15B3', '0A', 444);
  t.same(parseListeningTcp(tcp6, 5555), ['444'], '-b ALL is in tcp6 only');
  const unix = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 555 /tmp/nv-hostengine
0000000000000000: 00000003 00000000 00000000 0001 03 666 /tmp/nv-hostengine
0000000000000000: 00000002 00000000 00010000 0001 01 777 /tmp/other
0000000000000000: 00000003 00000000 00000000 0001 03 888
`;
  t.same(parseListeningUnix(unix, '/tmp/nv-hostengine'), ['555']);
  t.same(listenersFor({ kind: 'vsock', cid: '3', port: 5555 }), []);
});
