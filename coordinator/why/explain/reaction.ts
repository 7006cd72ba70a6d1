import { reactionsTo } from '../../../shared/dcgm-fields/effect.ts';
import { xidHealthIncident } from '../../../shared/dcgm-fields/health-codes.ts';
import type { FieldRow } from '../../../shared/dcgm-fields/row.ts';
import { isMatch } from '../../../shared/dcgm-fields/rule.ts';
import { policyReaction, type Reaction, type Violation, xidReaction } from '../../catalogue/nma/reactions.ts';
import { type NmaVersion, nmaVersions } from '../../catalogue/nma/versions.ts';
import type { Finding } from '../finding.ts';
import type { DeedOf } from '../piece.ts';
import { drillOf, gpuOf } from './inject.ts';
import { inEngine, say, showCondition, showEvents, showNma, type World } from './say.ts';

const policies = 'aws/eks-node-monitoring-agent monitors/nvidia/dcgm/dcgm_policies.go';

/** A value that somebody reacts to: through which rule, and as what NMA shows it. */
export function explainReaction(
  deed: DeedOf<'inject'>,
  row: FieldRow,
  value: string,
  did: string,
  world: World,
): readonly Finding[] {
  const policy = (row.effects ?? []).find(
    (effect) => effect.kind === 'policy' && isMatch(effect.rule, value),
  );
  const again = inEngine(`test --inject --gpuid ${gpuOf(deed.options)} -f ${row.id} -v ${value}`);
  const drill = drillOf(row.id, value);
  if (policy?.kind !== 'policy')
    return [
      say(deed, {
        code: 'sample-too-short',
        result: 'broken',
        certainty: 'likely',
        did,
        summary: `Only ${reactionsTo(row, value).join(' and ')} reacts to it. NMA asks every 5 minutes; the engine reads the field itself every ${row.polledSeconds ?? 30} s and overwrites the value, so that one injection is seen about once in ten.`,
        seenBy: [
          {
            who: 'NMA',
            sees: null,
            because: 'only if its check falls into the seconds that the value stands',
          },
        ],
        facts: [
          {
            source:
              'NVIDIA/DCGM modules/health/DcgmHealthWatch.cpp; aws/eks-node-monitoring-agent monitors/nvidia/dcgm',
            observed: 'health checks every 5 min over the last minute',
          },
        ],
        commands: [`for i in $(seq 1 20); do ${again}; sleep 18; done`],
        missing: 'when NMA last looked: its log',
        drill,
      }),
    ];
  const shows = nmaVersions.map((version) => ({
    version,
    reaction: reactionOf(version, policy.policy, row, value),
  }));
  const judged = world.nma?.found.row;
  const now = judged === undefined ? undefined : reactionOf(judged, policy.policy, row, value);
  const newest = shows.at(-1)?.reaction;
  const kind = (now ?? newest)?.appearsAs;
  return [
    say(deed, {
      code: kind === 'event' ? 'event-instead-of-condition' : 'reaches-nma',
      result: deed.place?.engine === 'nma' && kind === 'condition' ? 'works' : 'open',
      ...(judged === undefined ? { certainty: 'likely' as const } : {}),
      did,
      summary: `${reactionText(now ?? newest, judged)}${change(shows)}${sticky(row, value, judged)}${increase(policy.policy)}`,
      seenBy: [
        {
          who: judged === undefined ? 'NMA' : `NMA ${judged.version}`,
          sees: deed.place?.engine === 'nma' ? true : null,
          because: `the ${policy.policy} policy of the engine that it is connected to, at once`,
        },
      ],
      ...(world.nma === undefined ? {} : { lines: [world.nma.at] }),
      facts: [{ source: policies, observed: `field ${row.id} (${row.name}), ${policy.policy} policy` }],
      commands: [
        again,
        kind === 'event' ? showEvents : showCondition,
        ...(judged === undefined ? [showNma] : []),
      ],
      ...(judged === undefined ? { missing: `which NMA runs: ${showNma}` } : {}),
      drill,
    }),
  ];
}

/** What a version makes of a policy's violation. */
function reactionOf(
  row: NmaVersion,
  policy: Violation['policy'],
  field: FieldRow,
  value: string,
): Reaction | undefined {
  const number = Number(value);
  const violations: Readonly<Record<Violation['policy'], Violation>> = {
    XID: { policy: 'XID', xid: number },
    DBE: { policy: 'DBE', errors: number },
    NVLink: { policy: 'NVLink', fieldId: field.id, errors: number },
    PCIe: { policy: 'PCIe', replays: number },
    MaxRtPg: {
      policy: 'MaxRtPg',
      sbePages: field.id === 390 ? number : 0,
      dbePages: field.id === 391 ? number : 0,
    },
    Thermal: { policy: 'Thermal', celsius: number },
    Power: { policy: 'Power', watts: number },
  };
  return policyReaction(row, violations[policy]);
}

/** `NMA 1.6.4`; undefined: the text names no version, and the newest known judges. */
export function nmaName(row: NmaVersion | undefined): string {
  return row === undefined
    ? `NMA (judged as ${nmaVersions.at(-1)?.version}, the newest known)`
    : `NMA ${row.version}`;
}

/** What NMA shows, as a sentence. */
export function reactionText(reaction: Reaction | undefined, row: NmaVersion | undefined): string {
  const who = nmaName(row);
  if (reaction === undefined) return `${who} drops it.`;
  return reaction.appearsAs === 'event'
    ? `${who} answers with an event "${reaction.reason}: …" (reason ${reaction.conditionType}, namespace default); the condition stays True.`
    : `${who} sets ${reaction.conditionType} to False, reason ${reaction.reason}, within about 20 s.`;
}

/** Which versions answer Xid `xid` with the condition and which with an event, where that changed. */
export function xidHistory(xid: number): string {
  return change(nmaVersions.map((version) => ({ version, reaction: xidReaction(version, xid) })));
}

function change(
  shows: readonly { readonly version: NmaVersion; readonly reaction: Reaction | undefined }[],
): string {
  const at = shows.findIndex(
    ({ reaction }, index) => index > 0 && shows[index - 1]?.reaction?.appearsAs !== reaction?.appearsAs,
  );
  const [before, after] = [shows[at - 1], shows[at]];
  if (before === undefined || after === undefined) return '';
  const name = (kind: string | undefined) => (kind === 'event' ? 'an event' : 'the condition');
  return ` It is ${name(before.reaction?.appearsAs)} up to NMA ${before.version.version} and ${name(after.reaction?.appearsAs)} from ${after.version.version} on.`;
}

/** DCGM's health module remembers some Xids for the life of the engine (dcgm.md §4). */
function sticky(row: FieldRow, value: string, judged: NmaVersion | undefined): string {
  if (row.sticky !== true) return '';
  const incident = xidHealthIncident(
    judged?.engineVersion ?? nmaVersions.at(-1)?.engineVersion ?? '',
    Number(value),
    undefined,
  );
  if (incident === undefined) return '';
  return ` The engine’s health check remembers this Xid until it is restarted and reports it every 5 minutes as DCGMHealthCode${incident.code}.`;
}

function increase(policy: Violation['policy']): string {
  return ['DBE', 'PCIe', 'NVLink'].includes(policy)
    ? ' Host engine 4.6 (NMA 1.7.0 and later) wants an increase: where the GPU has no reading of the field, inject 0 first, then the value some seconds later.'
    : '';
}
