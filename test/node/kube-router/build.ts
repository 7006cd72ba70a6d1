import { join } from 'node:path';
import { built, type GoModule, type Log } from '../../cluster/controlplane/go-build.ts';

const folder = import.meta.dirname;

const module: GoModule = {
  name: 'kube-router',
  folder,
  sources: ['go.mod', 'go.sum', 'tools.go'].map((file) => join(folder, file)),
  packages: { 'kube-router': 'github.com/cloudnativelabs/kube-router/v2/cmd/kube-router' },
};

/**
 * Where kube-router lies, which enforces NetworkPolicies by iptables and ipset, after building it where it is missing.
 * kube-network-policies would need nft_queue, which not every kernel has.
 */
export async function kubeRouterProgram(log: Log): Promise<string> {
  return join(await built(module, ['kube-router'], log), 'kube-router');
}
