import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';

import { whyNoKernelLog } from '../../kernel-log/device.ts';

const program = '/lib/systemd/systemd-journald';

/** Why no real journald can run here; undefined: it can. */
export function whyNoJournald(): string | undefined {
  if (!existsSync(program) || !existsSync('/usr/bin/journalctl')) return 'systemd-journald is not installed';
  return whyNoKernelLog();
}

/**
 * A real journald with a /run, a /var/log and a configuration of its own, in a mount namespace that ends with it. The
 * result is its root as another process sees it, as the host's is to the agent.
 */
export async function startJournald(
  t: Pick<Test, 'teardown'>,
  options: {
    /** Lines of the section [Journal]. */
    readonly settings?: string;
    /** It finds a /var/log/journal, as on a node with a journal that lasts; absent: none. */
    readonly persistent?: boolean;
  } = {},
): Promise<string> {
  const script = `set -e
    mount -t tmpfs none /run
    mount -t tmpfs none /var/log
    mount -t tmpfs none /etc/systemd
    mkdir -p /run/log /run/systemd
    ${options.persistent === true ? 'mkdir -p /var/log/journal /run/systemd/journal; touch /run/systemd/journal/flushed' : ''}
    printf '%s\\n' '[Journal]' "$SETTINGS" > /etc/systemd/journald.conf
    exec ${program}`;
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private', 'sh', '-c', script],
    {
      env: { PATH: process.env.PATH ?? '', SETTINGS: options.settings ?? '' },
      stdio: 'ignore',
    },
  );
  const gone = new Promise((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  const root = `/proc/${child.pid}/root`;
  for (let turn = 0; turn < 6_000; turn += 1) {
    if (child.exitCode !== null) throw new Error(`journald ended with ${child.exitCode}`);
    if (existsSync(`${root}/run/systemd/journal/socket`)) return root;
    await sleep(50);
  }
  throw new Error('journald has made no socket within 5 min');
}
