import { renderDuration } from '../../shared/duration.ts';
import { karpenterLimits } from '../catalogue/repair/eks.ts';
import {
  findKarpenterVersion,
  forcedPolicies,
  type KarpenterVersion,
  karpenterVersions,
} from '../catalogue/repair/karpenter.ts';
import type { Facts, KarpenterFacts } from '../view/facts.ts';
import { findBudget } from './budgets.ts';
import { type Rulings, rulingsOf, type Schedule, scheduleOf } from './due.ts';
import { forecastOf, heldPods, noAction, seenLabel, seenPeers, unhealthyOthers } from './parts.ts';
import type { Block, RepairForecast } from './schema.ts';

const poolLabel = 'karpenter.sh/nodepool';
const veto = 'karpenter.sh/do-not-repair';

/** One way in which the Karpenter that runs may repair; several where its version is not known. */
type Mode = {
  readonly engine: KarpenterVersion['engine'];
  readonly rulings: Rulings;
  readonly schedule: Schedule;
};

/** By the version and the switches of its Deployment (karpenter.md). */
export function forecastKarpenter(facts: Facts): RepairForecast {
  const { karpenter } = facts.repair;
  const pool = facts.node.labels[poolLabel];
  const found = karpenter === undefined ? undefined : findKarpenterVersion(karpenter.image);
  const modes = modesOf(facts, found?.row);
  const [mode] = modes.toSorted((left, right) => earliest(left) - earliest(right));
  const others = mode === undefined ? 0 : unhealthyOthers(facts, mode.rulings);
  const schedule = mode?.schedule ?? { dues: [], ignored: [], latestSeconds: null };
  const isVoluntary = modes.some(({ engine }) => engine === 'voluntary');
  const isCertain = modes.length === 1;
  const about = { facts, pool, isVoluntary, isCertain };
  return forecastOf(facts, latestOfModes(schedule, modes), {
    controller: 'Karpenter',
    blockedBy: [
      ...tooOld(found?.row, found?.version),
      ...(found?.row?.engine === 'none' ? [] : noAction(facts, schedule)),
      ...gate(karpenter, found?.row),
      ...notRunning(karpenter),
      ...(isVoluntary && isCertain ? [...vetoed(facts, pool), ...budgetBlock(facts, pool)] : []),
      ...breaker(facts, others, pool),
    ],
    unread: unreadOf(about),
    evidence: [
      pool === undefined
        ? seenLabel(facts, 'karpenter.sh/registered', 'without karpenter.sh/nodepool')
        : seenLabel(facts, poolLabel, pool),
      seenDeployment(facts, found?.version),
      seenPeers(facts, pool === undefined ? 'the cluster' : `node pool ${pool}`, others),
    ],
    notes: [...(found === undefined || found.note === '' ? [] : [found.note]), ...notesOf(about, schedule)],
  });
}

/** The engines that fit, each with its policies or those that somebody knows to be set; the forced one ignores reasons. */
function modesOf(facts: Facts, row: KarpenterVersion | undefined): readonly Mode[] {
  const { karpenter, settings } = facts.repair;
  const rows = row === undefined ? karpenterVersions.slice(-2) : [row];
  return rows.map(({ engine, policies, edition }) => {
    const isLegacy = engine === 'voluntary' && karpenter?.legacyRepair === true;
    const own = isLegacy ? forcedPolicies : policies;
    const acting = isLegacy ? 'forced' : engine;
    const isRebooting = acting === 'voluntary' && karpenter?.rebootGate === true;
    const given = settings?.karpenterPolicies;
    const rulings =
      given === undefined
        ? rulingsOf(own, edition, isRebooting)
        : rulingsOf(
            acting === 'forced' ? given.map(({ reason: _, ...policy }) => policy) : given,
            { source: 'the policies that this Karpenter was given' },
            isRebooting,
          );
    const schedule = scheduleOf(facts, rulings, { sinceCreation: acting === 'voluntary' });
    return { engine: acting, rulings, schedule };
  });
}

