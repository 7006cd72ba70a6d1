import type { HostFiles } from './port.ts';

/** journald makes its sockets here when it starts (systemd-journald.service(8), "Sockets and Directories"). */
export const journaldFolder = '/run/systemd/journal';

/** Why a record of the kernel log reaches no journal on this node; undefined: journald is there. Nothing is written. */
export async function whyNoJournal(files: HostFiles): Promise<string | undefined> {
  const missing = await files.whyMissing(journaldFolder);
  return missing === undefined ? undefined : `no journald runs on this node: ${missing}`;
}
