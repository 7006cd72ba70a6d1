import { renderDuration } from '../../../shared/duration.ts';
import { heartbeatStaleMs } from '../../../shared/nma-timing.ts';
import { gpuConditionType, monitors } from '../../catalogue/nma/conditions.ts';
import { knownReasons } from '../../catalogue/nma/known-reasons.ts';
import { findNmaVersion, nmaVersions } from '../../catalogue/nma/versions.ts';
import { documentedRepair } from '../../catalogue/repair/documented.ts';
import { ownersOf, ownerText } from '../../catalogue/repair/owners.ts';
import { ageSeconds } from '../../diagnosis/evidence.ts';
import type { Finding } from '../finding.ts';
import type { At, DeedOf } from '../piece.ts';
import { updateNma } from './nma.ts';
import { restartNma, say, showCondition, showEvents, showNma, type World } from './say.ts';

const exporter = 'aws/eks-node-monitoring-agent pkg/manager/node_exporter.go';
const logs = 'kubectl -n kube-system logs -l app.kubernetes.io/name=eks-node-monitoring-agent --tail=50';

/** A condition of NMA as it stands on a node. */
export function explainCondition(deed: DeedOf<'condition'>, world: World): readonly Finding[] {
  const { condition, newest } = deed;
  if (!monitors.some(({ conditionType }) => conditionType === condition.type)) return [];
  const age = ageSeconds(newest ?? undefined, condition.lastHeartbeatTime);
  const isStale = age !== undefined && age * 1000 > heartbeatStaleMs;
  if (condition.status === 'False')
    return [...(isStale ? [stale(deed, age, condition.type)] : []), isFalse(deed)];
  if (isStale && condition.type !== gpuConditionType) return [stale(deed, age, condition.type)];
  if (condition.status !== 'True' || condition.type !== gpuConditionType) return [];
  const gated = gate(deed, world, deed.node.architecture, condition.reason);
  if (isStale) return [stale(deed, age, condition.type), ...gated];
  return gated.length > 0 || age === undefined ? gated : [fresh(deed, age)];
}

/** `heartbeat at 02:32:26 while other conditions are at 03:04:59`: times of one day. */
export function explainHeartbeats(deed: DeedOf<'heartbeats'>): readonly Finding[] {
  const seconds = secondsOf(deed.others) - secondsOf(deed.nma);
  const age = seconds < 0 ? seconds + 86_400 : seconds;
  return age * 1000 > heartbeatStaleMs ? [stale(deed, age, 'NMA’s condition')] : [];
}

function secondsOf(time: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = time.split(':').map(Number);
  return hours * 3600 + minutes * 60 + seconds;
}

function stale(at: At, age: number, type: string): Finding {
  return say(at, {
    code: 'nma-not-writing',
    result: 'broken',
    did: `The heartbeat of ${type} is ${renderDuration(age)} older than the newest one of the node.`,
    summary:
      'NMA renews its heartbeat every 5 min; older than 5 min 15 s means that it is not writing, and the status that stands there is an old one. Usual causes: an AWS role on its pod, or no running pod.',
    facts: [{ source: exporter, observed: 'heartbeat tick 5 min, report tick 15 s' }],
    commands: [
      logs,
      'kubectl -n kube-system get serviceaccount eks-node-monitoring-agent -o yaml   # eks.amazonaws.com/role-arn?',
      restartNma,
    ],
  });
}

function fresh(deed: DeedOf<'condition'>, age: number): Finding {
  return say(deed, {
    code: 'nma-writes',
    result: 'works',
    did: `${deed.condition.type} is True, its heartbeat ${renderDuration(age)} older than the newest one of the node.`,
    summary:
      'NMA writes its conditions, and has found no fatal GPU fault since its start. A fault that is only an event leaves this as it is.',
    facts: [{ source: exporter, observed: 'heartbeat tick 5 min, report tick 15 s' }],
    commands: [showEvents],
  });
}

