import { Refusal } from '../errors.ts';
import type { OrderMethod } from '../schemas/order.ts';

/**
 * The Xids that a DCGM host engine takes from the kernel log itself, again at each of its starts for as long as the line
 * is in the ring (dcgm-measured.md §6; DCGM dcgmlib/src/DcgmKmsgReader.cpp). 79 and 120 change what it reports.
 */
export const xidsReadByEngine: readonly number[] = [79, 119, 120];
/** Of these: it is blind for all GPUs until it is restarted. */
const wedging: readonly number[] = [119];

/** Whether an address can be a GPU of this node. Only a `no` that NVML has confirmed counts as no. */
export type AddressIsGpu = 'yes' | 'no' | 'unknown';

/** The request field that brings an Xid into a text; elsewhere it can only be in the text itself. */
export function xidFieldOf(method: OrderMethod): string | undefined {
  return xidFields[method];
}

const xidFields: Partial<Record<OrderMethod, string>> = { InjectXid: 'xid', InjectCascade: 'steps' };

/** Whether it is worth finding out which GPUs there are. */
export function mayHoldXid(text: string): boolean {
  return text.includes('Xid');
}

/** Guards every text that goes into the kernel log, also one that a caller wrote by hand. */
export function assertKernelLogRisk(
  text: string,
  options: {
    readonly acceptRisk: boolean;
    readonly isGpu: (address: string) => AddressIsGpu;
    /** The request field that carries the Xid. */
    readonly xidField: string;
  },
): void {
  const suspects = xidReadings(text).filter(({ address }) => options.isGpu(address) !== 'no');
  const wedge = suspects.find(({ xid }) => wedging.includes(xid));
  if (wedge !== undefined) {
    const isGpu = options.isGpu(wedge.address);
    throw new Refusal(
      'xid_wedges_engine',
      `${options.xidField}: an Xid ${wedge.xid} line for ${wedge.address || 'no address'} (${isGpu === 'yes' ? 'a GPU of this node' : 'NVML cannot say that it is no GPU'}) stops the DCGM host engine from reading any GPU, and again after each of its restarts until the line has left the ring`,
      {
        field: options.xidField,
        value: wedge.xid,
        remedy: 'use the dcgm surface: field 230 with this Xid has no such effect',
      },
    );
  }
  const risk = suspects.find(({ xid }) => xidsReadByEngine.includes(xid));
  if (risk !== undefined && !options.acceptRisk) {
    throw new Refusal(
      'risk_not_accepted',
      `acceptRisk: host engines read Xid ${risk.xid} from the kernel log into field 230, now and at each of their restarts`,
      { field: 'acceptRisk', allowed: true, remedy: 'send acceptRisk: true, or use the dcgm surface' },
    );
  }
}

/**
 * Every address and number that some reader may take out of a text. The host engine's pattern is greedy: of
 * `NVRM: Xid (PCI:…): 31, x): 119, y` it takes the 119, and it keeps 32 bits of a number. So a number anywhere behind
 * an Xid line's head counts; a text that is refused for nothing can be worded in another way.
 */
function xidReadings(text: string): readonly { readonly address: string; readonly xid: number }[] {
  return [...text.matchAll(/NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]*)/g)].flatMap((head) =>
    [...text.slice(head.index).matchAll(/: (\d+)/g)].map(([, digits = '']) => ({
      address: head[1] ?? '',
      xid: Number(BigInt.asUintN(32, BigInt(digits))),
    })),
  );
}
