import { healthCodeNames } from '../../../shared/dcgm-fields/health-codes.ts';
import { textDistance } from '../../../shared/text-distance.ts';
import { highestXid } from '../../../shared/xid/number.ts';
import type { PluginName, Via } from '../expectation.ts';
import { monitors } from './conditions.ts';
import { kernelRules } from './kernel-rules.ts';
import { logRules } from './log-rules.ts';
import {
  deviceCountReaction,
  engineLossReaction,
  fieldReaction,
  healthReaction,
  policyReaction,
  type Reaction,
  type Violation,
  xidReaction,
} from './reactions.ts';
import { nmaVersions } from './versions.ts';

/** How NMA gets to know of a fault, and which of its monitor plugins reacts. */
export type Detection = { readonly via: Via; readonly plugin: PluginName };

/** How NMA finds what it reports under this condition type and reason; undefined: no known version reports that. */
export function detectionOf(reported: {
  readonly type: string;
  readonly reason: string;
}): Detection | undefined {
  const found = known.get(reported.reason);
  const monitor = monitors.find(({ plugin }) => plugin === found?.plugin);
  return monitor?.conditionType === reported.type ? found : undefined;
}

const violations: readonly Violation[] = [
  { policy: 'DBE', errors: 1 },
  { policy: 'NVLink', fieldId: 409, errors: 1 },
  { policy: 'PCIe', replays: 1 },
  { policy: 'MaxRtPg', sbePages: 11, dbePages: 0 },
  { policy: 'Thermal', celsius: 101 },
  { policy: 'Power', watts: 251 },
];

/** Every reason that each version gives, by the functions and rules that give it. */
const known: ReadonlyMap<string, Detection> = new Map([
  ...nmaVersions.flatMap((row) => [
    ...byNvidia(
      'policy',
      violations.map((violation) => policyReaction(row, violation)),
    ),
    ...byNvidia(
      'policy',
      Array.from({ length: highestXid }, (_, index) => xidReaction(row, index + 1)),
    ),
    ...byNvidia(
      'health-check',
      Object.keys(healthCodeNames).map((code) => healthReaction(row, { code: Number(code), result: 'FAIL' })),
    ),
    ...byNvidia('watched-field', [fieldReaction(row, 170, 4), fieldReaction(row, 174, 1)]),
    ...byNvidia('device-count', [deviceCountReaction(row, { dcgm: 0, files: 1 })]),
  ]),
  // Of the two ways to lose an engine, the one that a drill takes, and the slower.
  ...byNvidia('engine-pause', [engineLossReaction('')]),
  ...kernelRules.map(({ reason, plugin }) => [reason, { via: 'kernel-log-rule', plugin }] as const),
  ...logRules.map(({ reason, plugin, source }) => [reason, { via: viaOfLog(source.kind), plugin }] as const),
]);

/** Every reason that a known version of NMA reports. */
export const knownReasons: readonly string[] = [...known.keys()];

/** The known reason that is spelled most like this one; of equally near ones, and of nearly so, one of `preferred`. */
export function nearestReason(reason: string, preferred: readonly string[] = []): string {
  const far = (known: string) =>
    textDistance(reason.toLowerCase(), known.toLowerCase()) - (preferred.includes(known) ? 1.9 : 0);
  const [nearest = ''] = [...preferred, ...knownReasons].toSorted((left, right) => far(left) - far(right));
  return nearest;
}

function byNvidia(
  via: Via,
  reactions: readonly (Reaction | undefined)[],
): readonly (readonly [string, Detection])[] {
  return reactions.flatMap((found) =>
    found === undefined ? [] : [[found.reason, { via, plugin: 'nvidia' }] as const],
  );
}

/** NMA follows the journal and files each through a watch of its own. */
export function viaOfLog(kind: 'journal' | 'file'): Via {
  return kind === 'journal' ? 'journal-rule' : 'log-file-rule';
}
