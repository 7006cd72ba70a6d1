import { logFile as lines } from '../channels/logs.ts';
import { nmaOnLog } from '../readers/logs.ts';
import type { SurfaceWork } from './work.ts';

/** Lines of files that NMA follows. */
export const logFile = {
  writes: ({ afterMs, path, text }, on) => [
    {
      afterSeconds: afterMs / 1000,
      where: path,
      what: text,
      because: [],
      readers: [nmaOnLog({ kind: 'file', path }, text, on)],
    },
  ],
  kept: () => [{ what: 'the lines in the file', until: 'the file is rotated away' }],
  channels: { 'log-file': lines },
  channelOf: (order) =>
    order.method === 'AppendLogLine' ? { channel: { kind: 'log-file', ...order.body } } : undefined,
} as const satisfies SurfaceWork<'log-file'>;
