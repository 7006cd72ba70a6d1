import t from 'tap';
import { createLogReader } from '../../../../coordinator/catalogue/nma/log-reader.ts';
import {
  type LogSource,
  linesNeeded,
  logRules,
  matchLogRules,
} from '../../../../coordinator/catalogue/nma/log-rules.ts';
import { findNmaVersion, nmaVersions } from '../../../../coordinator/catalogue/nma/versions.ts';
import { type RuleRow, reasonIn, renderReaction } from './rule-rows.ts';

const kubelet = { kind: 'journal', identifier: 'kubelet' } as const;
const systemd = { kind: 'journal', identifier: 'systemd' } as const;
const file = (path: string) => ({ kind: 'file', path }) as const;
const ipamd = file('/var/log/aws-routed-eni/ipamd.log');
const messages = file('/var/log/messages');
const cron = file('/var/log/cron.log');

const row = findNmaVersion('1.7.0').row;
const sourceName = (source: LogSource) => (source.kind === 'journal' ? source.identifier : source.path);

function matches(source: LogSource, line: string): string[] {
  return matchLogRules(row, source, line).map(({ reaction }) => renderReaction(reaction, 'severity'));
}

const podStuck = (pod: string) =>
  `"Pod still has one or more containers in the non-exited state and will not be removed from desired state" pod="${pod}"`;

t.test('lines of the journal and of files', async (t) => {
  const outOfPids =
    'fatal KernelReady ForkFailedOutOfPIDs: A fork or exec call has failed due to the system being out of process IDs or memory';
  const noApi =
    'fatal NetworkingReady IPAMDNotReady: IPAM-D has failed to connect to API Server which could be an issue with IPTable rules or any other network configuration.';
  const noToken =
    'fatal NetworkingReady IPAMDNotReady: IPAM-D Missing Service Account Token and the IPAM daemon cannot connect to the API server.';
  const rapidCron =
    'warning KernelReady RapidCron: A cron job is running faster than every 5 minutes, which can impact node performance';
  const rows: RuleRow<LogSource>[] = [
    [kubelet, 'fork/exec /usr/bin/runc: resource temporarily unavailable', [outOfPids]],
    [kubelet, 'runtime: failed to create new OS thread (have 5 already; errno=11)', [outOfPids]],
    [kubelet, 'runtime: failed to create new OS thread (have 5 already; errno=12)', []],
    [kubelet, 'fork/exec /usr/bin/runc: no such file or directory', []],
    [systemd, 'fork/exec /usr/bin/runc: resource temporarily unavailable', []],
    [
      kubelet,
      'fs: disk usage and inodes count on following dirs took 13.5s: [/x]',
      [
        'warning StorageReady KubeletDiskUsageSlow: Kubelet is reporting slow disk usage, which may indicate a misconfigured filesystem or insufficient disk I/O',
      ],
    ],
    [kubelet, 'fs: disk usage and inodes count took 13.5s', []],
    [
      kubelet,
      podStuck('default/x'),
      [
        'fatal ContainerRuntimeReady PodStuckTerminating: Pod "default/x" is stuck terminating. Restarting kubelet will result in cleaning up stuck pods',
      ],
    ],
    [kubelet, podStuck('default/x').replaceAll('"', ''), []],
    [
      kubelet,
      'Unit kubelet.service entered failed state.',
      ['warning ContainerRuntimeReady KubeletFailed: Kubelet has entered a failed state'],
    ],
    [kubelet, 'Unit containerd.service entered failed state.', []],
    [systemd, 'Unit kubelet.service entered failed state.', []],
    [
      kubelet,
      'OCI runtime create failed: x',
      ['warning ContainerRuntimeReady ContainerRuntimeFailed: OCI runtime create failed'],
    ],
    [kubelet, 'OCI runtime create failed', []],
    [
      kubelet,
      'Readiness probe for "default/x:app" failed (failure): connection refused',
      [
        'warning ContainerRuntimeReady ReadinessProbeFailures: Exceeded a safe rate of readiness probe failures',
      ],
    ],
    [kubelet, 'Readiness probe for "default/x" failed', []],
    [
      kubelet,
      'Liveness probe for "default/x:app" failed (failure): connection refused',
      [
        'warning ContainerRuntimeReady LivenessProbeFailures: Exceeded a safe rate of liveness probe failures',
      ],
    ],
    [kubelet, 'Startup probe for "default/x:app" failed', []],
    [
      systemd,
      'Failed to start nma-probe-1.',
      ['warning ContainerRuntimeReady ServiceFailedToStart: Failed to start nma-probe-1.'],
    ],
    [
      systemd,
      'x.service: Failed to start X (xidrill). See log',
      ['warning ContainerRuntimeReady ServiceFailedToStart: x.service: Failed to start X (xidrill). See log'],
    ],
    [systemd, 'Failed to start nma-probe-1', []],
    [kubelet, 'Failed to start nma-probe-1.', []],
    [ipamd, 'Unable to reach API Server', [noApi]],
    [ipamd, 'Failed to check API server connectivity: timeout', [noApi]],
    [
      ipamd,
      'Failed to check API server connectivity: invalid configuration: no configuration has been provided, try',
      [noToken],
    ],
    [ipamd, 'unable to reach API server', []],
    [messages, 'Unable to reach API Server', []],
    [
      ipamd,
      'Starting L-IPAMD v1.19',
      [
        'warning NetworkingReady IPAMDRepeatedlyRestart: IPAMD is restarting often which leads to other CNI components failing.',
      ],
    ],
    [ipamd, 'Starting IPAMD', []],
    [
      ipamd,
      'InsufficientFreeAddressesInSubnet: The specified subnet does not have enough free addresses',
      ['warning NetworkingReady IPAMDNoIPs: There are no available IP addresses for IPAMD to assign to pods'],
    ],
    [ipamd, 'InsufficientFreeAddresses', []],
    [
      messages,
      'error mounting "/var/lib/kubelet/pods/x/etc-hosts" to rootfs at "/etc/hosts"',
      ['warning StorageReady EtcHostsMountFailed: Mounting of the kubelet generated /etc/hosts failed'],
    ],
    [messages, 'error mounting "/var/lib/kubelet/pods/x/etc-hosts" to rootfs at "/etc/hostname"', []],
    [kubelet, 'error mounting "/var/lib/kubelet/pods/x/etc-hosts" to rootfs at "/etc/hosts"', []],
    [cron, 'Nov 22 08:00:00 host CROND[1]: (root) CMD (x)', [rapidCron]],
    [cron, 'Nov 22 08:00:00 host CROND[1]: (root) LIST (x)', []],
    [cron, 'Nov 22 08:00:00 host (root) CMD (x)', [rapidCron]],
    [cron, 'Nov 22 08:00:00 host root CMD ', []],
    [cron, '2026-11-22T08:00:00 host CROND[1]: (root) CMD (x) y', []],
  ];
  for (const [source, line, expected] of rows)
    t.same(matches(source, line), expected, `${sourceName(source)}: ${line}`);
});

