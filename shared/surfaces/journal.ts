import Type, { type Static } from 'typebox';
import { encodeKmsgWrite } from '../kmsg-record.ts';
import { OrderId, repeated, times } from '../schemas/order-members.ts';
import { KernelLogReadBack } from '../schemas/read-back.ts';
import { method, type SurfaceRow } from './row.ts';

/** One line of the journal; in the kernel log it stands as `identifier: text`. */
export type JournalPart = {
  readonly surface: 'journal';
  readonly afterMs: number;
  readonly identifier: string;
  readonly text: string;
};

/** Journal lines are selected by their identifier, which journald takes from the head of a kernel record. */
export const WriteJournalMessage = Type.Object(
  {
    orderId: Type.Optional(OrderId),
    identifier: Type.Enum(['kubelet', 'systemd']),
    text: Type.String({ maxLength: 900, description: 'one line of printable ASCII' }),
    ...times,
  },
  { $id: 'WriteJournalMessage', additionalProperties: false },
);
export type WriteJournalMessage = Static<typeof WriteJournalMessage>;

/** The journal of the node, by way of the kernel log. */
export const journal = {
  name: 'journal',
  title: 'a kernel record `identifier: text`, which journald files under that identifier',
  through: 'kernel-log',
  readBack: KernelLogReadBack,
  methods: {
    WriteJournalMessage: method(WriteJournalMessage, (body): readonly JournalPart[] =>
      repeated(body, (afterMs) => ({
        surface: 'journal',
        afterMs,
        identifier: body.identifier,
        text: body.text,
      })),
    ),
  },
  check: ({ identifier, text }) => void encodeKmsgWrite('info', `${identifier}: ${text}`),
} as const satisfies SurfaceRow<JournalPart>;
