import { Refusal } from '../../shared/errors.ts';
import { findProgram } from './root-path.ts';
import { renderUntrusted, untrustedRemedy } from './trust.ts';

const usualPaths = ['/usr/bin/nsenter', '/bin/nsenter', '/usr/sbin/nsenter'];

/**
 * The agent's own nsenter(1), with which programs run in the namespaces or the root of others; undefined: it has none.
 * Refuses with `dcgmi_untrusted` one that others than root can change.
 */
export async function findNsenter(paths: readonly string[] = usualPaths): Promise<string | undefined> {
  for (const path of paths) {
    const found = await findProgram('/', path);
    if (found === undefined) continue;
    if (found.untrusted === undefined) return path;
    throw new Refusal('dcgmi_untrusted', renderUntrusted(found.untrusted), {
      file: found.untrusted,
      remedy: untrustedRemedy(found.untrusted),
    });
  }
  return undefined;
}

/** Refusal `agent_incapable`: what the work needs and the agent's image does not have. `purpose` follows "needed". */
export function noNsenter(purpose: string): Refusal {
  return new Refusal(
    'agent_incapable',
    `the agent has no nsenter (${usualPaths.join(', ')}), which is needed ${purpose}`,
    { lacks: 'nsenter', remedy: 'install util-linux in the image of the agent' },
  );
}

/** What nsenter(1) itself said; undefined: it started the program, and the output is that one's. */
export function nsenterWords(program: string, output: string): string | undefined {
  const isItself = usualPaths.includes(program) && output.startsWith('nsenter: ');
  return isItself ? output.trim().slice(0, 500) : undefined;
}

/** It entered, and the program was not there any more, or not for this machine. */
export function isNotExecuted(words: string): boolean {
  return words.startsWith('nsenter: failed to execute ');
}

/** Refusal `agent_incapable`: the agent may not enter where the work has to be done. `where`: names the place. */
export function nsenterFailed(
  where: string,
  words: string,
  details: Readonly<Record<string, unknown>>,
): Refusal {
  return new Refusal('agent_incapable', `the agent cannot enter ${where}: ${words}`, {
    ...details,
    lacks: 'rights',
    remedy: 'the agent needs root, privileged: true and hostPID: true, as its chart sets them',
  });
}
