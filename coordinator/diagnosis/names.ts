import { eventSource } from '../catalogue/nma/conditions.ts';
import type { Facts, PodFacts } from '../view/facts.ts';

/** `NMA v1.4.3-eksbuild.1`, as people know it, not the image with its registry. */
export function nmaName(facts: Facts): string {
  const tag = nmaTag(facts);
  return tag === undefined ? 'NMA' : `NMA ${tag}`;
}

/** The image tag, `v1.6.4-eksbuild.1`; undefined: the image is named by its digest only. */
export function nmaTag({ nma }: Facts): string | undefined {
  const [image = ''] = nma.version?.text.split('@', 1) ?? [];
  const tag = image.slice(Math.max(image.lastIndexOf(':'), image.lastIndexOf('/')) + 1);
  return tag === '' ? undefined : tag;
}

/** Where NMA runs, as far as anything of it was found; otherwise where EKS installs it. */
export function nmaNamespace({ nma }: Facts): string {
  return nma.pod?.namespace ?? nma.daemonSet?.namespace ?? nma.serviceAccount?.namespace ?? 'kube-system';
}

/** The name of NMA's DaemonSet. */
export function nmaDaemonSet({ nma }: Facts): string {
  return nma.daemonSet?.name ?? eventSource;
}

/** All NMA pods, or the one of this node where nothing else has to change. */
export function restartAllNma(facts: Facts): string {
  return `kubectl -n ${nmaNamespace(facts)} rollout restart daemonset ${nmaDaemonSet(facts)}`;
}

/** The command that deletes a pod; `otherwise` where there is none. */
export function restartPod(pod: PodFacts | undefined, otherwise: string): string {
  return pod === undefined ? otherwise : `kubectl -n ${pod.namespace} delete pod ${pod.name}`;
}

/** The start of a command in the host engine's container; a word in capitals stands for a pod that is not known. */
export function dcgmServerShell(facts: Facts): string {
  const { pod } = facts.nma.dcgmServer;
  return `kubectl -n ${pod?.namespace ?? nmaNamespace(facts)} exec ${pod?.name ?? 'DCGM-SERVER-POD'} --`;
}
