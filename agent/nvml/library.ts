import { DataType, load, open } from 'ffi-rs';
import { nvmlCode } from './return-codes.ts';

/**
 * One argument of an NVML call: a handle (bigint), an unsigned int or enum (number), or memory that the call fills.
 * ffi-rs is fed with nothing else: its struct pointers leak, and its strings crash on NULL.
 */
export type NvmlArgument = bigint | number | Buffer;

/** Calls a function by name and gives its nvmlReturn_t. */
export type NvmlCall = (name: string, ...values: readonly NvmlArgument[]) => number;

const library = 'nvml';

/**
 * Opens the library, or throws the loader's message. There is no way to call without having opened: `load` before a
 * successful `open` aborts the process.
 */
export function openNvmlLibrary(path: string): NvmlCall {
  open({ library, path });
  return (name, ...values) => {
    try {
      return load({
        library,
        funcName: name,
        retType: DataType.I32,
        paramsType: values.map(typeOf),
        paramsValue: [...values],
      });
    } catch (thrown) {
      // An old driver has no such symbol; that is an answer about one value, not a failure of the list.
      if (thrown instanceof Error && /^Cannot find .* function/.test(thrown.message)) {
        return nvmlCode.functionNotFound;
      }
      throw thrown;
    }
  };
}

function typeOf(value: NvmlArgument): DataType {
  if (typeof value === 'bigint') return DataType.BigInt;
  return typeof value === 'number' ? DataType.U32 : DataType.U8Array;
}
