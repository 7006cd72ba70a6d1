import Type, { type Static } from 'typebox';

/** RFC 3339 with milliseconds, UTC. Which clock it is from stands beside it. */
export const Timestamp = Type.String({ description: 'RFC 3339, UTC' });

/** Why a record is in the kernel log and not in the journal. */
export const journalCauses = [
  'no-journald',
  'no-journal',
  'elsewhere',
  'read-kmsg-off',
  'storage-none',
  'forward-to-kmsg',
  'level-not-stored',
  'not-arrived',
] as const;

const becauseText = Type.String({ description: 'what was looked at, and what was found instead' });

/** The record in the journal that the monitoring agent reads. */
const JournalSeen = Type.Object(
  {
    state: Type.Literal('seen'),
    directory: Type.String({ description: 'on the node; /var/log/journal where it exists, as NMA chooses' }),
    cursor: Type.String({ description: "journald's name of the entry: journalctl --cursor" }),
    identifier: Type.String({ description: 'SYSLOG_IDENTIFIER, by which NMA selects' }),
    message: Type.String({ description: 'MESSAGE, as NMA gets it' }),
  },
  { additionalProperties: false },
);

/** It was looked for and is not there. */
export const JournalMissing = Type.Object(
  {
    state: Type.Literal('missing'),
    cause: Type.Enum([...journalCauses], {
      description: 'what explains it; not-arrived: nothing that was looked at',
    }),
    because: becauseText,
  },
  { additionalProperties: false },
);
export type JournalMissing = Static<typeof JournalMissing>;

/** The agent could not look: whether it is there is not known. */
const JournalUnread = Type.Object(
  {
    state: Type.Literal('unread'),
    cause: Type.Enum(['agent-lacks', 'node-lacks', 'failed'], {
      description: 'what was missing for it: something of the agent, of the node; or it was tried and failed',
    }),
    because: becauseText,
  },
  { additionalProperties: false },
);

/** What the agent found in the journal of a record that it had written into the kernel log. */
export const JournalReadBack = Type.Union([JournalSeen, JournalMissing, JournalUnread]);
export type JournalReadBack = Static<typeof JournalReadBack>;

/** The record as it was found in the kernel log after the write. */
export const KernelLogReadBack = Type.Object(
  {
    sequence: Type.Integer({ description: "the kernel's sequence number of the record: the proof" }),
    record: Type.String({
      description: 'the record as a reader gets it: priority,sequence,microseconds,flags;text',
    }),
    priority: Type.Integer({ description: 'user space cannot write facility 0: level 3 comes back as 11' }),
    microseconds: Type.Integer({ description: "since boot, the kernel's clock" }),
    journal: Type.Optional(JournalReadBack),
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
