import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type IPty, spawn } from 'node-pty';
import { messageFromUnknown, Refusal } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import type { EngineProcess } from '../engines/port.ts';
import { findNsenter, isNotExecuted, noNsenter, nsenterFailed, nsenterWords } from '../programs/nsenter.ts';
import { untrustedRemedy } from '../programs/trust.ts';
import { type Located, libraryFolders, locateDcgmi } from './locate.ts';
import { createMark, killMarked, markName } from './marked-processes.ts';
import type { Dcgmi, DcgmiRun } from './port.ts';
import { type ProcessFacts, readProcessFacts } from './process-facts.ts';

/** More than the longest table; what comes after it is dropped, and the program may go on writing. */
const longestOutput = 256 * 1024;

/** How long a killed program may take to be reaped. */
const reapMs = 2000;

/** Colours, cursor movements, titles (ECMA-48): TERM=dumb asks for none, old tools send them all the same. */
const escapeSequences = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])/g;

/**
 * Runs the real `dcgmi` under a pseudo terminal: it writes line by line there, so a run that has to be stopped leaves
 * what it said until then. Needs Node 24.16 or newer, older ones lose the end of the output (microsoft/node-pty#85).
 */
export function createPtyDcgmi(options: {
  /** Run instead of the engine's own; looked for in the engine's root first, then in the agent's. */
  readonly dcgmiPath?: string;
  readonly procRoot?: string;
  readonly log: Log;
}): Dcgmi {
  const { dcgmiPath, log, procRoot = '/proc' } = options;

  async function find(engine: EngineProcess): Promise<{ facts: ProcessFacts; located: Located }> {
    const facts = await readProcessFacts(procRoot, engine.pid);
    return { facts, located: await locateDcgmi(engine, facts, { dcgmiPath, procRoot }) };
  }

  return {
    async locate(engine) {
      const { located } = await find(engine);
      return 'path' in located ? { path: located.path } : located;
    },
    async run(engine, args, { timeoutMs, signal }) {
      signal?.throwIfAborted();
      const { facts, located } = await find(engine);
      if ('because' in located) {
        const { because, untrusted } = located;
        const reason = untrusted === undefined ? 'dcgmi_not_found' : 'dcgmi_untrusted';
        throw new Refusal(reason, `engine ${engine.pid}: ${because}`, {
          pid: engine.pid,
          ...(untrusted === undefined ? {} : { file: untrusted, remedy: untrustedRemedy(untrusted) }),
        });
      }
      const commandLine = await commandLineFor(engine, args, facts, located, procRoot);
      log.debug({ commandLine, engine: engine.pid }, 'running dcgmi');
      return runUnderPty(commandLine, {
        environment: environmentFor(located.inEngine ? facts : none),
        procRoot,
        pid: engine.pid,
        timeoutMs,
        signal,
      });
    },
  };
}

async function commandLineFor(
  engine: EngineProcess,
  args: readonly string[],
  facts: ProcessFacts,
  located: Extract<Located, { path: string }>,
  procRoot: string,
): Promise<string[]> {
  const [subsystem = '', ...rest] = args;
  const entersMounts = located.inEngine && !facts.sameMounts;
  const entersRoot = located.inEngine && !facts.sameRoot;
  const host = located.inEngine ? engine.address : addressFromOutside(engine, facts, procRoot);
  const dcgmi = [located.path, subsystem, '--host', host, ...rest];
  const flags = [
    ...(entersMounts ? ['--mount'] : []),
    ...(facts.sameNetwork ? [] : ['--net']),
    ...(entersRoot ? ['--root'] : []),
  ];
  if (flags.length === 0) return dcgmi;
  const nsenter = await findNsenter();
  if (nsenter === undefined)
    throw noNsenter(`to enter the namespaces of the host engine with pid ${engine.pid}`);
  return [nsenter, '--target', String(engine.pid), ...flags, '--', ...dcgmi];
}

/** A socket file of another mount namespace is reached through the process that lives there. */
function addressFromOutside(engine: EngineProcess, facts: ProcessFacts, procRoot: string): string {
  const path = /^unix:\/\/(.*)$/.exec(engine.address)?.[1];
  if (path === undefined || (facts.sameMounts && facts.sameRoot)) return engine.address;
  return `unix://${join(procRoot, String(engine.pid), 'root', path)}`;
}

