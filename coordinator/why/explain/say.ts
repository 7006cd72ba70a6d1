import type { FoundNmaVersion } from '../../catalogue/nma/versions.ts';
import { type CauseCode, causes } from '../causes.ts';
import type { Finding, SeenBy, WhyEvidence } from '../finding.ts';
import type { At, Deed, Fact, Ground } from '../piece.ts';

/** What is known besides the deed that is explained. */
export type World = {
  /** The NMA version of the cluster, else that which the text names; undefined: none, or several. */
  readonly nma: { readonly found: FoundNmaVersion; readonly at: Ground } | undefined;
  readonly facts: readonly Fact[];
  /** All that was done and seen, in the text's order. */
  readonly deeds: readonly Deed[];
};

/** What an explainer has to say; the link follows from the code. */
export type Said = {
  readonly code: CauseCode;
  readonly result: Finding['result'];
  /** proven where absent. */
  readonly certainty?: 'likely';
  readonly did: string;
  readonly summary: string;
  /** Further lines of the text, and what was read elsewhere. */
  readonly lines?: readonly Ground[];
  /** Each with its page or source file. */
  readonly facts?: readonly { readonly source: string; readonly observed: string }[];
  readonly seenBy?: readonly SeenBy[];
  readonly commands?: readonly string[];
  readonly missing?: string;
  readonly drill?: Finding['drill'];
};

/** A finding about a place in the text; its own line is always evidence. */
export function say(at: At, said: Said): Finding {
  const { code, result, certainty, did, summary, lines = [], facts = [] } = said;
  const places = [at, ...lines].map(
    (one): WhyEvidence =>
      'line' in one
        ? { line: one.line, source: 'input', observed: one.quote }
        : { source: one.source, observed: one.observed },
  );
  const evidence = places.filter(
    (one, index, all) =>
      all.findIndex(
        ({ line, source, observed }) =>
          line === one.line && source === one.source && observed === one.observed,
      ) === index,
  );
  return {
    code,
    link: causes[code].link,
    result,
    certainty: certainty ?? 'proven',
    line: at.line,
    did,
    summary,
    seenBy: [...(said.seenBy ?? [])],
    evidence: [...evidence, ...facts.map((fact) => ({ ...fact }))],
    commands: [...(said.commands ?? [])],
    ...(said.missing === undefined ? {} : { missing: said.missing }),
    ...(said.drill === undefined ? {} : { drill: said.drill }),
  };
}

/** Namespace of the add-on (nma.md §8). */
const namespace = 'kube-system';

/** The command line that reaches the engine which NMA is connected to. */
export function inEngine(command: string): string {
  return `kubectl -n ${namespace} exec $(kubectl -n ${namespace} get pods -l k8s-app=dcgm-server --field-selector spec.nodeName=NODE -o name) -- dcgmi ${command}`;
}

/** Shows NMA's condition on the GPUs of a node. */
export const showCondition = `kubectl get node NODE -o jsonpath='{.status.conditions[?(@.type=="AcceleratedHardwareReady")]}'`;

/** Shows the events that NMA writes about a node: in namespace default, with an empty uid (nma.md §1.0). */
export const showEvents =
  'kubectl -n default get events --field-selector involvedObject.kind=Node,involvedObject.name=NODE';

/** Shows which NMA runs. */
export const showNma = `kubectl -n ${namespace} get daemonset eks-node-monitoring-agent -o jsonpath='{.spec.template.spec.containers[*].image}'`;

/** Starts NMA again everywhere. */
export const restartNma = `kubectl -n ${namespace} rollout restart daemonset eks-node-monitoring-agent`;