function earliest({ schedule }: Mode): number {
  return schedule.dues[0]?.inSeconds ?? Number.POSITIVE_INFINITY;
}

/** Where the version is not known, the longest wait is that of either. */
function latestOfModes(schedule: Schedule, modes: readonly Mode[]): Schedule {
  const all = modes.map((mode) => mode.schedule.latestSeconds);
  const known = all.filter((seconds) => seconds !== null);
  return { ...schedule, latestSeconds: known.length < all.length ? null : Math.max(...known) };
}

function tooOld(row: KarpenterVersion | undefined, version: string | undefined): Block[] {
  if (row?.engine !== 'none') return [];
  const first = karpenterVersions.find(({ engine }) => engine !== 'none')?.from;
  return [
    {
      code: 'karpenter-too-old',
      because: `Karpenter ${version} has no node repair; ${first} is the first that has`,
    },
  ];
}

function gate(karpenter: KarpenterFacts | undefined, row: KarpenterVersion | undefined): Block[] {
  if (karpenter === undefined || karpenter.nodeRepairGate === true || row?.engine === 'none') return [];
  if (karpenter.nodeRepairGate === undefined && karpenter.settingsUnread !== undefined) return [];
  const how =
    karpenter.nodeRepairGate === false ? 'is switched off' : 'is not named, and its default is off (alpha)';
  return [
    {
      code: 'karpenter-gate-off',
      because: `feature gate NodeRepair of ${karpenter.deployment} ${how} (${karpenter.evidence}); without it no node is repaired`,
    },
  ];
}

function notRunning(karpenter: KarpenterFacts | undefined): Block[] {
  if (karpenter?.readyReplicas !== 0) return [];
  return [{ code: 'karpenter-not-running', because: `no pod of ${karpenter.deployment} is ready` }];
}

/** From 1.15 on. The annotation counts on the Node only (karpenter.md §3). */
function vetoed({ node }: Facts, pool: string | undefined): Block[] {
  if (node.annotations[veto] === 'true')
    return [{ code: 'repair-vetoed', because: `annotation ${veto}: "true" on node ${node.name}` }];
  if (pool !== undefined) return [];
  const because = `it is in no NodePool, and repair requires one to start a replacement from`;
  return [{ code: 'repair-vetoed', because }];
}

function budgetBlock(facts: Facts, pool: string | undefined): Block[] {
  if (pool === undefined || findBudget(facts).allowed !== 0) return [];
  const because = `the budgets of NodePool ${pool} allow 0 nodes to be disrupted for reason Unhealthy`;
  return [{ code: 'repair-budget', because }];
}

function unreadBudgets(facts: Facts, pool: string): RepairForecast['unread'] {
  const { unread, scheduled, allowed } = findBudget(facts);
  const { leavingOthers = 0 } = facts.repair.peers;
  const command = `kubectl get nodepool ${pool} -o jsonpath='{.spec.disruption.budgets}'`;
  if (unread !== undefined) {
    const what = `budgets of the NodePool for reason Unhealthy (default: 10 %, rounded up): ${unread}`;
    return [{ what, command }];
  }
  // Karpenter subtracts them from what a budget allows, whatever they are disrupted for (karpenter.md §3).
  const isUsedUp = allowed !== undefined && allowed > 0 && leavingOthers >= allowed;
  return [
    ...scheduled.map(({ schedule }) => ({
      what: `whether the budget with schedule "${schedule}" (UTC) holds when the wait is over: it allows 0 nodes`,
      command,
    })),
    ...(isUsedUp
      ? [
          {
            what: `whether nodes of NodePool ${pool} that are being disrupted (${leavingOthers}) are gone when the wait is over: its budgets allow ${allowed} at a time`,
            command: `kubectl get nodes -l ${poolLabel}=${pool}`,
          },
        ]
      : []),
  ];
}

