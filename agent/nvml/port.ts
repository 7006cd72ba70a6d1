import type { NvmlAnswer } from '../../shared/gpu-identity.ts';

/**
 * What NVML says about this node's GPUs. NVML lives in a child process: a hung driver call cannot be stopped in a
 * thread, and a stale handle is a SIGSEGV.
 */
export interface Nvml {
  /** The GPUs, or why there is no answer. Never throws, never takes longer than the watchdog's limit. */
  list(signal?: AbortSignal): Promise<NvmlAnswer>;
  /** Ends the child. */
  close(): Promise<void>;
}
