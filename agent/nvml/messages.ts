import type { GpuFacts } from '../../shared/schemas/inventory.ts';

/** The descriptor that the child writes its messages to: standard output is left to whatever the library prints. */
export const answerDescriptor = 3;

/** What the agent asks of its NVML child: one JSON document a line on standard input, whose end ends the child. */
export type NvmlRequest = {
  /** Repeated in the reply: a late reply to an earlier request is dropped by it. */ readonly id: number;
  readonly method: 'list';
};

/**
 * What the child sends back, a JSON document a line (channel.ts): any number of `calling`, each before the native call that it names, so that a hang or a
 * crash can be pinned on a function and a GPU; then one `answer`.
 */
export type NvmlMessage =
  | { readonly id: number; readonly calling: string }
  | { readonly id: number; readonly answer: NvmlReply };

/** What the child answers to `list`. */
export type NvmlReply = NvmlFacts | { readonly failure: NvmlFailure };

/** All GPUs; a value that could not be read is null there, with a note. */
export type NvmlFacts = { readonly driverVersion: string; readonly gpus: readonly GpuFacts[] };

/** Why there is no list at all. `nvml` carries the nvmlReturn_t of the call (return-codes.ts). */
export type NvmlFailure =
  /** The loader's own words. */
  | { readonly kind: 'library'; readonly message: string }
  /** A call without which there is no answer at all. */
  | { readonly kind: 'nvml'; readonly call: string; readonly code: number }
  /** An exception that no code expected. */
  | { readonly kind: 'defect'; readonly message: string };
