import Type from 'typebox';
import { isReason, rowOf } from '../../shared/errors.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';

/** Whether a drill wrote anything to its node, from the weakest to the strongest answer. */
export const injectedAnswers = ['none', 'perhaps', 'yes'] as const;
/** Whether anything was injected: `no`, `perhaps`, `yes`. */
export type Injected = (typeof injectedAnswers)[number];
/** For stored objects and answers. */
export const InjectedSchema = Type.Enum([...injectedAnswers], {
  description:
    'whether anything was injected, controls included; yes: read back; perhaps: an order was sent and nothing shows what became of it',
});

/** An order that ended with a reason, as far as it decides whether anything was written. */
export type RefusedOrder = {
  readonly reason: string;
  readonly details?: Readonly<Record<string, unknown>>;
};

/** One order as it stands in a status. With neither a receipt nor a refusal it has been sent, or is about to be. */
export type SentOrder = {
  readonly receipt?: Pick<Receipt, 'surfaces' | 'state'>;
  readonly refusal?: RefusedOrder;
};

/**
 * Whether something may have been written although this is what was answered. `outcome`: that of the surface in the
 * receipt, where there is one; `refused` means that nothing was begun.
 */
export function mayBeInjected(
  { reason, details }: RefusedOrder,
  outcome?: Receipt['surfaces'][number]['outcome'],
): boolean {
  if (outcome === 'refused' || details?.isUnsent === true) return false;
  // A reason that is not ours is one of an agent that is newer than we are.
  if (!isReason(reason)) return true;
  const { injected } = rowOf(reason);
  return injected === 'perhaps' || (injected === 'if-begun' && outcome === 'failed');
}

/** What the answer to one order says. */
export function injectedByOrder({ receipt, refusal }: SentOrder): Injected {
  if (receipt === undefined) return refusal === undefined || mayBeInjected(refusal) ? 'perhaps' : 'none';
  const { surfaces, state } = receipt;
  // A record that was read back from the kernel log has been written, wherever else it is missing.
  const isWritten = ({ outcome, readBack }: (typeof surfaces)[number]) =>
    outcome === 'injected' || (readBack !== undefined && 'sequence' in readBack);
  if (surfaces.some(isWritten)) return 'yes';
  const isOpen =
    state === 'running' ||
    surfaces.some(({ outcome, code = 'internal' }) => mayBeInjected({ reason: code }, outcome));
  return isOpen ? 'perhaps' : 'none';
}

/** The strongest of the answers of several orders or nodes; none where there are none. */
export function injectedByAny(answers: readonly Injected[]): Injected {
  return injectedAnswers.findLast((answer) => answers.includes(answer)) ?? 'none';
}
