import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { ProcessReadBack } from '../../shared/schemas/read-back.ts';
import { means } from '../programs/means.ts';
import type { EngineProcesses, ProcessIdentity } from './port.ts';

/** A signal is delivered when the process next leaves the kernel; microseconds as a rule. */
const deliveryMs = 500;
const pollMs = 5;

/** Linux, proc_pid_stat(5): T stopped, t stopped by a tracer. */
const stopped = /^[Tt]$/;

/** The processes of this machine. */
export function createEngineProcesses(options: { readonly procRoot?: string } = {}): EngineProcesses {
  const { procRoot = '/proc' } = options;

  async function look(pid: number): Promise<(ProcessIdentity & ProcessReadBack) | undefined> {
    try {
      return parseStat(pid, await readFile(join(procRoot, String(pid), 'stat'), 'utf8'));
    } catch (thrown) {
      if (isGone(thrown)) return undefined;
      throw thrown;
    }
  }

  async function same(identity: ProcessIdentity): Promise<ProcessReadBack | undefined> {
    const found = await look(identity.pid);
    if (found?.startTime !== identity.startTime) return undefined;
    return { pid: found.pid, state: found.state };
  }

  /** Waits until it has, or has not, stopped; answers with the state it is in at the end. */
  async function settled(identity: ProcessIdentity, wanted: boolean): Promise<ProcessReadBack | undefined> {
    let found = await same(identity);
    for (let waited = 0; waited < deliveryMs; waited += pollMs) {
      if (found === undefined || stopped.test(found.state) === wanted) break;
      await sleep(pollMs);
      found = await same(identity);
    }
    return found;
  }

  async function resume(identity: ProcessIdentity): Promise<ProcessReadBack | undefined> {
    if ((await same(identity)) === undefined || !signal(identity.pid, 'SIGCONT')) return undefined;
    return settled(identity, false);
  }

  return {
    look,
    resume,
    async whyNotPausable(pid) {
      try {
        // Signal 0 asks for the right to send one (kill(2)).
        process.kill(pid, 0);
        return undefined;
      } catch (thrown) {
        return isGone(thrown) ? 'it has ended' : messageFromUnknown(thrown);
      }
    },
    async pause(identity) {
      const isSent = (await same(identity)) !== undefined && sendStop(identity.pid);
      const found = isSent ? await settled(identity, true) : undefined;
      if (found === undefined) {
        throw new Refusal('engine_not_found', `process ${identity.pid} of the host engine has ended`, {
          pid: identity.pid,
        });
      }
      if (stopped.test(found.state)) return found;
      await resume(identity);
      throw notPaused(identity.pid, `it is in state ${found.state} ${deliveryMs} ms after SIGSTOP`);
    },
  };
}

function sendStop(pid: number): boolean {
  try {
    return signal(pid, 'SIGSTOP');
  } catch (thrown) {
    // kill(2): EPERM is about the sender, not about the process.
    if ((thrown as NodeJS.ErrnoException).code === 'EPERM')
      throw new Refusal(
        'agent_incapable',
        `the agent may not stop process ${pid} of the host engine: ${messageFromUnknown(thrown)}`,
        { pid, lacks: 'rights', remedy: means.rights },
        thrown,
      );
    throw notPaused(pid, messageFromUnknown(thrown));
  }
}

/** False: the process is gone. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (thrown) {
    if (isGone(thrown)) return false;
    throw thrown;
  }
}

/** The name of the program stands in parentheses and may hold any byte, a parenthesis as well. */
function parseStat(pid: number, text: string): ProcessIdentity & ProcessReadBack {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = '?'] = fields;
  return { pid, state, startTime: fields[19] ?? '' };
}

function isGone(thrown: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes((thrown as NodeJS.ErrnoException).code ?? '');
}

function notPaused(pid: number, because: string): Refusal {
  return new Refusal('process_not_paused', `process ${pid} of the host engine did not stop: ${because}`, {
    pid,
    remedy: 'the agent needs root and the host’s process ids; a process that has ended cannot be stopped',
  });
}
