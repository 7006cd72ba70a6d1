import type { Part, PartOf, Surface } from '../../../shared/surfaces/table.ts';
import { dcgm } from './dcgm.ts';
import { hostEngine } from './host-engine.ts';
import { journal } from './journal.ts';
import { kernelLog } from './kernel-log.ts';
import { logFile } from './log-file.ts';
import type { SurfaceWork } from './work.ts';

/** What the coordinator knows of each surface. */
export const surfaceWork = {
  'kernel-log': kernelLog,
  dcgm,
  journal,
  'log-file': logFile,
  'host-engine': hostEngine,
} as const satisfies { readonly [S in Surface]: SurfaceWork<S> };

/** What the coordinator knows of a surface that is only known at run time. */
export function workOf(surface: Surface): SurfaceWork<Surface> {
  // Its functions take that surface's parts: the compiler cannot follow the pair through the look-up.
  return surfaceWork[surface] as unknown as SurfaceWork<Surface>;
}

/** The parts of an order by surface, in the order of the table; surfaces without parts are left out. */
export function partsBySurface(
  parts: readonly Part[],
): readonly { readonly surface: Surface; readonly parts: readonly PartOf<Surface>[] }[] {
  return (Object.keys(surfaceWork) as Surface[])
    .map((surface) => ({ surface, parts: parts.filter((part) => part.surface === surface) }))
    .filter((found) => found.parts.length > 0);
}
