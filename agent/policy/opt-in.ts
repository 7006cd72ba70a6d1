import { Refusal } from '../../shared/errors.ts';
import { findFile } from '../programs/root-path.ts';
import { renderUntrusted } from '../programs/trust.ts';

/** The consent of a node's owner, which no caller of the agent can give. */
export type OptIn = {
  /** Refuses with `node_not_opted_in`. Asked before each order, so that taking the file away counts for the next one. */
  assertGiven(): Promise<void>;
};

/**
 * A file of the host that root places there: by the node's image, its user data, or a DaemonSet of the owner. It is only looked at, never
 * written: no method of the agent makes a file or takes a path. Links are followed below the host's root; the file and all folders on the
 * way have to be root's and writable by nobody else.
 */
export function createOptInFile({
  root,
  path,
}: {
  /** The host's root directory as the agent sees it. */
  readonly root: string;
  /** On the host, absolute. */
  readonly path: string;
}): OptIn {
  return {
    async assertGiven() {
      const found = await findFile(root, path);
      if ('because' in found) throw refused(path, found.because);
      if (found.untrusted !== undefined) throw refused(path, renderUntrusted(found.untrusted));
    },
  };
}

function refused(path: string, because: string): Refusal {
  return new Refusal('node_not_opted_in', `this node has not opted in to injections: ${because}`, {
    field: 'node',
    value: path,
    remedy: `as root on the node: install -D -m 0644 /dev/null ${path} (in the node's image or user data); or start the agent without --opt-in-file (in the chart agent.optIn="")`,
  });
}
