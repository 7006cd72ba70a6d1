import { chmodSync, chownSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Mounted = {
  path(name: string): string;
  /** All files become others in one step. */
  place(files: Readonly<Record<string, Buffer>>): void;
};

/**
 * Files as the kubelet mounts a Secret: each is a link through one link to a folder. With a `group` they are readable for
 * it as well, as a pod's fsGroup makes them.
 */
export function mountFiles(
  folder: string,
  names: readonly string[],
  { mode = 0o400, group }: { readonly mode?: number; readonly group?: number | undefined } = {},
): Mounted {
  mkdirSync(folder, { recursive: true });
  let version = 0;
  for (const name of names) symlinkSync(join('..data', name), join(folder, name));
  return {
    path: (name) => join(folder, name),
    place(files) {
      version += 1;
      const own = `..version-${version}`;
      mkdirSync(join(folder, own));
      for (const [name, content] of Object.entries(files)) {
        const file = join(folder, own, name);
        writeFileSync(file, content, { mode });
        if (group === undefined) continue;
        chownSync(file, 0, group);
        chmodSync(file, mode | 0o040);
      }
      symlinkSync(own, join(folder, '..next'));
      renameSync(join(folder, '..next'), join(folder, '..data'));
      rmSync(join(folder, `..version-${version - 1}`), { recursive: true, force: true });
    },
  };
}
