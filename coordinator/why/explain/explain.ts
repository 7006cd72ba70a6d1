import { policiesOf } from '../../../shared/dcgm-fields/effect.ts';
import { knownField } from '../../../shared/dcgm-fields/find.ts';
import { policySlotMs } from '../../../shared/nma-timing.ts';
import type { Finding } from '../finding.ts';
import type { Deed, DeedOf } from '../piece.ts';
import { explainCondition, explainHeartbeats, explainNoCondition } from './conditions.ts';
import { explainDcgmiSaid, explainInjectedSaid, explainOtherDcgmi, explainStartEngine } from './dcgmi.ts';
import { explainInject } from './inject.ts';
import { explainFileWrite, explainKernelLine, explainKernelWrite, explainSyslog } from './kernel.ts';
import { explainLook } from './look.ts';
import {
  explainAddOn,
  explainClusterRole,
  explainConditionEdit,
  explainEngineOff,
  explainEvent,
  explainEventSearch,
  explainMonitorOff,
  explainNmaLog,
  explainRole,
  explainRoleRemoved,
} from './nma.ts';
import {
  explainKarpenterBelief,
  explainKarpenterGate,
  explainKarpenterLog,
  explainNodeRepair,
  explainPoolBudget,
  explainRepairWait,
} from './repair.ts';
import { inEngine, say, type World } from './say.ts';

type Explainers = { readonly [K in Deed['is']]: (deed: DeedOf<K>, world: World) => readonly Finding[] };

/** One explainer for each kind of deed: a new kind does not compile without one. */
const explainers: Explainers = {
  inject: (deed, world) => [...explainInject(deed, world), ...explainSlot(deed, world)],
  'dcgmi-other': explainOtherDcgmi,
  'kernel-write': explainKernelWrite,
  'syslog-write': explainSyslog,
  'file-write': explainFileWrite,
  'kernel-line': explainKernelLine,
  'start-engine': explainStartEngine,
  'injected-said': explainInjectedSaid,
  'dcgmi-said': explainDcgmiSaid,
  role: explainRole,
  'add-on': explainAddOn,
  'role-removed': explainRoleRemoved,
  'cluster-role': explainClusterRole,
  'monitor-off': explainMonitorOff,
  'engine-off': explainEngineOff,
  'node-repair': explainNodeRepair,
  'karpenter-gate': explainKarpenterGate,
  'karpenter-belief': explainKarpenterBelief,
  'pool-budget': explainPoolBudget,
  'karpenter-log': explainKarpenterLog,
  'repair-wait': explainRepairWait,
  condition: explainCondition,
  heartbeats: explainHeartbeats,
  'no-condition': explainNoCondition,
  'nma-log': explainNmaLog,
  event: explainEvent,
  'event-search': explainEventSearch,
  'condition-edit': explainConditionEdit,
  look: explainLook,
  sleep: () => [],
};

/** What a deed did, by its explainer. */
export function explainDeed(deed: Deed, world: World): readonly Finding[] {
  const explainer = explainers[deed.is] as (deed: Deed, world: World) => readonly Finding[];
  return explainer(deed, world);
}

/** Two alerts of one kind in one line of commands: the engine drops the second (dcgm-measured.md §3). */
function explainSlot(deed: DeedOf<'inject'>, world: World): readonly Finding[] {
  const at = world.deeds.indexOf(deed);
  const kinds = kindsOf(deed);
  const before = world.deeds.findLastIndex(
    (one, index) =>
      index < at &&
      one.is === 'inject' &&
      one.line === deed.line &&
      one.options.gpuid === deed.options.gpuid &&
      kindsOf(one).some((kind) => kinds.includes(kind)),
  );
  if (before < 0) return [];
  const pause = world.deeds
    .slice(before, at)
    .reduce((sum, one) => sum + (one.is === 'sleep' ? one.seconds : 0), 0);
  if (pause * 1000 > policySlotMs) return [];
  return [
    say(deed, {
      code: 'policy-slot',
      result: 'broken',
      did: `Injected a second value of the ${kinds.join(', ')} policy ${pause} s after the first.`,
      summary:
        'The engine sends one alert of a kind for a GPU in 5 s, by the samples’ own time: all Xids are one kind, and the second is dropped without a word.',
      facts: [
        {
          source: 'NVIDIA/DCGM modules/policy/DcgmPolicyManager.cpp',
          observed: 'an alert less than 5 s after the last of its type is not sent',
        },
      ],
      commands: [
        `${inEngine('test --inject --gpuid 0 -f 230 -v FIRST')}; sleep 6; ${inEngine('test --inject --gpuid 0 -f 230 -v SECOND')}`,
      ],
    }),
  ];
}

function kindsOf({ options }: DeedOf<'inject'>): readonly string[] {
  const row = knownField(options.field ?? '');
  return row === undefined ? [] : policiesOf(row).map(({ policy }) => policy);
}
