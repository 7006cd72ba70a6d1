import type { PciAddress } from '../pci.ts';

/** What has to be known of the node to write as its driver would. */
export type ScriptContext = {
  readonly gpu?: {
    readonly pci?: PciAddress;
    readonly uuid?: string;
    /** As NVML reports it: some texts differ by GPU generation. */
    readonly name?: string;
    /** NVML's index, which some texts hold; undefined: unknown. */
    readonly index?: number;
  };
  /** As NVML reports it; undefined: unknown, the newest known shape is taken. */
  readonly driverVersion?: string;
};
