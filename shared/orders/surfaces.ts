import type { MethodCall, OrderMethod } from '../schemas/order.ts';
import type { Surface } from '../schemas/receipt.ts';

/** Where an order writes, whatever the node is: its script (script.ts) has parts on these and no others. */
export function surfacesOfOrder(call: MethodCall): readonly Surface[] {
  if (call.method === 'InjectXid' || call.method === 'InjectCascade') return call.body.surfaces;
  return [surfaces[call.method]];
}

const surfaces: { readonly [M in Exclude<OrderMethod, 'InjectXid' | 'InjectCascade'>]: Surface } = {
  WriteKernelMessage: 'kernel-log',
  InjectSxid: 'kernel-log',
  InjectDcgmField: 'dcgm',
  WriteJournalMessage: 'journal',
  AppendLogLine: 'log-file',
  PauseHostEngine: 'host-engine',
};
