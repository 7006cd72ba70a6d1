/**
 * What a 580 driver prints behind the number, for the Xids whose text is known from its open source (kernel_rc.c and
 * the callers of krcReportXid) or from field logs. Data: a new text is a row. An Xid without a row is written without
 * text, as drivers do where firmware gives none.
 */
export const xidTexts: Readonly<Record<number, string>> = {
  13: 'Graphics SM Warp Exception on (GPC 7, TPC 7, SM 0): Illegal Instruction Parameter',
  16: 'Head 00000000 Count 00001a2b',
  31: 'Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE',
  32: 'channel 0x00000007 intr1 00000004 HCE_DBG0 00000300 HCE_DBG1 0000118e',
  43: 'Ch 00000008',
  45: 'Ch 00000001',
  48: 'An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at physical address 0x1a2b3c000.',
  63: 'Row Remapper: New row marked for remapping, reset gpu to activate.',
  64: 'Row Remapper: Failed to remap row',
  74: 'NVLink: fatal error detected on link 6(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
  79: 'GPU has fallen off the bus.',
  94: 'Contained: SM (0x1). RST: No, D-RST: No',
  95: 'Uncontained: FBHUB (0x1, 0x0). physAddr: 0x0000001234500000 RST: Yes, D-RST: No',
  108: 'FLA Fault: inst:0x0 dev:0x0 subdev:0x0, faulted @ 0x7f_12340000. Fault is of type FAULT_PTE ACCESS_TYPE_VIRT_READ',
  109: 'Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x58005',
  110: 'SEC_FAULT: _FUSE_POD',
  119: 'Timeout after 6s of waiting for RPC response from GPU0 GSP! Expected function 76 (GSP_RM_CONTROL) (0x90cc0301 0xc).',
  136: 'NVLink: Link training failed for link 5(0x0, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)',
  140: 'An uncorrectable ECC error detected (possible firmware handling failure) DRAM:1, LTC:0, MMU:0, PCIE:0',
  143: 'FSP fuse error check has failed. Status = 0x1.',
  144: 'SAW_MVB Nonfatal XC0 i1 Link 0 (0x00000001 0x00000008 0x00000000 0x00000000 0x00000000 0x00000000)',
  145: 'RLW_RXPIPE Nonfatal XC0 i1 Link 13 (0x0409a0c2 0x00000008 0x00000001 0x00000000 0x00100000 0x00000004)',
  149: 'NETIR_LINK_EVT Fatal XC0 i1 Link 09 (0x004525c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)',
  150: 'MSE_WATCHDOG Fatal XC0 i1 Link 00 (0x00000000 0x00000000 0x00000000 0x00000000)',
  154: 'GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)',
  172: 'GSP-RISCV, Uncorrectable SRAM error',
};
