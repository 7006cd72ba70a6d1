import type { HostEngineFacts } from '../../shared/schemas/inventory.ts';
import { type Advice, advice, run, together } from '../store/advice.ts';
import { type Facts, isUnread } from '../view/facts.ts';
import { engineOfNma, nmaDaemonSet, nmaNamespace, present } from './evidence.ts';

/** What a remedy tells people to run: on objects that were found, and on nothing else. */

/** Starts all NMA pods again; where no DaemonSet was found, the one of this node, which may be no pod at all. */
export function restartAllNma(facts: Facts): string {
  return facts.nma.daemonSet === undefined
    ? restartNma(facts)
    : `kubectl -n ${nmaNamespace(facts)} rollout restart daemonset ${nmaDaemonSet(facts)}`;
}

/** Starts NMA again on the node: its pod is deleted, where it has one. */
export function restartNma(facts: Facts): string {
  const { pod } = facts.nma;
  if (pod !== undefined) return `kubectl -n ${pod.namespace} delete pod ${pod.name}`;
  return replaceNode(facts) ?? 'restart NMA on the node';
}

/**
 * How a node of EKS Auto Mode gets a new NMA and a new host engine: both are processes of the host, which nobody of the cluster
 * can restart (EKS user guide, "automode": no access to its instances). undefined: they are pods, or the node is another.
 */
export function replaceNode({ nma, node }: Facts): string | undefined {
  if (!nma.mayBeHostProcess || nma.pod !== undefined) return undefined;
  return `replace the node, where EKS Auto runs NMA and the host engine as processes of the host (kubectl delete node ${node.name})`;
}

/** How to read what NMA wrote in its log. `more`: what is behind the command of a pod, ` -f` or ` | grep …`. */
export function readNmaLog(facts: Facts, more = ''): string {
  const { nma, node } = facts;
  // EKS user guide, "auto-get-logs": the log of a process of the host is collected by an object.
  if (nma.pod === undefined && nma.mayBeHostProcess)
    return `create a NodeDiagnostic named ${node.name}, which uploads the node’s logs (EKS user guide, "auto-get-logs"), and read NMA’s in it`;
  return `kubectl -n ${nmaNamespace(facts)} logs ${nma.pod?.name ?? 'NMA-POD'}${more}`;
}

/**
 * Starts the host engine again that NMA uses, by an object that was seen: the dcgm-server pod or DaemonSet, else the
 * process; undefined: no engine of the node is known.
 */
export function restartEngine(facts: Facts): string | undefined {
  const { pod, daemonSet } = facts.nma.dcgmServer;
  if (pod === undefined && replaceNode(facts) !== undefined) return replaceNode(facts);
  if (pod !== undefined) return `kubectl -n ${pod.namespace} delete pod ${pod.name}`;
  if (daemonSet) return `kubectl -n ${nmaNamespace(facts)} rollout restart daemonset -l k8s-app=dcgm-server`;
  const { inventory } = facts.agent;
  const engine = isUnread(inventory) ? undefined : engineOfNma(inventory);
  if (engine === undefined) return undefined;
  return engine.podUid === null
    ? `restart the service of the host engine on ${facts.node.name} (process ${engine.pid})`
    : `delete the pod with uid ${engine.podUid}, which runs the host engine (process ${engine.pid} on ${facts.node.name}; kubectl get pods -A -o wide --field-selector spec.nodeName=${facts.node.name})`;
}

/** What to do where no engine of the node is known. */
export const noEngineToRestart =
  'there is no dcgm-server to restart: give NMA a host engine (dcgmAgent.enabled=true, or nodeAgent.dcgmAddress for another one)';

/** A dcgmi command for people to run where NMA's host engine is: in its pod, where that is known, else beside its process. */
export function dcgmiCommand(facts: Facts, command: string): string {
  const { pod } = facts.nma.dcgmServer;
  if (pod !== undefined) return `kubectl -n ${pod.namespace} exec ${pod.name} -- dcgmi ${command}`;
  const { inventory } = facts.agent;
  const engine = isUnread(inventory) ? undefined : engineOfNma(inventory);
  const where = engine === undefined ? '' : `, beside process ${engine.pid}`;
  return `dcgmi ${command} on ${facts.node.name}${where}`;
}

/** A lost GPU stays lost for every process of the node (NVML_ERROR_GPU_IS_LOST, nvml.h); others the engine may find again. */
export function unreadAdvice(facts: Facts, { unreadableGpus = [] }: HostEngineFacts): Advice {
  const lost = unreadableGpus.filter((gpu) => gpu.lost);
  const others = unreadableGpus.filter((gpu) => !gpu.lost);
  return together(
    present(
      lost.length === 0
        ? undefined
        : advice`A lost GPU does not come back with the engine: read the kernel log (TailKernelLog, match NVRM), then reboot or replace ${facts.node.name}.`,
      others.length === 0
        ? undefined
        : advice`Restart the engine, which then reads its GPUs anew: ${run(restartEngine(facts) ?? noEngineToRestart)}.`,
    ),
  );
}