t.test('a line of two monitors is a finding of both', async (t) => {
  t.same(
    matches(kubelet, 'OCI runtime create failed: fork/exec x: resource temporarily unavailable').map(
      reasonIn,
    ),
    ['ForkFailedOutOfPIDs:', 'ContainerRuntimeFailed:'],
  );
});

t.test(
  'every sample is of exactly its own rule, in every version that has it, and needs so many lines',
  async (t) => {
    for (const rule of logRules) {
      const found = matchLogRules(row, rule.source, rule.sample);
      t.same(
        found.map((match) => match.rule.id),
        [rule.id],
        `${rule.id}: ${rule.sample}`,
      );
      t.ok(found[0]?.rule === rule, `${rule.id}: its own pattern`);
      for (const version of nmaVersions) {
        const reader = createLogReader(version);
        const needed = linesNeeded(rule) - rule.minOccurrences;
        const seen = Array.from(
          { length: needed },
          () => reader.read(rule.source, rule.sample, 1_000_000).length,
        );
        t.same(seen, [...Array.from({ length: needed - 1 }, () => 0), 1], `${rule.id} in ${version.version}`);
      }
    }
  },
);

t.test('the limiter of the probes: five at once, one a second, for all pods together', async (t) => {
  const line = (pod: number, probe = 'Readiness') => `${probe} probe for "default/x-${pod}:app" failed`;
  const count = (reader: ReturnType<typeof createLogReader>, times: readonly number[], probe?: string) =>
    times.map((at, index) => reader.read(kubelet, line(index, probe), at).length);
  const rows: [what: string, times: number[], expected: number[]][] = [
    ['six at once', [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]],
    ['the sixth within a second', [0, 0, 0, 0, 0, 999], [0, 0, 0, 0, 0, 1]],
    ['the sixth a second later', [0, 0, 0, 0, 0, 1000], [0, 0, 0, 0, 0, 0]],
    [
      'two a second drain it',
      [0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000],
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
    ],
    [
      'and then it is empty',
      Array.from({ length: 11 }, (_, n) => n * 500),
      [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
    ],
    ['a quiet hour holds no more than five', [0, ...Array(6).fill(3_600_000)], [0, 0, 0, 0, 0, 0, 1]],
  ];
  for (const [what, times, expected] of rows) {
    t.same(count(createLogReader(row), times), expected, what);
    t.same(count(createLogReader(row), times, 'Liveness'), expected, `${what}, liveness`);
  }
  const reader = createLogReader(row);
  count(reader, [0, 0, 0, 0, 0]);
  t.same(count(reader, [0], 'Liveness'), [0], 'each kind of probe has its own');
});

t.test('a cron job that comes too often', async (t) => {
  const line = (time: string, key = '(root)') => `${time} host CROND[1]: ${key} CMD (x)`;
  const rows: [what: string, lines: string[], expected: number[]][] = [
    ['a minute later', [line('Nov 22 08:00:00'), line('Nov 22 08:01:00')], [0, 1]],
    ['just under five minutes', [line('Nov 22 08:00:00'), line('Nov 22 08:04:59')], [0, 1]],
    ['five minutes', [line('Nov 22 08:00:00'), line('Nov 22 08:05:00')], [0, 0]],
    ['another key', [line('Nov 22 08:00:00'), line('Nov 22 08:01:00', '(bin)')], [0, 0]],
    ['the same line again', [line('Nov 22 08:00:00'), line('Nov 22 08:00:00')], [0, 1]],
    ['a new year', [line('Dec 31 23:00:00'), line('Jan  1 08:00:00')], [0, 1]],
    ['29 February', [line('Feb 29 08:00:00'), line('Feb 29 08:01:00')], [0, 1]],
    ['no such day', [line('Feb 30 08:00:00'), line('Feb 30 08:01:00')], [0, 0]],
    ['no such hour', [line('Nov 22 24:00:00'), line('Nov 22 24:01:00')], [0, 0]],
    ['no such month', [line('Foo 22 08:00:00'), line('Foo 22 08:01:00')], [0, 0]],
    [
      'what is no command is not remembered',
      ['Nov 22 08:00:00 host CROND[1]: (root) LIST (x)', line('Nov 22 08:01:00')],
      [0, 0],
    ],
  ];
  for (const [what, lines, expected] of rows) {
    const reader = createLogReader(row);
    t.same(
      lines.map((text) => reader.read(cron, text, 0).length),
      expected,
      what,
    );
  }
});
