import Type, { type Static } from 'typebox';

/** RFC 3339 with milliseconds, UTC. Which clock it is from stands beside it. */
export const Timestamp = Type.String({ description: 'RFC 3339, UTC' });

/** The record as it was found in the kernel log after the write. */
export const KernelLogReadBack = Type.Object(
  {
    sequence: Type.Integer({ description: "the kernel's sequence number of the record: the proof" }),
    record: Type.String({
      description: 'the record as a reader gets it: priority,sequence,microseconds,flags;text',
    }),
    priority: Type.Integer({ description: 'user space cannot write facility 0: level 3 comes back as 11' }),
    microseconds: Type.Integer({ description: "since boot, the kernel's clock" }),
  },
  { additionalProperties: false },
);
export type KernelLogReadBack = Static<typeof KernelLogReadBack>;

/** `dcgmi test --introspect`: the state of one field's cache entry on one GPU. */
export const Introspection = Type.Object(
  {
    fieldTag: Type.String({ description: 'the tag that dcgmi prints, such as xid_errors' }),
    watched: Type.Boolean(),
    samples: Type.Integer({ description: 'grows by one only where somebody watches' }),
    newest: Type.Union([Timestamp, Type.Null()], { description: 'null: no sample' }),
    oldest: Type.Union([Timestamp, Type.Null()]),
    watchers: Type.Integer({ description: '0: nothing will react' }),
    monitorIntervalMs: Type.Integer(),
    maxAgeSeconds: Type.Integer(),
    lastStatus: Type.Integer({
      description: 'of the last real reading, as NVML numbers it: 0 OK, 3 not supported on this GPU',
    }),
  },
  { additionalProperties: false },
);
export type Introspection = Static<typeof Introspection>;

/** The engine's entry of the field before and after the injection. */
export const DcgmReadBack = Type.Object(
  {
    before: Type.Union([Introspection, Type.Null()], {
      description: 'null: the engine had no entry for the field',
    }),
    after: Introspection,
  },
  { additionalProperties: false },
);
export type DcgmReadBack = Static<typeof DcgmReadBack>;

/** What was read back of a line that was appended to a file. */
export const LogFileReadBack = Type.Object(
  {
    path: Type.String({ description: 'on the node' }),
    offset: Type.Integer({ description: 'bytes before the line' }),
    line: Type.String({ description: 'as it stands there' }),
  },
  { additionalProperties: false },
);
export type LogFileReadBack = Static<typeof LogFileReadBack>;

/** The process in /proc after the signal. */
export const ProcessReadBack = Type.Object(
  { pid: Type.Integer(), state: Type.String({ description: 'of /proc/PID/stat: T is stopped' }) },
  { additionalProperties: false },
);
export type ProcessReadBack = Static<typeof ProcessReadBack>;
