import { renderDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { assertRepairPossible, type RepairBlock, type RepairTarget } from './expected.ts';
import { forecastRepair } from './forecast.ts';

/**
 * Seconds from the condition until it is True again, where all goes well and the host engine is restarted too: its pod, 36 s until
 * NMA is connected to it, NMA's pod, and its report (nma.md §2.3, §3), with as much again for pods that are slow.
 */
const restoreSeconds = 180;

/** Refuses what the forecast rules out: a repair that is expected and cannot happen, or one that is forbidden and comes too soon. */
export function assertRepairAsAsked(targets: readonly RepairTarget[], asked: 'expect' | 'forbid'): void {
  if (asked === 'expect') assertRepairPossible(targets);
  else assertRepairPreventable(targets);
}

/** Refuses with `repair_too_soon` where a controller acts, or may act, before the node can be restored. */
function assertRepairPreventable(targets: readonly RepairTarget[]): void {
  const blocks = targets.flatMap(({ facts }): readonly RepairBlock[] =>
    forecastRepair(facts).flatMap(({ controller, afterSeconds }) => {
      if (afterSeconds === null || afterSeconds >= restoreSeconds) return [];
      const because = `${controller} acts ${renderDuration(afterSeconds)} after the condition, and a restore takes ${renderDuration(restoreSeconds)}`;
      return [{ node: facts.node.name, code: 'repair-too-soon', because }];
    }),
  );
  const [first] = blocks;
  if (first === undefined) return;
  const message = `expectation.repair: on ${blocks.length} of ${targets.length} nodes the repair cannot be forbidden: ${first.node}: ${first.because}`;
  throw new Refusal('repair_too_soon', message, {
    field: 'expectation.repair',
    blocks,
    remedy:
      'restore the node first where its condition is False already, or let the controller wait longer; expectation.force: true drills all the same',
  });
}
