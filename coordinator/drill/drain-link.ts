import { isUnread, type Unread } from '../view/facts.ts';
import type { SeenNode } from '../view/node.ts';
import type { SeenPod } from '../view/pods-on-node.ts';
import { terminationAnnotation } from '../view/projections.ts';
import type { Finding, LinkPast, LinkRow } from './links.ts';
import { onRequest, reached, watched } from './watched.ts';

/** The longest bound of a drain is 10 min; a dead kubelet adds the grace and 60 s (karpenter.md §2, §4). */
const longestDrainSeconds = 15 * 60;
/** Names of pods in one sentence. */
const shownPods = 10;

type Displaced = NonNullable<LinkPast['baseline']['pods']>[number];

/** Pods that ran on the node when it was drilled, and have to run elsewhere, have left it: evicted, deleted or ended. */
export const drain: LinkRow = {
  ...watched,
  name: 'drain',
  title: 'the pods leave the node',
  usualSeconds: longestDrainSeconds,
  needs: 'pods',
  plan: onRequest('drain', 'the pods that ran on the node, without those of DaemonSets, have left it'),
  find(_link, seen, past) {
    const taken = past.earlier.find(({ link }) => link === 'taint');
    // A pod that leaves before is not evicted by the repair.
    if (taken?.state === 'waiting') return undefined;
    const { pods: displaced } = past.baseline;
    if (displaced === undefined)
      return isOver(seen, past)
        ? unknown('the pods of the node could not be read before the drill')
        : undefined;
    const source = `pods spec.nodeName=${nodeOf(seen)}`;
    if (displaced.length === 0)
      return reached(
        past,
        { kind: 'pod', source, text: 'no pod on the node had to run elsewhere' },
        'the pods before the drill',
      );
    const { pods } = seen;
    if (pods === undefined || isUnread(pods)) return isOver(seen, past) ? unseen(pods) : undefined;
    const here = displaced.flatMap(({ uid }) => pods.here.find((pod) => pod.uid === uid) ?? []);
    if (here.length > 0 && !seen.isGone) return past.isDue ? held(here, seen) : undefined;
    const how = displaced.map((pod) => renderLeft(pod, [...pods.left, ...pods.here], seen.isGone));
    const text = `${displaced.length} ${displaced.length === 1 ? 'pod' : 'pods'} left the node: ${shortened(how)}`;
    return reached(past, { kind: 'pod', source, text }, 'the pods of the node');
  },
};

/** Nothing more will be seen. */
function isOver({ isGone }: SeenNode, { isDue }: LinkPast): boolean {
  return isDue || isGone;
}

function unseen(pods: Unread | undefined): Finding {
  return unknown(pods === undefined ? 'the node is gone, and its pods were not seen' : pods.unread);
}

function unknown(because: string): Finding {
  return { state: 'unknown', because };
}

function nodeOf({ node }: SeenNode): string {
  return node?.metadata.name ?? 'of the drill';
}

/** How a pod went; one that left while nobody watched is only known to be gone. */
function renderLeft({ namespace, name, uid }: Displaced, seen: readonly SeenPod[], isGone: boolean): string {
  const pod = seen.find((one) => one.uid === uid);
  const path = `${namespace}/${name}`;
  if (pod === undefined) return `${path} left while it was not watched`;
  if (pod.disruption === 'EvictionByEvictionAPI') return `${path} evicted`;
  if (pod.deletedAt === undefined)
    return `${path} ${isGone ? 'is there, its node is gone' : 'removed at once'}`;
  const grace = pod.graceSeconds === undefined ? '' : ` with a grace of ${pod.graceSeconds} s`;
  return `${path} deleted${grace}${pod.disruption === undefined ? '' : ` (${pod.disruption})`}`;
}

/** What keeps each pod on the node, and until when. */
function held(here: readonly SeenPod[], { owner }: SeenNode): Finding {
  const claim = owner?.nodeClaim;
  const bound =
    typeof claim === 'object' && !isUnread(claim)
      ? claim.metadata.annotations?.[terminationAnnotation]
      : undefined;
  const until = bound === undefined ? 'no time is set for removing it by force' : `by force at ${bound}`;
  const each = here.map((pod) => `${pod.namespace}/${pod.name} ${reasonOf(pod)}`);
  return {
    state: 'missed',
    because: `${here.length} ${here.length === 1 ? 'pod is' : 'pods are'} still on the node: ${shortened(each)}; ${until}`,
    cause: here.every(({ deletedAt }) => deletedAt !== undefined) ? 'pods-terminating' : 'pods-held',
  };
}

function reasonOf({ deletedAt, graceSeconds, finalizers, doNotDisrupt, budgets }: SeenPod): string {
  if (deletedAt !== undefined) {
    const grace = graceSeconds === undefined ? '' : `, grace ${graceSeconds} s`;
    const kept = finalizers.length === 0 ? '' : `, finalizers ${finalizers.join(', ')}`;
    return `is terminating, due at ${deletedAt}${grace}${kept}`;
  }
  const held = [
    ...(budgets === undefined || isUnread(budgets)
      ? []
      : budgets.map((name) => `PodDisruptionBudget ${name}, which allows no disruption`)),
    ...(doNotDisrupt ? ['annotation karpenter.sh/do-not-disrupt'] : []),
  ];
  if (held.length > 0) return `is held by ${held.join(' and ')}`;
  return isUnread(budgets as object | undefined)
    ? 'is not evicted; PodDisruptionBudgets could not be read'
    : 'is not evicted, and neither a budget nor an annotation holds it';
}

function shortened(all: readonly string[]): string {
  const more = all.length - shownPods;
  return more <= 0 ? all.join('; ') : `${all.slice(0, shownPods).join('; ')}; and ${more} more`;
}
