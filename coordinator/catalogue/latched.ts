import { xidHealthIncident } from '../../shared/dcgm-fields/health-codes.ts';
import { xidField } from '../../shared/dcgm-fields/ids.ts';
import type { Surface } from '../../shared/schemas/receipt.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import { xidsReadByEngine } from '../../shared/xid/guard.ts';
import { parseXidLine } from '../../shared/xid/line.ts';
import type { Reaction } from './nma/reactions.ts';

type KeptOn = { readonly engineVersion: string; readonly gpuName: string | undefined };

/** Something that stays when a drill is over. */
export type Latched = {
  readonly what: string;
  /** What ends it. */
  readonly until: string;
};

/**
 * What stays on the node when the drill is over, and what ends it (nma.md §3): of all reactions, those that come minutes
 * later included, and of all that was written.
 */
export function latchedBy(
  reactions: readonly Reaction[],
  parts: readonly Part[],
  on: KeptOn,
): readonly Latched[] {
  const types = reactions.flatMap(({ appearsAs, conditionType }) =>
    appearsAs === 'condition' ? [conditionType] : [],
  );
  const kept = keptByEngine(parts, on);
  return [
    ...logsKept(parts),
    ...(kept.length === 0
      ? []
      : [
          {
            what: `${kept.join(', ')} in the health system of the host engine, reported again every 5 min`,
            until: 'the host engine restarts',
          },
        ]),
    ...[...new Set(types)].map((type) => ({
      what: `condition ${type} False`,
      until:
        kept.length === 0
          ? 'the monitoring agent restarts on the node'
          : 'the monitoring agent restarts on the node; restart the host engine first, or its health system makes it False again',
    })),
  ];
}

const logUntil: Partial<Record<Surface, readonly Latched[]>> = {
  'kernel-log': [{ what: 'the records in the ring of the kernel log', until: 'the next reboot' }],
  journal: [
    { what: 'the records in the ring of the kernel log', until: 'the next reboot' },
    { what: 'the lines in the journal', until: 'journald rotates them away' },
  ],
  'log-file': [{ what: 'the lines in the file', until: 'the file is rotated away' }],
};

function logsKept(parts: readonly Part[]): Latched[] {
  const written = [...new Set(parts.map(({ surface }) => surface))];
  const reread = parts.flatMap((part) => {
    if (part.surface !== 'kernel-log') return [];
    const xid = parseXidLine(part.text)?.xid;
    return xid !== undefined && xidsReadByEngine.includes(xid) ? [xid] : [];
  });
  return [
    ...written.flatMap((surface) => logUntil[surface] ?? []),
    ...[...new Set(reread)].map((xid) => ({
      what: `Xid ${xid} in field ${xidField} of the host engine, read again at each of its starts`,
      until: 'the record has left the ring of the kernel log',
    })),
  ];
}

/** Xids that the engine's health system has a code for: the others leave nothing there. */
function keptByEngine(parts: readonly Part[], { engineVersion, gpuName }: KeptOn): string[] {
  const xids = parts.flatMap((part) =>
    part.surface === 'dcgm' && part.field === xidField ? [Number(part.value)] : [],
  );
  return [...new Set(xids)]
    .filter((xid) => xidHealthIncident(engineVersion, xid, gpuName) !== undefined)
    .map((xid) => `Xid ${xid}`);
}
