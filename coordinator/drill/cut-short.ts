import { causeOf, type Refusal } from '../../shared/errors.ts';
import type { Explanation } from '../store/explanation.ts';
import type { Experiment, Injection } from '../store/store.ts';
import { faultOf, receiptOf } from './chain.ts';
import { injectionEvidence } from './gone.ts';

const tellings = {
  aborted: {
    nothing: 'The experiment was aborted before anything was written.',
    ordering: 'The experiment was aborted while the order was on its way: it may have been carried out.',
    written: 'The experiment was aborted after the injection.',
  },
  'deadline-passed': {
    nothing: 'The experiment’s deadline passed before anything was written.',
    ordering:
      'The experiment’s deadline passed while the order was on its way: it may have been carried out.',
    written: 'The experiment’s deadline passed while the reaction was awaited.',
  },
  'experiment-gone': {
    nothing: 'The experiment was deleted before anything was written.',
    ordering: 'The experiment was deleted while the order was on its way: it may have been carried out.',
    written: 'The experiment was deleted after the injection.',
  },
} as const;

/** Why an experiment was ended from outside, and what stays on the node. */
export function endedBy(
  code: keyof typeof tellings,
  experiment: { readonly metadata: { readonly name: string } } & Partial<Pick<Experiment, 'status'>>,
  about: {
    readonly at: string;
    /** How a fault is undone, by its name. */
    readonly undo: (fault: string) => string;
    readonly injection?: Injection;
    readonly trouble?: string;
    /** The kill switch, while it is engaged. */
    readonly killSwitch?: string;
  },
): Explanation {
  const { at, undo, injection, trouble, killSwitch } = about;
  const { name } = experiment.metadata;
  const written = injection === undefined ? [] : injectionEvidence(injection);
  const stage = injection === undefined ? 'nothing' : stageOf(injection, written.length > 0);
  const causes = {
    aborted: { source: `experiments/${name} spec.abort`, observed: 'true' },
    'deadline-passed': {
      source: `experiments/${name} status.deadlineAt`,
      observed: experiment.status?.deadlineAt ?? 'none',
    },
    'experiment-gone': { source: `experiments/${name}`, observed: 'not found' },
  };
  const cause = { ...causes[code], at };
  return {
    code,
    summary: tellings[code][stage],
    evidence: [
      cause,
      ...written,
      ...(killSwitch === undefined
        ? []
        : [{ source: 'ConfigMap xidrill-killswitch', observed: killSwitch, at }]),
      ...(trouble === undefined ? [] : [{ source: 'last failure', observed: trouble, at }]),
    ],
    remedy: remedyOf(stage, injection, undo),
    refuted: [],
    alsoFound: [],
  };
}

/** A request that the coordinator itself refuses: no order was sent. REST and `kubectl apply` answer the same. */
export function explainRequest(
  refusal: Refusal,
  seenAt: { readonly source: string; readonly at: string },
): Explanation {
  const { reason, message, details } = refusal;
  return {
    code: causeOf(reason),
    summary: `Refused, nothing was injected: ${message}.`.replace(/\.\.$/, '.'),
    evidence: [{ source: seenAt.source, observed: `${reason}: ${message}`, at: seenAt.at }],
    remedy: details.remedy ?? 'Correct what the message names, then drill again.',
    refuted: [],
    alsoFound: [],
  };
}

/** An order that is on its way may have been carried out; that of the fault counts for more than controls that were. */
function stageOf(injection: Injection, isWritten: boolean): 'nothing' | 'ordering' | 'written' {
  const { spec, status } = injection;
  const sent = (status?.links ?? []).filter(
    ({ baseline, state }) => baseline !== undefined && state === 'waiting',
  );
  const isOrdering = (role: 'fault' | 'control') =>
    sent.some(({ id }) => spec.chain.some((link) => link.id === id && link.role === role));
  if (isOrdering('fault')) return 'ordering';
  if (isWritten) return 'written';
  return isOrdering('control') ? 'ordering' : 'nothing';
}

/** What the receipt says of each surface, which is how it stands now; undefined: there is none yet. */
function undoNow(injection: Injection): string | undefined {
  const surfaces = receiptOf(injection)?.surfaces.filter(({ outcome }) => outcome !== 'refused');
  if (surfaces === undefined || surfaces.length === 0) return undefined;
  const texts = [...new Set(surfaces.map(({ surface, undo }) => `${surface}: ${undo}`))];
  const turned = (injection.status?.timeline ?? []).flatMap(({ condition }) =>
    condition?.status === 'False' ? [condition.type] : [],
  );
  return [
    ...texts,
    ...[...new Set(turned)].map((type) => `condition ${type}: stays False until NMA restarts on the node`),
  ].join('; ');
}

function remedyOf(
  stage: 'nothing' | 'ordering' | 'written',
  injection: Injection | undefined,
  undoOf: (fault: string) => string,
): string {
  if (stage === 'nothing' || injection === undefined) return 'Nothing to undo.';
  const { fault, node } = injection.spec;
  const { order } = faultOf(injection.spec);
  const receipt = receiptOf(injection);
  const undo = `undo: ${undoNow(injection) ?? undoOf(fault)}`;
  if (stage === 'ordering')
    return `Ask the agent of ${node} for the receipt of ${order.orderId} (GetReceipt); what it injected stays; ${undo}.`;
  if (receipt === undefined)
    return 'Only controls were written: what they leave is a record in the kernel log until the next reboot.';
  const isLasting = receipt.surfaces.some(({ sustained }) => sustained !== undefined);
  if (!isLasting) return `What was injected stays; ${undo}.`;
  return receipt.state === 'running'
    ? `What lasts could not be stopped: call StopInjection of the agent of ${node} with ${order.orderId}, or wait until it ends by itself; ${undo}.`
    : `What lasted was ended; ${undo}.`;
}
