import { compareVersions } from '../../shared/compare-versions.ts';
import { knownEngines } from '../../shared/dcgm-fields/engine-versions.ts';
import { fieldById } from '../../shared/dcgm-fields/find.ts';
import { generationOf } from '../../shared/gpu-generations.ts';
import { isXidOrder } from '../../shared/orders/call.ts';
import type { MethodCall } from '../../shared/schemas/order.ts';
import type { Part } from '../../shared/surfaces/table.ts';
import type { Confidence } from '../catalogue/confidence.ts';
import type { Expectation } from '../catalogue/expectation.ts';
import { judgingVersion, type OrderPlace, type TargetContext } from '../plan/plan.ts';

type Doubt = { readonly level: 'medium' | 'low'; readonly because: string };

type About = OrderPlace & {
  readonly expectation: Expectation;
  readonly target: TargetContext;
  readonly order: MethodCall;
  readonly parts: readonly Part[];
};

/** How sure the expectation is: what is known of the node, and what had to be assumed. */
export function confidenceOf(about: About): Confidence {
  const isInjectOnly = about.expectation.kind === 'ignored';
  const doubts = (isInjectOnly ? injectionDoubts : allDoubts).flatMap((doubtOf) => doubtOf(about) ?? []);
  if (doubts.length === 0 && isInjectOnly)
    return { level: 'high', because: ['only the injection is judged, and nothing known stands against it'] };
  if (doubts.length === 0) {
    const { version } = judgingVersion(about.target).row;
    return { level: 'high', because: [`version ${version} of the monitoring agent does so`] };
  }
  return {
    level: doubts.some(({ level }) => level === 'low') ? 'low' : 'medium',
    because: doubts.map(({ because }) => because),
  };
}

/** Doubts about what is written; the others are about what follows from it. */
const injectionDoubts = [inventoryDoubt, identityDoubt, driverDoubt, migDoubt];
const allDoubts = [versionDoubt, inventoryDoubt, identityDoubt, engineDoubt, gpuDoubt, driverDoubt, migDoubt];

function versionDoubt({ target }: About): Doubt | undefined {
  const { row, exact, note } = judgingVersion(target);
  if (!exact) return { level: 'low', because: `version of the monitoring agent: ${note}` };
  if (row.knownFrom === 'source') return undefined;
  const because = `version ${row.version} of the monitoring agent is known from its ${row.knownFrom}, not from its source`;
  return { level: 'medium', because };
}

/** That nobody asked for it is no doubt by itself: what matters of it is doubted below. */
function inventoryDoubt({ target }: About): Doubt | undefined {
  const { inventoryUnread } = target;
  if (inventoryUnread === undefined) return undefined;
  return { level: 'medium', because: `the inventory of the node could not be read: ${inventoryUnread}` };
}

/** Which GPU it is rests on less than NVML's own list. */
function identityDoubt({ gpu }: About): Doubt | undefined {
  if (gpu === undefined || gpu.notes.length === 0) return undefined;
  return { level: 'medium', because: gpu.notes.join('; ') };
}

function engineDoubt({ target, parts, engine, engineVersion }: About): Doubt | undefined {
  if (target.inventoryUnread !== undefined || !parts.some(({ surface }) => surface === 'dcgm'))
    return undefined;
  if (engine === undefined || engine.version === null) {
    const because = `the version of the host engine is not known; judged as ${engineVersion}, which the chart of this version installs`;
    return { level: 'medium', because };
  }
  const isKnown =
    compareVersions(engine.version, knownEngines.from) >= 0 &&
    compareVersions(engine.version, knownEngines.below) < 0;
  if (isKnown) return undefined;
  const because = `host engine ${engine.version} is none of those known (${knownEngines.from} to before ${knownEngines.below}); judged as the nearest`;
  return { level: 'low', because };
}

/** Some health checks exist on some generations only. */
function gpuDoubt({ target, parts, gpuName }: About): Doubt | undefined {
  if (target.inventoryUnread !== undefined || generationOf(gpuName ?? '') !== undefined) return undefined;
  const isBound = parts.some(
    (part) =>
      part.surface === 'dcgm' &&
      fieldById(part.field).effects?.some((effect) => effect.kind === 'health' && effect.gpus !== undefined),
  );
  if (!isBound) return undefined;
  const because = 'the generation of the GPU is not known; judged as one that has the health check';
  return { level: 'medium', because };
}

function driverDoubt({ target, order, parts }: About): Doubt | undefined {
  const isDriverText = isXidOrder(order) && parts.some(({ surface }) => surface === 'kernel-log');
  const isNamed = 'driver' in order.body && order.body.driver !== undefined;
  if (!isDriverText || isNamed || target.inventoryUnread !== undefined) return undefined;
  if ((target.inventory?.driverVersion ?? null) !== null) return undefined;
  return { level: 'medium', because: 'the driver version is not known; the text is the newest driver’s' };
}

function migDoubt({ order, target, gpu }: About): Doubt | undefined {
  if (!('mig' in order.body) || order.body.mig === undefined || gpu?.uuid === undefined) return undefined;
  const known = target.inventory?.gpus.find(({ uuid }) => uuid === gpu.uuid);
  if (known?.migEnabled !== false) return undefined;
  return { level: 'medium', because: 'the line names a MIG device, and MIG is off on this GPU' };
}
