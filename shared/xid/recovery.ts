import type { InjectXid } from '../schemas/order.ts';

type RecoveryAction = NonNullable<InjectXid['recoveryAction']>;

/** The action a GPU asks for, as Xid 154 prints it (R570 and later; traps-formats-conventions.md §5.1). */
const recoveryActions: Readonly<Record<RecoveryAction, string>> = {
  none: '0x0 (None)',
  'gpu-reset': '0x1 (GPU Reset Required)',
  'node-reboot': '0x2 (Node Reboot Required)',
  'drain-p2p': '0x3 (Drain P2P)',
  'drain-and-reset': '0x4 (Drain and Reset)',
};

/** From none to the action; to none from the mildest, since a change to the same is never printed. */
export function recoveryText(action: RecoveryAction = 'gpu-reset'): string {
  const before = action === 'none' ? 'gpu-reset' : 'none';
  return `GPU recovery action changed from ${recoveryActions[before]} to ${recoveryActions[action]}`;
}
