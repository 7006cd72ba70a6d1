/** Bit of CAP_SYS_ADMIN in CapEff (linux/capability.h). */
const sysAdmin = 21n;

/** Root with CAP_SYS_ADMIN, by the text of /proc/PID/status; in which user namespace does not stand there. */
export function isPrivileged(status: string): boolean {
  const capabilities = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return effectiveUid(status) === 0 && ((capabilities >> sysAdmin) & 1n) === 1n;
}

/** Effective user by the text of /proc/PID/status; undefined: the line is missing. */
export function effectiveUid(status: string): number | undefined {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1];
  return uid === undefined ? undefined : Number(uid);
}
