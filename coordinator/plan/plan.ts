import { parseDuration } from '../../shared/duration.ts';
import { Refusal } from '../../shared/errors.ts';
import { faults } from '../../shared/faults/catalogue.ts';
import { channelOf, expectationOf } from '../../shared/faults/channels.ts';
import { findFault, type Parameters, resolveParameters } from '../../shared/faults/parameters.ts';
import type { FaultRow } from '../../shared/faults/row.ts';
import { type FoundNmaVersion, findNmaVersion, nmaVersions } from '../../shared/nma/versions.ts';
import { scriptOf } from '../../shared/orders/script.ts';
import { parsePci } from '../../shared/pci.ts';
import type { Expectation } from '../../shared/schemas/expectation.ts';
import type { AgentOrder, ExpectationInput, ExperimentSpec } from '../../shared/schemas/experiment.ts';

/** What will be done to one node, and what must follow. */
export type TargetPlan = {
  readonly node: string;
  readonly order: AgentOrder;
  readonly parameters: Parameters;
  readonly writes: readonly string[];
  readonly expectation: Expectation;
  /** What the expectation rests on, and how surely. */
  readonly confidence: string;
  readonly risk: string;
  readonly undo: string;
};

export type PlanInput = {
  readonly spec: ExperimentSpec;
  readonly node: string;
  /** Unique to this experiment and node; the same again gives the same order. */
  readonly orderId: string;
  /** Six characters of [0-9a-z] that are new in each order. */
  readonly marker: string;
  /** What runs on the node; undefined: not found, judged by the newest known. */
  readonly nmaVersion: FoundNmaVersion | undefined;
};

/** Pure: the same input gives the same plan. Refuses what cannot be injected or judged, naming the field. */
export function planTarget(input: PlanInput, rows: readonly FaultRow[] = faults): TargetPlan {
  const { spec, node, orderId, marker } = input;
  const row = findFault(spec.fault.name, rows);
  if (spec.target?.gpu?.pci !== undefined) parsePci(spec.target.gpu.pci, 'target.gpu.pci');
  const parameters = resolveParameters(row, spec.fault.parameters ?? {}, marker);
  const work = { channel: row.channel, parameters, gpu: spec.target?.gpu, marker };
  const channel = channelOf(row.channel);
  const version = input.nmaVersion ?? newestKnown();
  // First, because it checks the parameters by their own names.
  const order = channel.order(work);
  const [found] = channel.reactions(work, { nma: version.row, engineVersion: undefined });
  return {
    node,
    order: { orderId, ...order },
    parameters,
    writes: scriptOf(order, {}).map((part) => JSON.stringify(part)),
    expectation: resolveExpectation(spec.expectation ?? {}, found && expectationOf(found), row),
    confidence: version.exact
      ? `by what version ${version.row.version} of the monitoring agent does`
      : `by version ${version.row.version} of the monitoring agent (${version.note})`,
    risk: row.risk,
    undo: row.undo,
  };
}

function newestKnown(): FoundNmaVersion {
  const newest = nmaVersions.at(-1);
  if (newest === undefined) throw new RangeError('no version is known');
  return { ...findNmaVersion(newest.version), exact: false, note: 'its version was not found on the node' };
}

/** The caller's word wins; what it leaves out comes from catalogue and version. */
function resolveExpectation(
  given: ExpectationInput,
  usual: Expectation | undefined,
  row: FaultRow,
): Expectation {
  const withinSeconds =
    given.within === undefined
      ? (usual?.withinSeconds ?? 60)
      : parseDuration(given.within, 'expectation.within') / 1000;
  if (withinSeconds < 1 || withinSeconds > 3600) {
    throw new Refusal('expectation_invalid', 'expectation.within: must be from 1 s to 1 h', {
      field: 'expectation.within',
      value: given.within,
      allowed: '1s to 1h',
    });
  }
  const type = given.type ?? usual?.type;
  const reason = given.reason ?? usual?.reason;
  const kind = given.kind ?? usual?.kind;
  if (kind === undefined || type === undefined || reason === undefined) {
    throw new Refusal(
      'expectation_invalid',
      `expectation: no version-known reaction to fault ${row.name} with these parameters; say kind, type and reason`,
      { field: 'expectation', allowed: '{kind: event|condition, type, reason, within}' },
    );
  }
  // A reason of the caller's own makes the usual message meaningless.
  const message =
    given.message ??
    (given.reason === undefined || given.reason === usual?.reason ? usual?.message : undefined);
  return { kind, type, reason, ...(message === undefined ? {} : { message }), withinSeconds };
}