/** Of an engine whose own folders mean nothing to the program that is run. */
const none: Pick<ProcessFacts, 'environment'> = { environment: {} };

/** No CUDA_VISIBLE_DEVICES: dcgmi prints a warning about it into what is parsed. */
function environmentFor(facts: Pick<ProcessFacts, 'environment'>): Record<string, string> {
  const { PATH: path } = facts.environment;
  const libraries = libraryFolders(facts).join(':');
  return {
    PATH: path ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    TZ: 'UTC',
    LC_ALL: 'C',
    TERM: 'dumb',
    NO_COLOR: '1',
    ...(libraries === '' ? {} : { LD_LIBRARY_PATH: libraries }),
  };
}

function runUnderPty(
  commandLine: readonly string[],
  options: {
    readonly environment: Record<string, string>;
    readonly procRoot: string;
    /** Of the engine. */
    readonly pid: number;
    readonly timeoutMs: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<DcgmiRun> {
  const { procRoot, timeoutMs, signal } = options;
  const mark = createMark();
  const [file = '', ...args] = commandLine;
  const { promise, resolve, reject } = Promise.withResolvers<DcgmiRun>();
  signal?.throwIfAborted();
  const terminal = openTerminal(file, args, { ...options.environment, [markName]: mark });
  let raw = '';
  let refusal: unknown;
  let reaper: NodeJS.Timeout | undefined;
  const output = () => cleanOutput(raw);
  const words = () => nsenterWords(file, output());

  const stop = (because: unknown) => {
    if (refusal !== undefined) return;
    refusal = because;
    killGroup(terminal.pid);
    killMarked(procRoot, mark);
    reaper = setTimeout(finish, reapMs, 137);
  };
  const onAbort = () => stop(signal?.reason);
  // Real time on purpose: the program runs in it, whatever clock the product is on.
  const timer = setTimeout(() => {
    const message = `dcgmi did not end within ${timeoutMs} ms and was killed`;
    stop(new Refusal('dcgmi_timeout', message, { timeoutMs, commandLine, output: output().slice(-4096) }));
  }, timeoutMs);
  signal?.addEventListener('abort', onAbort, { once: true });

  terminal.onData((data) => {
    if (raw.length < longestOutput) raw = (raw + data).slice(0, longestOutput);
  });
  terminal.onExit(({ exitCode, signal: number }) => {
    // The exit code is 0 when a signal ended it (measured), so the signal is looked at first.
    finish(number === undefined || number === 0 ? exitCode : 128 + number);
  });

  function finish(exitCode: number): void {
    clearTimeout(timer);
    clearTimeout(reaper);
    signal?.removeEventListener('abort', onAbort);
    if (refusal !== undefined) reject(refusal);
    else if (words() !== undefined) reject(nsenterRefusal(words() ?? '', commandLine, options));
    else resolve({ exitCode, output: output(), commandLine });
  }
  return promise;
}

/** What the engine's end and a vanished dcgmi are, and what the agent may not do, are different findings. */
function nsenterRefusal(
  words: string,
  commandLine: readonly string[],
  { procRoot, pid }: { readonly procRoot: string; readonly pid: number },
): Refusal {
  if (isNotExecuted(words))
    return new Refusal('dcgmi_not_found', `engine ${pid}: its dcgmi cannot be run: ${words}`, {
      pid,
      commandLine,
    });
  if (!existsSync(join(procRoot, String(pid))))
    return new Refusal('engine_unreachable', `process ${pid} of the host engine has ended: ${words}`, {
      pid,
      commandLine,
    });
  return nsenterFailed(`the namespaces of the host engine with pid ${pid}`, words, { pid, commandLine });
}

function openTerminal(file: string, args: string[], environment: Record<string, string>): IPty {
  try {
    return spawn(file, args, { name: 'dumb', cols: 400, rows: 100, cwd: '/', env: environment });
  } catch (thrown) {
    const message = `no pseudo terminal for dcgmi: ${messageFromUnknown(thrown)}`;
    const remedy = 'see /proc/sys/kernel/pty/max and the process limit';
    throw new Refusal('agent_incapable', message, { lacks: 'pty', remedy }, thrown);
  }
}

/** `kill()` of the terminal reaches only its leader; the group has the leader's number, because it is a session. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself just now.
  }
}

function cleanOutput(raw: string): string {
  return raw.replace(escapeSequences, '').replaceAll('\r\n', '\n');
}
