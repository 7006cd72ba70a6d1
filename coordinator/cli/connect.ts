/** Options of every command that speaks to a cluster, as node:util's parseArgs takes them. */
export const clusterOptions = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n', default: 'xidrill' },
} as const;

/** Their lines of a command's help. */
export const clusterHelp = `      --kubeconfig FILE  absent: KUBECONFIG, then ~/.kube/config, then the pod's own account, as kubectl does
      --context NAME     a context of it; absent: its current one
  -n, --namespace NS     where Xidrill is installed (default xidrill)
`;
