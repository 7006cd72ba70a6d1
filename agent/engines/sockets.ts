import type { EngineAddress } from './command-line.ts';

/** TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h). */
const listenState = '0A';

/** Inodes of the sockets that listen on the port, from /proc/PID/net/tcp and tcp6 (man 5 proc_pid_net). */
export function parseListeningTcp(text: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return rowsOf(text)
    .filter((columns) => columns[3] === listenState && columns[1]?.split(':').at(-1) === wanted)
    .flatMap((columns) => inodeIn(columns[9]));
}

/** Inodes of the listening sockets at the path, from /proc/PID/net/unix: flag 0x10000 is a listening socket. */
export function parseListeningUnix(text: string, path: string): string[] {
  return rowsOf(text)
    .filter((columns) => columns[7] === path && (Number.parseInt(columns[3] ?? '0', 16) & 0x10000) !== 0)
    .flatMap((columns) => inodeIn(columns[6]));
}

/** Whole lines only: of one that was cut off, the number may have lost digits and be another socket's. */
function rowsOf(text: string): string[][] {
  return text
    .split('\n')
    .slice(1, -1)
    .map((line) => line.trim().split(/\s+/));
}

function inodeIn(column: string | undefined): string[] {
  return column !== undefined && /^\d+$/.test(column) ? [column] : [];
}

/** What to read for an address, and the inodes in it. A vsock address has no table in /proc. */
export function listenersFor(
  address: EngineAddress,
): readonly { file: string; parse: (text: string) => string[] }[] {
  if (address.kind === 'unix') {
    return [{ file: 'net/unix', parse: (text) => parseListeningUnix(text, address.path) }];
  }
  if (address.kind === 'vsock') return [];
  const parse = (text: string) => parseListeningTcp(text, address.port);
  return [
    { file: 'net/tcp', parse },
    { file: 'net/tcp6', parse },
  ];
}
