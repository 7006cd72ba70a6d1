import { copyFileSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Files as the kubelet mounts a Secret: each is a link through one link to a folder, so that all of them become others in
 * one step.
 */
export function mountFiles(folder: string, names: readonly string[]) {
  mkdirSync(folder, { recursive: true });
  let version = 0;
  for (const name of names) symlinkSync(join('..data', name), join(folder, name));
  return {
    path: (name: string) => join(folder, name),
    place(files: Readonly<Record<string, string>>): void {
      version += 1;
      const own = `..version-${version}`;
      mkdirSync(join(folder, own));
      for (const [name, from] of Object.entries(files)) copyFileSync(from, join(folder, own, name));
      symlinkSync(own, join(folder, '..next'));
      renameSync(join(folder, '..next'), join(folder, '..data'));
      rmSync(join(folder, `..version-${version - 1}`), { recursive: true, force: true });
    },
  };
}
