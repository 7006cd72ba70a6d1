import type { ControlPlane } from './controlplane/start.ts';

/** Standard output of a kubectl that has succeeded. */
export type Kubectl = (args: readonly string[], input?: string) => Promise<string>;

export function kubectlOf(plane: ControlPlane): Kubectl {
  return async (args, input) => {
    const { exitCode, stdout, stderr } = await plane.kubectl(args, input);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
}
