import { isReason, rowOf } from '../../shared/errors.ts';
import type { Receipt } from '../../shared/schemas/receipt.ts';

/** An order that ended with a reason, as far as it decides whether anything was written. */
type RefusedOrder = {
  readonly reason: string;
  readonly details?: Readonly<Record<string, unknown>>;
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
