import type { GpuFacts } from '../../shared/schemas/inventory.ts';

/** What the agent asks of its NVML child over IPC; `end` has no answer but the end of the process. */
export type NvmlRequest = { readonly id: number; readonly method: 'list' | 'end' };

/**
 * What the child sends back: any number of `calling`, each before the native call that it names, so that a hang or a
 * crash can be pinned on a function and a GPU; then one `answer`.
 */
export type NvmlMessage =
  | { readonly id: number; readonly calling: string }
  | { readonly id: number; readonly answer: NvmlReply };

export type NvmlReply = NvmlFacts | { readonly failure: NvmlFailure };

export type NvmlFacts = { readonly driverVersion: string; readonly gpus: readonly GpuFacts[] };

export type NvmlFailure =
  /** The loader's own words. */
  | { readonly kind: 'library'; readonly message: string }
  /** A call without which there is no answer at all. */
  | { readonly kind: 'nvml'; readonly call: string; readonly code: number }
  /** Something that nobody expected. */
  | { readonly kind: 'defect'; readonly message: string };
