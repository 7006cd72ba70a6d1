import Type, { type Static } from 'typebox';
import { encodeKmsgWrite, type KmsgLevel, kmsgLevels } from '../kmsg-record.ts';
import { OrderId } from '../schemas/order-members.ts';
import { KernelLogReadBack } from '../schemas/read-back.ts';
import { method, type SurfaceRow } from './row.ts';

/** One record of the kernel log. */
export type KernelLogPart = {
  readonly surface: 'kernel-log';
  readonly afterMs: number;
  readonly level: KmsgLevel;
  readonly text: string;
  /** The request field that a refusal of the text names. */
  readonly field: string;
};

/** Level of a record in the kernel log, by syslog's name. */
export const KmsgLevelName = Type.Enum([...kmsgLevels]);

/** One line in the kernel log, as it stands. */
export const WriteKernelMessage = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    level: Type.Optional(KmsgLevelName),
    text: Type.String({ maxLength: 8192, description: 'one line of printable ASCII' }),
    acceptRisk: Type.Optional(
      Type.Boolean({ description: 'yes to a line that a host engine acts on (Xid 79, 120)' }),
    ),
  },
  { $id: 'WriteKernelMessage', additionalProperties: false },
);
export type WriteKernelMessage = Static<typeof WriteKernelMessage>;

/** The log of the kernel, `/dev/kmsg`. */
export const kernelLog = {
  name: 'kernel-log',
  title: 'a record in the kernel log of the node',
  through: 'kernel-log',
  readBack: KernelLogReadBack,
  methods: {
    WriteKernelMessage: method(WriteKernelMessage, (body): readonly KernelLogPart[] => [
      { surface: 'kernel-log', afterMs: 0, level: body.level ?? 'err', text: body.text, field: 'text' },
    ]),
  },
  check: ({ level, text, field }) => void encodeKmsgWrite(level, text, field),
} as const satisfies SurfaceRow<KernelLogPart>;
