import type { InjectXid } from '../schemas/order.ts';

type NvlinkParts = NonNullable<InjectXid['nvlink']>;
type NvlinkRow = { readonly unit: string; readonly severity: 'Fatal' | 'Nonfatal'; readonly words: number[] };

/**
 * The units of NVLink5 that report by Xid 144 to 150 (Blackwell), each with an error of its own. The first word holds
 * the sub-code in bits 20 to 25, which is what readers decode. The units of 144, 145, 146, 149 and 150 stand in logs of
 * users and in peers' tests (traps-formats-conventions.md §5.3); those of 147 and 148 are the names of NVIDIA's Xid
 * catalogue.
 */
const rows: Readonly<Record<number, NvlinkRow>> = {
  144: { unit: 'SAW_MVB', severity: 'Nonfatal', words: [0x00000001, 0x00000008, 0, 0, 0, 0] },
  145: {
    unit: 'RLW_RXPIPE',
    severity: 'Nonfatal',
    words: [0x0409a0c2, 0x00000008, 0x00000001, 0, 0x00100000, 0x00000004],
  },
  146: { unit: 'TLW_RX', severity: 'Fatal', words: [0x0000000a, 0x00000004, 0, 0, 0, 0] },
  147: { unit: 'TREX', severity: 'Nonfatal', words: [0x00000001, 0x00000001, 0, 0, 0, 0] },
  148: { unit: 'NVLPW_CTRL', severity: 'Nonfatal', words: [0x00000001, 0x00000001, 0, 0, 0, 0] },
  149: { unit: 'NETIR_LINK_EVT', severity: 'Fatal', words: [0x004525c6, 0, 0, 0, 0, 0] },
  150: { unit: 'MSE_WATCHDOG', severity: 'Fatal', words: [0, 0, 0, 0, 0, 0] },
};

/** Whether the driver prints this Xid in the long form of NVLink 5, 144 to 150. */
export function isNvlink5(xid: number): boolean {
  return Object.hasOwn(rows, xid);
}

/** `SAW_MVB Nonfatal XC0 i1 Link 00 (0x00000001 …)`: `i1` is the driver's own mark of an injected error. */
export function nvlinkText(xid: number, parts: NvlinkParts = {}): string {
  const row = rows[xid];
  if (row === undefined) return '';
  const { unit, severity, words, crossbar = 0, injected = true, link = 0 } = { ...row, ...parts };
  const hex = words.map((word) => `0x${word.toString(16).padStart(8, '0')}`);
  const linkText = link < 0 ? String(link) : String(link).padStart(2, '0');
  return `${unit} ${severity} XC${crossbar} i${injected ? 1 : 0} Link ${linkText} (${hex.join(' ')})`;
}
