import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import type { RepairController } from '../catalogue/repair/owners.ts';
import type { ChainLink } from '../store/experiment.ts';
import { type Facts, isUnread } from '../view/facts.ts';
import { forecastRepair } from './forecast.ts';
import type { RepairForecast } from './schema.ts';

/** A target of a drill that expects a repair: its facts with the planned drill, and its chain. */
export type RepairTarget = { readonly facts: Facts; readonly chain: readonly ChainLink[] };

/** What keeps the expected repair from happening on one node. */
export type RepairBlock = { readonly node: string; readonly code: string; readonly because: string };

/**
 * The facts of each target as they are when the other targets of the drill are unhealthy too: a controller counts the nodes
 * of a pool together. Targets that are unhealthy already are counted already.
 */
export function asDrilledTogether(targets: readonly Facts[]): readonly Facts[] {
  return targets.map((facts) => {
    const type = facts.drill?.expectation.type;
    if (facts.drill?.expectation.kind !== 'condition' || type === undefined) return facts;
    const others = targets.filter(
      (other) =>
        other.node.name !== facts.node.name &&
        groupOf(other) === groupOf(facts) &&
        other.node.conditions.find((condition) => condition.type === type)?.status !== 'False',
    ).length;
    if (others === 0) return facts;
    const { peers } = facts.repair;
    const pair = `${type}=False`;
    const unhealthyOthers = {
      ...peers.unhealthyOthers,
      [pair]: (peers.unhealthyOthers[pair] ?? 0) + others,
    };
    return { ...facts, repair: { ...facts.repair, peers: { ...peers, unhealthyOthers } } };
  });
}

/** Nodes that are counted together, as the view counts them (coordinator/view/peers.ts). */
function groupOf({ node: { labels } }: Facts): string {
  return labels['karpenter.sh/nodepool'] ?? labels['eks.amazonaws.com/nodegroup'] ?? '';
}

/** Refuses with `repair_blocked` where the forecast of a target says that an expected link cannot be reached. */
export function assertRepairPossible(targets: readonly RepairTarget[]): void {
  const together = asDrilledTogether(targets.map(({ facts }) => facts));
  const blocks = targets.flatMap(({ chain }, index) => {
    const facts = together[index];
    return facts === undefined ? [] : repairBlocks(facts, chain);
  });
  if (blocks.length === 0) return;
  const [first] = blocks;
  const nodes = new Set(blocks.map(({ node }) => node));
  const message = `expectation: on ${nodes.size} of ${targets.length} nodes the expected repair cannot happen: ${first?.node}: ${first?.because}`;
  throw new Refusal('repair_blocked', message, {
    field: 'expectation.repair',
    blocks,
    remedy: 'remove what blocks it, or set expectation.force: true to drill all the same and see it',
  });
}

/** All that is known to stand against the links that the chain waits for. Pure. */
export function repairBlocks(facts: Facts, chain: readonly ChainLink[]): readonly RepairBlock[] {
  const { node, repair } = facts;
  const block = (code: string, because: string): RepairBlock => ({ node: node.name, code, because });
  const waitsFor = (name: string) => chain.find(({ link }) => link === name);
  const forecasts = forecastRepair(facts);
  const [own] = forecasts.filter(({ controller }) => controller in takingTaint);
  if (own === undefined) {
    const who = forecasts.map(({ controller }) => controller).join(', ');
    const because = `only repairs by Karpenter and by a managed node group can be awaited, and the node is that of ${who || 'no controller'}`;
    return [block('repair-not-watched', because)];
  }
  if (own.willAct === 'no') return own.blockedBy.map(({ code, because }) => block(code, because));
  const { displacedPods } = repair;
  const { controller } = own;
  const taint = takingTaint[controller];
  return [
    ...otherAction(own, waitsFor('reboot') !== undefined).map((because) =>
      block('repair-not-watched', because),
    ),
    ...(node.taints.some(({ key }) => key === taint)
      ? [block('already-disrupted', `the node has taint ${taint} already: it is out of service`)]
      : []),
    ...tooSoon(own, waitsFor('taint')).map((because) => block('repair-not-due', because)),
    ...(controller === 'Karpenter' &&
    waitsFor('replacement') !== undefined &&
    !isUnread(displacedPods) &&
    displacedPods.length === 0
      ? [
          block(
            'no-displaced-pods',
            'no pod on the node has to run elsewhere, and Karpenter replaces no idle node: expect taint and termination only',
          ),
        ]
      : []),
  ];
}

/** The controllers whose repair is watched, with the taint that it begins with. */
const takingTaint: Readonly<Partial<Record<RepairController, string>>> = {
  Karpenter: 'karpenter.sh/disrupted',
  'EKS managed node group auto repair': 'node.kubernetes.io/unschedulable',
};

/** The action is another one for sure; where the documentation leaves it open, the drill shows it. */
function otherAction({ controller, action }: RepairForecast, isRebootAwaited: boolean): readonly string[] {
  if (action === 'replace or reboot' || action === (isRebootAwaited ? 'reboot' : 'replace')) return [];
  return [
    isRebootAwaited
      ? `${controller} does ${action}, and a reboot is expected`
      : `${controller} does ${action}, and a replacement is expected; a reboot is awaited by then: [{link: taint}, {link: drain}, {link: reboot}]`,
  ];
}

/** The wait for the taint is over before the controller's own. */
function tooSoon(
  { controller, afterSeconds }: RepairForecast,
  taint: ChainLink | undefined,
): readonly string[] {
  const within = taint?.withinSeconds;
  if (within === undefined || afterSeconds === null || afterSeconds < within) return [];
  return [
    `${controller} acts after ${renderDuration(afterSeconds)}, and the taint is awaited for ${renderDuration(within)}`,
  ];
}
