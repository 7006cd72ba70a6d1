import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from 'node:fs';

/** What stands on the node, by those who do not write it: counted without asking a program of ours. */
export type Evidence = {
  /** Records of the kernel log since the start whose text contains this. */
  inKernelLog(token: string): number;
  /** Lines of the log files of all nodes that contain this. */
  inFile(token: string): number;
  /** Values that came into the host engine, with the millisecond of arrival. */
  inEngine(value: string): readonly { readonly at: number }[];
  /** How often the ring was overwritten before we read it: then its counts are too low. */
  lost(): number;
  /** Whatever else was written meanwhile by a program with this mark in its text. */
  marked(): readonly string[];
  close(): void;
};

/** Follows the kernel log from now on; records without `mark` are not kept. */
export function followEvidence(options: {
  readonly mark: string;
  readonly files: readonly string[];
  readonly engineRecord: string;
}): Evidence {
  const kmsg = openSync('/dev/kmsg', constants.O_RDONLY | constants.O_NONBLOCK);
  const buffer = Buffer.alloc(8192);
  const records: string[] = [];
  let lost = 0;
  // Everything before is none of ours.
  drain(() => {});
  lost = 0;
  const reading = setInterval(() => drain(keep), 100);

  function keep(record: string): void {
    if (record.includes('xidrill') || record.includes(options.mark)) records.push(record);
  }

  function drain(take: (record: string) => void): void {
    for (;;) {
      try {
        take(buffer.toString('utf8', 0, readSync(kmsg, buffer, 0, buffer.length, null)));
      } catch (thrown) {
        const { code } = thrown as NodeJS.ErrnoException;
        if (code === 'EAGAIN') return;
        if (code !== 'EPIPE') throw thrown;
        lost += 1;
      }
    }
  }

  const linesOf = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []);
  return {
    inKernelLog(token) {
      drain(keep);
      return records.filter((record) => record.includes(token)).length;
    },
    inFile: (token) => options.files.flatMap(linesOf).filter((line) => line.includes(token)).length,
    inEngine: (value) =>
      linesOf(options.engineRecord).flatMap((line) => {
        if (line === '') return [];
        const entry = JSON.parse(line) as { value: string; at: number };
        return entry.value === value ? [entry] : [];
      }),
    lost: () => lost,
    marked: () => records.filter((record) => record.includes(options.mark)),
    close() {
      clearInterval(reading);
      closeSync(kmsg);
    },
  };
}