/** The same formula in both engines: by type and status, whatever the reason and whether due. */
function breaker({ repair }: Facts, others: number, pool: string | undefined): Block[] {
  const { total } = repair.peers;
  const allowed = Math.ceil(karpenterLimits.unhealthyShare * total);
  const unhealthy = others + 1;
  if (unhealthy <= allowed || total === 0) return [];
  const group = pool === undefined ? 'the cluster' : `pool ${pool}`;
  const because = `${unhealthy} of ${total} nodes of ${group} would be unhealthy, this one included; 20 % rounded up allows ${allowed}`;
  return [{ code: 'repair-threshold', because }];
}

type About = {
  readonly facts: Facts;
  readonly pool: string | undefined;
  /** It repairs, or may repair, by voluntary disruption. */
  readonly isVoluntary: boolean;
  /** Its version is known. */
  readonly isCertain: boolean;
};

function unreadOf({ facts, pool, isVoluntary, isCertain }: About): RepairForecast['unread'] {
  const { karpenter } = facts.repair;
  if (karpenter === undefined) {
    const what = 'which Karpenter runs, and whether its NodeRepair gate is on';
    return [{ what, command: 'kubectl get deployments -A -l app.kubernetes.io/name=karpenter' }];
  }
  const [namespace = '', name = ''] = karpenter.deployment.split('/');
  const deployment = `kubectl -n ${namespace} get deployment ${name} -o yaml`;
  return [
    ...(isCertain ? [] : [{ what: 'Karpenter’s version', command: deployment }]),
    ...(karpenter.settingsUnread === undefined || karpenter.nodeRepairGate !== undefined
      ? []
      : [{ what: `its gates: ${karpenter.settingsUnread.unread}`, command: deployment }]),
    ...(isVoluntary && pool !== undefined ? unreadBudgets(facts, pool) : []),
  ];
}

function notesOf({ facts, isVoluntary, isCertain }: About, schedule: Schedule): string[] {
  const taint = 'it taints karpenter.sh/disrupted:NoSchedule and does not cordon';
  const idle =
    'a replacement comes only for pods that wait for a node: an idle node is deleted and nothing replaces it';
  const forced = [
    `${taint}; counted from lastTransitionTime, so that a condition that is False already counts`,
    'blocked by too many unhealthy nodes it shows NodeRepairBlocked on the node and tries again after 5 min',
    idle,
    ...heldPods(facts, 'it sets the termination time to now, so that they are deleted by force'),
  ];
  const wait = schedule.dues[0];
  const voluntary = [
    `${taint}; it starts up to 10 s after the wait, up to 20 s later where a pod was just nominated, and not where the pods have no room`,
    'a replacement is started and ready before pods are evicted; an idle node is deleted and nothing replaces it',
    'other disruptions of the pool use the same budget, and it waits for them',
    ...(wait?.type === 'AcceleratedHardwareReady' && wait.ruling.waitSeconds > 600
      ? [
          `reason ${wait.reason} is in neither list of Xids, so that it waits ${renderDuration(wait.ruling.waitSeconds)} and not 10 min`,
        ]
      : []),
    ...heldPods(facts, 'it evicts them only when the bound of its policy is over, 5 or 10 min'),
  ];
  if (!isCertain) return [...forced, ...voluntary.slice(1)];
  return isVoluntary ? voluntary : forced;
}

function seenDeployment({ repair, at }: Facts, version: string | undefined) {
  const { karpenter, karpenterUnread } = repair;
  if (karpenter === undefined) {
    const observed = karpenterUnread?.unread ?? 'no Deployment of Karpenter was found';
    return { source: 'deployments', observed, at };
  }
  const { deployment, image, evidence } = karpenter;
  return {
    source: `deployments/${deployment}`,
    observed: `${version ?? 'version not named'} (${image}); ${evidence}`,
    at,
  };
}
