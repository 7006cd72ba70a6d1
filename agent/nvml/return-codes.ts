/**
 * nvmlReturn_t by name (nvml.h). A table of our own, because `nvmlErrorString` returns a pointer that ffi-rs follows
 * blindly, and because names are what people search for.
 */
const names: Readonly<Record<number, string>> = {
  0: 'NVML_SUCCESS',
  1: 'NVML_ERROR_UNINITIALIZED',
  2: 'NVML_ERROR_INVALID_ARGUMENT',
  3: 'NVML_ERROR_NOT_SUPPORTED',
  4: 'NVML_ERROR_NO_PERMISSION',
  5: 'NVML_ERROR_ALREADY_INITIALIZED',
  6: 'NVML_ERROR_NOT_FOUND',
  7: 'NVML_ERROR_INSUFFICIENT_SIZE',
  8: 'NVML_ERROR_INSUFFICIENT_POWER',
  9: 'NVML_ERROR_DRIVER_NOT_LOADED',
  10: 'NVML_ERROR_TIMEOUT',
  11: 'NVML_ERROR_IRQ_ISSUE',
  12: 'NVML_ERROR_LIBRARY_NOT_FOUND',
  13: 'NVML_ERROR_FUNCTION_NOT_FOUND',
  14: 'NVML_ERROR_CORRUPTED_INFOROM',
  15: 'NVML_ERROR_GPU_IS_LOST',
  16: 'NVML_ERROR_RESET_REQUIRED',
  17: 'NVML_ERROR_OPERATING_SYSTEM',
  18: 'NVML_ERROR_LIB_RM_VERSION_MISMATCH',
  19: 'NVML_ERROR_IN_USE',
  20: 'NVML_ERROR_MEMORY',
  21: 'NVML_ERROR_NO_DATA',
  22: 'NVML_ERROR_VGPU_ECC_NOT_SUPPORTED',
  23: 'NVML_ERROR_INSUFFICIENT_RESOURCES',
  24: 'NVML_ERROR_FREQ_NOT_SUPPORTED',
  25: 'NVML_ERROR_ARGUMENT_VERSION_MISMATCH',
  26: 'NVML_ERROR_DEPRECATED',
  27: 'NVML_ERROR_NOT_READY',
  28: 'NVML_ERROR_GPU_NOT_FOUND',
  29: 'NVML_ERROR_INVALID_STATE',
  30: 'NVML_ERROR_RESET_TYPE_NOT_SUPPORTED',
  999: 'NVML_ERROR_UNKNOWN',
};

/** What to look at, for the codes with which the library refuses altogether. */
const remedies: Readonly<Record<number, string>> = {
  4: 'the agent may not open /dev/nvidia*: run it privileged or give it the devices',
  9: "the NVIDIA kernel module is not loaded, or /dev/nvidiactl is not visible in the agent's container",
  12: 'the driver installation is incomplete: libraries beside libnvidia-ml.so.1 are missing',
  13: 'the library is older than the functions that are asked for: the driver needs an update',
  18: 'library and kernel module are of different driver versions: reboot, or reload the module after the update',
};

/** The return codes that our own code decides on. */
export const nvmlCode = {
  success: 0,
  notSupported: 3,
  noPermission: 4,
  driverNotLoaded: 9,
  functionNotFound: 13,
} as const;

/** `NVML_ERROR_GPU_IS_LOST`; a code that nvml.h does not have as `nvmlReturn_t 999`. */
export function nvmlCodeName(code: number): string {
  return names[code] ?? `nvmlReturn_t ${code}`;
}

/** What to do about it, where there is something; undefined otherwise. */
export function nvmlCodeRemedy(code: number): string | undefined {
  return remedies[code];
}
