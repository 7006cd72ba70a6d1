import { join } from 'node:path';
import { built, type GoModule, type Log } from '../../cluster/controlplane/go-build.ts';

const folder = import.meta.dirname;

const module: GoModule = {
  name: 'coredns',
  folder,
  sources: ['go.mod', 'go.sum', 'main.go'].map((file) => join(folder, file)),
  packages: { coredns: '.' },
};

/** Where CoreDNS lies, after building it where it is missing. */
export async function corednsProgram(log: Log): Promise<string> {
  return join(await built(module, ['coredns'], log), 'coredns');
}
