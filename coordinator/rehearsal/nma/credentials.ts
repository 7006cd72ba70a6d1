import type { NmaVersion } from '../../catalogue/nma/versions.ts';

/** What the pod's environment holds: nothing, a role for the ServiceAccount, or a Pod Identity association. */
export type Credentials = 'healthy' | 'irsa' | 'pod-identity';

/** Where the token is in the pod; the kubelet's credential plugin runs in a chroot on the host, which has no such file. */
const tokenFiles: Readonly<Record<Exclude<Credentials, 'healthy'>, string>> = {
  irsa: '/var/run/secrets/eks.amazonaws.com/serviceaccount/token',
  'pod-identity': '/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token',
};

/** How the kubelet's credential plugin fails inside NMA's chroot. */
export type CredentialFailure = {
  /** What the plugin and the chroot helper print. */
  readonly lines: readonly string[];
  /** The error of the call that wanted the credentials. */
  readonly error: string;
};

/** Why a call with the kubelet's identity fails (nma.md §4.6, issue 23); undefined: it does not. */
export function credentialFailure(credentials: Credentials, row: NmaVersion): CredentialFailure | undefined {
  if (credentials === 'healthy') return undefined;
  return {
    lines: [
      `[Errno 2] No such file or directory: '${tokenFiles[credentials]}'`,
      'panic: exit status 255',
      'goroutine 1 [running]:',
    ],
    error:
      'failed to get server groups: Get "https://kubernetes.default.svc/api": getting credentials: ' +
      `exec: executable ${row.chrootPath} failed with exit code 2`,
  };
}
