import type { HostFiles } from './port.ts';
import { fileMissing, fileUnusable } from './refusals.ts';

/** Files in memory, with the failures of real ones. */
export type FakeHostFiles = HostFiles & {
  /** Calls back with every line that is appended to the file from now on; call the result to end it. */
  tail(path: string, onLine: (line: string) => void): () => void;
  /** Makes an empty file, as a log daemon does. */
  create(path: string): void;
  /** As a rotation does that makes no new file. */
  remove(path: string): void;
  /** From now on the file cannot be opened; undefined: it can again. */
  breakWith(path: string, because: string | undefined): void;
  /** undefined: there is no such file. */
  content(path: string): string | undefined;
};

/** Log files in memory. */
export function createFakeHostFiles(options: { readonly files?: readonly string[] } = {}): FakeHostFiles {
  const contents = new Map<string, string>((options.files ?? []).map((path) => [path, '']));
  const broken = new Map<string, string>();
  const readers = new Map<string, Set<(line: string) => void>>();

  function open(path: string): string {
    const content = contents.get(path);
    if (content === undefined) throw fileMissing(path, path);
    const because = broken.get(path);
    if (because !== undefined) throw fileUnusable(path, because);
    return content;
  }

  return {
    async assertAppendable(path) {
      open(path);
    },
    async append(path, line) {
      const before = open(path);
      contents.set(path, `${before}${line}\n`);
      for (const read of readers.get(path) ?? []) read(line);
      return { path, offset: before.length, line };
    },
    async whyMissing(path) {
      return contents.has(path) ? undefined : `ENOENT: no such file or directory, lstat '${path}'`;
    },
    tail(path, onLine) {
      const own = readers.get(path) ?? new Set();
      readers.set(path, own.add(onLine));
      return () => own.delete(onLine);
    },
    create: (path) => void contents.set(path, contents.get(path) ?? ''),
    remove: (path) => void contents.delete(path),
    breakWith: (path, because) =>
      void (because === undefined ? broken.delete(path) : broken.set(path, because)),
    content: (path) => contents.get(path),
  };
}
