import type { AgentOrder, InjectXid, OrderMethod } from '../schemas/order.ts';
import type { Surface } from '../schemas/receipt.ts';

/** Where an order writes, whatever the node is: its script (script.ts) has parts on these and no others. */
export function surfacesOfOrder({ method, body }: Pick<AgentOrder, 'method' | 'body'>): readonly Surface[] {
  const only = surfaces[method];
  if (only !== 'asked') return [only];
  return Array.isArray(body.surfaces) ? (body.surfaces as InjectXid['surfaces']) : [];
}

const surfaces: { readonly [M in OrderMethod]: Surface | 'asked' } = {
  WriteKernelMessage: 'kernel-log',
  InjectXid: 'asked',
  InjectCascade: 'asked',
  InjectSxid: 'kernel-log',
  InjectDcgmField: 'dcgm',
  WriteJournalMessage: 'journal',
  AppendLogLine: 'log-file',
  PauseHostEngine: 'host-engine',
};
