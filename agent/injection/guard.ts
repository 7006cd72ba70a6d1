import { Refusal } from '../../shared/errors.ts';
import { parseXidLine } from '../../shared/xid/line.ts';

/**
 * The Xids that a DCGM host engine takes from the kernel log itself (dcgm-measured.md §6; DCGM
 * dcgmlib/src/DcgmKmsgReader.cpp): 119 blinds it for all GPUs until it is restarted, and again after each restart for
 * as long as the line is in the ring; 79 and 120 change what it reports.
 */
const wedging: readonly number[] = [119];
const read: readonly number[] = [79, 120];

/** Whether an address can be a GPU of this node. Only a `no` that NVML has confirmed counts as no. */
export type AddressIsGpu = 'yes' | 'no' | 'unknown';

export function assertArmed(armed: boolean): void {
  if (armed) return;
  throw new Refusal('disarmed', 'this agent is disarmed and writes nothing', {
    remedy: 'start the agent with --arm, and only on nodes that may be drilled',
  });
}

/** Guards every text that goes into the kernel log, also one that a caller wrote by hand. */
export function assertKernelLogRisk(
  text: string,
  options: { readonly acceptRisk: boolean; readonly isGpu: (address: string) => AddressIsGpu },
): void {
  const line = parseXidLine(text);
  if (line === undefined) return;
  const isGpu = options.isGpu(line.address);
  if (wedging.includes(line.xid) && isGpu !== 'no') {
    throw new Refusal(
      'xid_wedges_engine',
      `xid: an Xid ${line.xid} line for ${line.address} (${isGpu === 'yes' ? 'a GPU of this node' : 'NVML cannot say that it is no GPU'}) stops the DCGM host engine from reading any GPU, and again after each of its restarts until the line has left the ring`,
      {
        field: 'xid',
        value: line.xid,
        remedy: 'use the dcgm surface: field 230 with this Xid has no such effect',
      },
    );
  }
  if (read.includes(line.xid) && isGpu !== 'no' && !options.acceptRisk) {
    throw new Refusal(
      'risk_not_accepted',
      `acceptRisk: host engines read Xid ${line.xid} from the kernel log into field 230, now and at each of their restarts`,
      { field: 'acceptRisk', allowed: true, remedy: 'send acceptRisk: true, or use the dcgm surface' },
    );
  }
}