function isFalse(deed: DeedOf<'condition'>): Finding {
  const { condition, node } = deed;
  const isKnown = knownReasons.includes(condition.reason);
  const { action, afterSeconds, edition } = documentedRepair('condition', condition.type, condition.reason);
  const owners = ownersOf(node.labels).map(ownerText).join(', ');
  const repair =
    action === 'none'
      ? 'EKS documents no action for this reason.'
      : `EKS documents ${action} after ${renderDuration(afterSeconds ?? 0)} for a managed node group with auto repair; Karpenter acts only with its NodeRepair gate.`;
  return say(deed, {
    code: 'already-false',
    result: isKnown ? 'works' : 'open',
    did: `${condition.type} is False since ${condition.lastTransitionTime ?? 'a time that is not given'}, reason ${condition.reason}.`,
    summary: `${isKnown ? 'NMA did react: detection works.' : 'No known NMA version gives this reason.'} The condition stays False until NMA starts again, and a second fault does not move its transition time. ${repair}${owners === '' ? '' : ` The node belongs to: ${owners}.`}`,
    facts: [
      { source: exporter, observed: 'no code goes from False to True' },
      ...(edition === null ? [] : [{ source: edition.source, observed: `${condition.reason}: ${action}` }]),
    ],
    commands: [restartNma, showCondition],
  });
}

/** True says nothing on arm64 before 1.7.2. */
function gate(deed: At, world: World, ofNode: string | undefined, reason: string): readonly Finding[] {
  const architecture = world.facts.find(
    (fact) => fact.is === 'architecture' && fact.architecture === 'arm64',
  );
  const isArm = ofNode === 'arm64' || (ofNode === undefined && architecture !== undefined);
  if (ofNode !== undefined && !isArm) return [];
  const ofReason = nmaVersions.filter((row) => row.nvidiaReadyReason === reason);
  const rows = world.nma === undefined ? ofReason : [world.nma.found.row];
  if (rows.length > 0 && rows.every((row) => !row.arm64Gate)) return [];
  const isOld = rows.length > 0 && rows.every((row) => row.arm64Gate);
  if (!isArm && world.facts.some((fact) => fact.is === 'architecture')) return [];
  // Only the reason's older spelling, or a word of arm64, makes it worth saying where neither is known.
  if (!isArm && !(isOld && world.nma === undefined)) return [];
  const fixed = nmaVersions.find((row) => !row.arm64Gate)?.version;
  const version =
    rows.length === 1 && rows[0] !== undefined
      ? `NMA ${rows[0].version}`
      : isOld
        ? 'an NMA of this age'
        : 'NMA';
  return [
    say(deed, {
      code: 'arm64-gate',
      result: 'broken',
      ...(isArm && isOld ? {} : { certainty: 'likely' as const }),
      did: `${gpuConditionType} is True, reason ${reason}.`,
      summary: isArm
        ? `The node is arm64, and NMA before ${fixed} switches all GPU detection off there: ${isOld ? `with ${version} ` : ''}no GPU fault can ever be seen on this node, and True says nothing about its GPU.`
        : `True is what NMA starts with. Before ${fixed} it watches no GPU on arm64 and says True all the same; this reason is that of ${version}.`,
      lines: [
        ...(architecture === undefined ? [] : [architecture]),
        ...(world.nma === undefined ? [] : [world.nma.at]),
      ],
      facts: [
        {
          source: 'aws/eks-node-monitoring-agent monitors/nvidia/monitor.go, PR 269',
          observed: `arm64 gate in every version before ${fixed}`,
        },
      ],
      commands: updateNma(),
      ...(isArm && isOld
        ? {}
        : {
            missing: isArm
              ? `which NMA runs: ${showNma}`
              : 'the architecture: kubectl get node NODE -L kubernetes.io/arch',
          }),
    }),
  ];
}

/** A GPU node without the condition. */
export function explainNoCondition(deed: DeedOf<'no-condition'>): readonly Finding[] {
  return [
    say(deed, {
      code: 'monitor-not-registered',
      result: 'broken',
      certainty: 'likely',
      did: `The node has GPUs and no ${gpuConditionType}.`,
      summary:
        'NMA is not installed there, or its GPU monitor did not register: it looks for the driver once, at its start, or its configuration switches it off.',
      facts: [
        {
          source: 'aws/eks-node-monitoring-agent pkg/config/context.go',
          observed: 'hardware is detected once, at process start',
        },
      ],
      commands: [
        'kubectl -n kube-system get pods -l app.kubernetes.io/name=eks-node-monitoring-agent -o wide',
        logs,
      ],
      missing: 'NMA’s log: "skipping monitor registration"',
    }),
  ];
}

/** The row for a version as the text writes it. */
export const nmaVersionOf = findNmaVersion;
