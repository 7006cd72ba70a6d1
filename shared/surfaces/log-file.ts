import Type, { type Static } from 'typebox';
import { OrderId, repeated, times } from '../schemas/order-members.ts';
import { LogFileReadBack } from '../schemas/read-back.ts';
import { method, type SurfaceRow } from './row.ts';

/** One line at the end of a log file. */
export type LogFilePart = {
  readonly surface: 'log-file';
  readonly afterMs: number;
  /** On the node. */
  readonly path: string;
  readonly text: string;
};

/** Files of the node that the monitoring agent tails; nothing else is ever appended to. */
export const logFiles = {
  ipamd: '/var/log/aws-routed-eni/ipamd.log',
  messages: '/var/log/messages',
  cron: '/var/log/cron.log',
} as const;
/** By the file's role, not by its path: see `logFiles`. */
export type LogFileName = keyof typeof logFiles;

/** A line at the end of a file that NMA follows; the file has to exist. */
export const AppendLogLine = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    file: Type.Enum(['ipamd', 'messages', 'cron'], { description: 'ipamd.log, messages or cron.log' }),
    text: Type.String({ maxLength: 900, description: 'one line of printable ASCII' }),
    ...times,
  },
  { $id: 'AppendLogLine', additionalProperties: false },
);
export type AppendLogLine = Static<typeof AppendLogLine>;

/** Log files of the node that NMA follows. */
export const logFile = {
  name: 'log-file',
  title: 'a line at the end of a log file of the node',
  through: 'node',
  readBack: LogFileReadBack,
  methods: {
    AppendLogLine: method(AppendLogLine, (body): readonly LogFilePart[] =>
      repeated(body, (afterMs) => ({
        surface: 'log-file',
        afterMs,
        path: logFiles[body.file],
        text: body.text,
      })),
    ),
  },
} as const satisfies SurfaceRow<LogFilePart>;
