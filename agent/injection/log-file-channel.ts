import { assertKmsgText } from '../../shared/kmsg-record.ts';
import type { HostFiles } from '../host-files/port.ts';
import type { Channel } from './channel.ts';

/** Appends one line to a log file of the node. */
export function createLogFileChannel(options: {
  readonly afterMs: number;
  readonly hostFiles: HostFiles;
  readonly path: string;
  readonly text: string;
}): Channel {
  const { afterMs, hostFiles, path, text } = options;
  return {
    surface: 'log-file',
    afterMs,
    undo: 'stays in the file until it is rotated; nothing that was logged is ever cut out of it',
    async prepare() {
      assertKmsgText(text);
      await hostFiles.assertAppendable(path);
      return {
        write: async () => ({ written: text, readBack: await hostFiles.append(path, text), notes: [] }),
      };
    },
  };
}
