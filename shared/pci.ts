import { Refusal } from './errors.ts';

/**
 * A PCI address, and the four spellings in which the field writes it:
 * procfs `0000:3b:00.0` · NVML and nvidia-smi `00000000:3B:00.0` · kernel Xid lines `0000:3b:00` (no function) ·
 * kernel SXid lines `0000:05:00.0`. Source: open-gpu-kernel-modules kernel_rc.c, nvml.h (nvmlPciInfo_t).
 */
export type PciAddress = {
  /** 16 or 32 bits. */
  readonly domain: number;
  readonly bus: number;
  readonly device: number;
  readonly function: number;
};

const pattern = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([01][0-9a-f])(?:\.([0-7]))?$/i;

/** Reads any of the spellings, with or without `PCI:` before it. A missing domain or function is 0. */
export function parsePci(text: string, field = 'pci'): PciAddress {
  const match = pattern.exec(text.replace(/^PCI:/i, ''));
  if (match === null) {
    throw new Refusal('gpu_address_malformed', `${field}: "${text}" is not a PCI address`, {
      field,
      value: text,
      allowed: ['00000000:3B:00.0', '0000:3b:00.0', '0000:3b:00', '3b:00.0'],
    });
  }
  const [, domain = '0', bus = '', device = '', fn = '0'] = match;
  return {
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    device: Number.parseInt(device, 16),
    function: Number.parseInt(fn, 16),
  };
}

/** `0000:3b:00`: `%04x:%02x:%02x`, as every NVIDIA driver prints it in an Xid line. */
export function pciToXid(pci: PciAddress): string {
  return `${hex(pci.domain, 4)}:${hex(pci.bus, 2)}:${hex(pci.device, 2)}`;
}

/** `0000:3b:00.0`: sysfs, procfs and SXid lines. */
export function pciToSysfs(pci: PciAddress): string {
  return `${pciToXid(pci)}.${pci.function}`;
}

/** `00000000:3B:00.0`: NVML, nvidia-smi and `dcgmi discovery`. */
export function pciToNvml(pci: PciAddress): string {
  return `${hex(pci.domain, 8)}:${hex(pci.bus, 2)}:${hex(pci.device, 2)}.${pci.function}`.toUpperCase();
}

/** Function and domain count as well. */
export function isSamePci(left: PciAddress, right: PciAddress): boolean {
  return pciToSysfs(left) === pciToSysfs(right);
}

function hex(value: number, width: number): string {
  return value.toString(16).padStart(width, '0');
}
